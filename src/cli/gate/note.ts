import { knownForms, Redactor } from '../../lib/redact.ts';
import { oneLine } from '../../lib/text.ts';
import type { Globals } from '../catalog.ts';
import { Session, type World } from '../session.ts';
import type { Wiring } from '../wiring.ts';

/** Milliseconds that a caller is kept waiting for it. */
const patience = 5_000;
/** Longest part of a command that is kept, in characters. */
const longest = 300;

/**
 * Keeps a refused attempt where an admin looks: in the audit, or in the log of the system while no agent answers. Where there
 * is neither, it is lost, and the refusal stands all the same.
 * @param command what was asked for; undefined where the caller wanted a shell
 */
export async function noteRefusal(command: string | undefined, globals: Globals, wiring: Wiring, world: World) {
  const text = new Redactor(knownForms([])).text(oneLine(command ?? '(a shell)')).slice(0, longest);
  const session = new Session({ ...globals, timeout: patience }, wiring, world);
  try {
    const agent = await session.agent();
    const answer = await agent?.ask('gateRefused', { command: text }, session.signal);
    if (answer?.noted !== true) await inSystemLog(text, wiring, world);
  } catch {
    await inSystemLog(text, wiring, world);
  } finally {
    await session.end();
  }
}

async function inSystemLog(text: string, wiring: Wiring, { env }: World): Promise<void> {
  const from = env.SSH_CONNECTION?.split(' ')[0] ?? 'nowhere';
  await wiring
    .noteInSystemLog(`ssh-gate refused ${env.USER ?? 'somebody'} from ${from}: ${text}`)
    .catch(() => undefined);
}
