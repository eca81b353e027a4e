import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import Sqlite from 'better-sqlite3';
import { z } from 'zod';

/** Who holds a lock, for the message that the next caller gets. */
const holderSchema = z.object({
  pid: z.number(),
  /** `agent`, or the command that hosts the work itself. */
  what: z.string(),
  user: z.string(),
  /** RFC 3339. */
  since: z.string(),
});
export type Holder = z.output<typeof holderSchema>;

/** Milliseconds that two who try at the same time take to see which of them has it; without them, neither may get it. */
const contest = 250;

export interface Exclusive {
  release(): void;
}

/**
 * One writer per appliance, across processes. The kernel holds the lock (SQLite's POSIX record lock on an empty
 * database), so it ends with its process, however that ends; children do not inherit it.
 * @param path the lock file; `<path>.holder` says who, for messages only
 * @returns the lock, or the holder when somebody else has it (null when the holder left no name yet)
 */
export function acquireExclusive(path: string, holder: Holder): Exclusive | { readonly heldBy: Holder | null } {
  mkdirSync(dirname(path), { recursive: true, mode: 0o755 });
  const database = new Sqlite(path, { timeout: contest });
  try {
    // Nothing is ever written, so no journal is needed on the disk, which may be full.
    database.pragma('journal_mode = MEMORY');
    database.exec('BEGIN EXCLUSIVE');
  } catch (error) {
    database.close();
    if (error instanceof Sqlite.SqliteError && error.code.startsWith('SQLITE_BUSY'))
      return { heldBy: readHolder(path) };
    throw error;
  }
  nameHolder(path, holder);
  return {
    release: () => {
      rmSync(`${path}.holder`, { force: true });
      database.close();
    },
  };
}

/** The kernel holds the lock; that nobody can be told who has it (a full disk) is no reason not to work. */
function nameHolder(path: string, holder: Holder): void {
  try {
    writeFileSync(`${path}.holder`, JSON.stringify(holder), { mode: 0o644 });
  } catch {
    rmSync(`${path}.holder`, { force: true });
  }
}

function readHolder(path: string): Holder | null {
  try {
    return holderSchema.parse(JSON.parse(readFileSync(`${path}.holder`, 'utf8')));
  } catch {
    return null;
  }
}
