import { lstat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { ApplianceError } from '../lib/errors.ts';

/** Who asks for a file, and what is as before when it is refused. */
export interface Reader {
  readonly uid: number;
  readonly left: string;
}

/**
 * A privileged process takes nothing over for a caller who may not read it himself: what is his, or open to everybody.
 * @throws ApplianceError `not_permitted`
 */
export function assertReadable(found: { uid: number; mode: number }, path: string, { uid, left }: Reader): void {
  if (!mayAll(uid) && found.uid !== uid && (found.mode & 0o004) === 0) throw denied(path, left);
}

/**
 * The same for every directory on the way to what lies in one.
 * @param directory real path
 * @throws ApplianceError `not_permitted`
 */
export async function assertReachable(directory: string, { uid, left }: Reader): Promise<void> {
  for (let path = directory; path !== dirname(path); path = dirname(path)) {
    const { uid: owner, mode } = await lstat(path);
    if (!mayAll(uid) && owner !== uid && (mode & 0o001) === 0) throw denied(path, left);
  }
}

/** For a caller who is this process itself, the kernel decides. */
function mayAll(uid: number): boolean {
  return uid === 0 || uid === process.getuid?.();
}

function denied(path: string, left: string): ApplianceError {
  return new ApplianceError('not_permitted', `${path} is neither yours nor readable by everybody`, {
    left,
    hint: 'let everybody read it, or use sudo',
  });
}
