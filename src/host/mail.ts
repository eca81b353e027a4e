import { ApplianceError, messageOf } from '../lib/errors.ts';

export interface MailServer {
  /** `HOST:PORT` */
  readonly server: string;
  /** Refuse to send without encryption. */
  readonly tls: boolean;
  readonly login: { readonly user: string; readonly password: string } | undefined;
  /** Milliseconds for each part of the conversation. */
  readonly timeout: number;
}

export interface Mail {
  readonly to: readonly string[];
  readonly from: string;
  readonly subject: string;
  readonly text: string;
}

/**
 * Hands a mail to an SMTP server and waits until it has accepted it.
 * @throws ApplianceError `step_failed` with what the server said
 */
export async function sendMail({ server, tls, login, timeout }: MailServer, mail: Mail): Promise<void> {
  const { createTransport } = await import('nodemailer');
  const split = server.lastIndexOf(':');
  const port = Number(server.slice(split + 1));
  const transport = createTransport({
    host: server.slice(0, split),
    port,
    // Port 465 begins with TLS, the others turn to it.
    secure: port === 465,
    requireTLS: tls,
    ignoreTLS: !tls,
    ...(login ? { auth: { user: login.user, pass: login.password } } : {}),
    connectionTimeout: timeout,
    greetingTimeout: timeout,
    socketTimeout: timeout,
    disableFileAccess: true,
    disableUrlAccess: true,
  });
  try {
    await transport.sendMail({ ...mail, to: [...mail.to] });
  } catch (cause) {
    throw new ApplianceError('step_failed', `the mail was not accepted by ${server}: ${messageOf(cause)}`, { cause });
  } finally {
    transport.close();
  }
}
