import { rmSync, statSync } from 'node:fs';
import { systemCode } from '../../lib/errors.ts';

/** By which the file of a database, and the write-ahead log beside it, are known again. */
export interface RegistryIdentity {
  readonly file: string;
  readonly log: string | null;
  readonly bytes: number;
}

/** What somebody else has done to the file while it was open. */
export type Disturbance = 'removed' | 'replaced' | 'truncated';

/** @returns null where there is no file */
export function identityOf(path: string): RegistryIdentity | null {
  const file = statOf(path);
  if (!file) return null;
  const log = statOf(`${path}-wal`);
  return { file: `${file.dev}:${file.ino}`, log: log && `${log.dev}:${log.ino}`, bytes: file.size };
}

/** SQLite itself never makes the file smaller: nothing here vacuums. */
export function disturbanceOf(before: RegistryIdentity, now: RegistryIdentity | null): Disturbance | null {
  if (!now) return 'removed';
  if (now.file !== before.file) return 'replaced';
  return now.bytes < before.bytes ? 'truncated' : null;
}

/**
 * Removes the log and the index that an earlier database has left beside another one. SQLite would take what stands in the
 * log for changes of the database that lies there now (sqlite.org/howtocorrupt.html#_unlinking_or_renaming_a_database_file_while_in_use).
 */
export function removeForeignLog(path: string, before: RegistryIdentity): void {
  const now = identityOf(path);
  if (before.log === null || now?.file === before.file) return;
  const log = statOf(`${path}-wal`);
  if (!log || `${log.dev}:${log.ino}` !== before.log) return;
  for (const suffix of ['-wal', '-shm']) rmSync(`${path}${suffix}`, { force: true });
}

function statOf(path: string) {
  try {
    return statSync(path);
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return null;
    throw error;
  }
}
