import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { setTimeout as delay } from 'node:timers/promises';
import { SMTPServer } from 'smtp-server';
import { z } from 'zod';

const notificationSchema = z.object({
  status: z.enum(['firing', 'resolved']),
  receiver: z.string(),
  alerts: z.array(
    z.object({ labels: z.record(z.string(), z.string()), annotations: z.record(z.string(), z.string()) }).loose(),
  ),
});
type Notification = z.output<typeof notificationSchema> & { readonly at: number; readonly path: string };

/** A real HTTP receiver: remembers what it was told, and refuses when it is asked to. */
export class HttpReceiver {
  readonly received: Notification[] = [];
  /** Everything that was posted and accepted, as it came. */
  readonly posted: { readonly path: string; readonly body: unknown }[] = [];
  /** Status of its answers, by path; 200 where nothing is said. */
  readonly answers = new Map<string, number>();
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
  }

  static async start(host = '127.0.0.1'): Promise<HttpReceiver> {
    const receiver: HttpReceiver = new HttpReceiver(
      createServer(async (request, response) => {
        const path = request.url ?? '/';
        const body = await text(request);
        const posted: unknown = JSON.parse(body);
        const parsed = notificationSchema.safeParse(posted);
        const status = receiver.answers.get(path) ?? 200;
        if (status < 300) receiver.posted.push({ path, body: posted });
        if (parsed.success && status < 300) receiver.received.push({ ...parsed.data, at: Date.now(), path });
        response.writeHead(status).end('ok');
      }),
    );
    receiver.#server.listen(0, host);
    await once(receiver.#server, 'listening');
    return receiver;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Waits for a notification. @param limit milliseconds */
  async await(matches: (notification: Notification) => boolean, limit: number): Promise<Notification> {
    for (const until = Date.now() + limit; Date.now() < until; await delay(100)) {
      const found = this.received.find(matches);
      if (found) return found;
    }
    throw new Error(`no such notification within ${limit} ms; there were ${JSON.stringify(this.received)}`);
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }
}

/** A real SMTP server that knows one password and keeps what it accepts. */
export class MailServer {
  readonly received: string[] = [];
  readonly #server: SMTPServer;

  private constructor(server: SMTPServer) {
    this.#server = server;
  }

  static async start(password: string): Promise<MailServer> {
    const mail: MailServer = new MailServer(
      new SMTPServer({
        hideSTARTTLS: true,
        allowInsecureAuth: true,
        authMethods: ['PLAIN'],
        onAuth: (auth, _, done) =>
          auth.password === password ? done(null, { user: auth.username ?? '' }) : done(new Error('wrong password')),
        onData: async (stream, _, done) => {
          mail.received.push(await text(stream));
          done();
        },
      }),
    );
    mail.#server.listen(0, '127.0.0.1');
    await once(mail.#server.server, 'listening');
    return mail;
  }

  get port(): number {
    return (this.#server.server.address() as AddressInfo).port;
  }

  async stop(): Promise<void> {
    await new Promise<void>((resolve) => this.#server.close(resolve));
  }
}
