import { ApplianceError } from '../../lib/errors.ts';
import type { Call } from '../catalog.ts';
import type { Session } from '../session.ts';
import { operate } from './operate.ts';

export async function recover(call: Call<'backup recover'>, session: Session): Promise<number> {
  const { 'key-file': keyFile, snapshot = 'latest', name } = call.options;
  if (keyFile === undefined) throw new ApplianceError('usage', 'the key is missing: add --key-file FILE');
  const { repository } = call.args;
  const { root } = session.globals;
  const { id, notes } = await session.wiring.recoverHost({
    root,
    repository,
    keyFile,
    snapshot,
    name,
    signal: session.signal,
    onProgress: (text) => session.note(text),
  });
  for (const note of notes) session.note(note);
  return operate(session, { route: 'backupRecover', title: `recover ${id}`, input: { wait: 0 } });
}
