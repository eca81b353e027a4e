import { ApplianceError } from '../lib/errors.ts';
import { run } from './process.ts';

/**
 * Tells systemd that this process serves now (sd_notify(3), unit type `notify`), through systemd's own program: Node.js
 * has no datagram sockets of the Unix kind. Does nothing where no service manager asked for it.
 * @param socket what the service manager put into NOTIFY_SOCKET
 * @throws ApplianceError when it cannot be told
 */
export async function notifyReady(socket: string | undefined = process.env.NOTIFY_SOCKET): Promise<void> {
  if (!socket) return;
  const { exitCode, stderr } = await run('systemd-notify', ['--ready'], {
    env: { NOTIFY_SOCKET: socket },
    timeout: 10_000,
  });
  if (exitCode !== 0) throw new ApplianceError('internal', `systemd-notify ended with ${exitCode}: ${stderr}`);
}
