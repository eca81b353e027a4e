import { ApplianceError } from '../lib/errors.ts';
import { runInstalled } from './run-installed.ts';

/** Milliseconds that a logging daemon may take. */
const patience = 3_000;

/**
 * Adds a line to the log of the system, beside those of sshd (facility auth), by logger(1), which every Debian has.
 * @throws ApplianceError `internal` where nobody takes it
 */
export async function noteInSystemLog(text: string): Promise<void> {
  // By itself it hides that nobody listens, unless process 1 is systemd.
  const options = ['--id', '--tag', 'appliance', '--priority', 'auth.notice', '--socket-errors=on'];
  const result = await runInstalled('logger', [...options, '--', text], { timeout: patience });
  if (result?.exitCode === 0) return;
  throw new ApplianceError(
    'internal',
    `the log of the system takes nothing: ${result?.stderr ?? 'there is no logger'}`,
  );
}
