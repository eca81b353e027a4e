import { connectSocket } from '../api/socket.ts';
import { type Installation, type Uninstalled, uninstall } from '../host/installation.ts';
import { pathsFor } from '../lib/paths.ts';
import { takeWriterLock } from './in-process.ts';
import { holdProgram } from './update/lock.ts';

/**
 * Removes what was installed; meanwhile nobody begins an operation. Where an agent runs it holds the lock until it is stopped.
 * @throws ApplianceError `busy` while a command does its work without an agent, or an update is under way
 */
export async function uninstallAlone(
  found: Installation,
  options: Parameters<typeof uninstall>[1],
): Promise<Uninstalled> {
  const what = 'appliance uninstall';
  const paths = pathsFor(found.root);
  const program = holdProgram(found.prefix, what);
  try {
    const agent = await connectSocket(paths);
    await agent?.close();
    const lock = agent ? undefined : await takeWriterLock(paths, what, null);
    try {
      return await uninstall(found, options);
    } finally {
      lock?.release();
    }
  } finally {
    program.release();
  }
}
