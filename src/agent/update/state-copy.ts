import { closeSync, existsSync, fsyncSync, linkSync, openSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { type Database, openPlain } from '../../host/sqlite.ts';
import type { Paths } from '../../lib/paths.ts';

/** Two programs, each as `VERSION-FINGERPRINT`. */
export interface Change {
  /** The one that has brought the state up to date. */
  readonly by: string;
  /** The one that ran before it, and cannot read what it has made of the state. */
  readonly before: string;
}

/** A copy of the state as it was before a program brought it up to date. */
export const copyOf = (paths: Paths, { by, before }: Change): string =>
  join(paths.lib, `state-for-${before}-before-${by}.db`);
/** The state that a program has left, when an older one took its place. */
const leftBy = (paths: Paths, program: string): string => join(paths.lib, `state-of-${program}.db`);

/**
 * Copies the state for the program before this one, which cannot read what this one is about to make of it. Only the
 * newest copy is kept.
 */
export function keepState(database: Database, paths: Paths, change: Change): void {
  const copy = copyOf(paths, change);
  const partial = `${copy}.partial`;
  removeCopies(paths, copy);
  // It holds what the state holds, and may be read by nobody else.
  closeSync(openSync(partial, 'wx', 0o600));
  database.prepare('VACUUM INTO ?').run(partial);
  sync(partial);
  renameSync(partial, copy);
  sync(paths.lib);
}

function removeCopies(paths: Paths, except: string): void {
  for (const name of readdirSync(paths.lib)) {
    const path = join(paths.lib, name);
    if (/^state-(for|of)-.*\.db(\.partial)?$/.test(name) && path !== except) rmSync(path, { force: true });
  }
}

/**
 * Puts the state back that a program has found where another ran before it, in one rename; what it has made of it is set aside. Only the one writer
 * may call it, and may be killed at any point of it.
 * @returns where the newer state lies; undefined when that program had not changed it
 */
export function restoreState(paths: Paths, change: Change): string | undefined {
  const copy = copyOf(paths, change);
  if (!existsSync(copy)) return undefined;
  const aside = leftBy(paths, change.by);
  if (existsSync(paths.state)) {
    // Everything into the one file: a WAL that stays behind would be taken for that of the copy.
    const database = openPlain(paths.state);
    database.pragma('journal_mode = DELETE');
    database.close();
    rmSync(aside, { force: true });
    linkSync(paths.state, aside);
  }
  renameSync(copy, paths.state);
  sync(paths.lib);
  return aside;
}

const names = z.array(z.object({ name: z.string() })).transform((rows) => rows.map(({ name }) => name));

/** Tables that a mere start of the program writes, and that nobody would miss: versions, and measurements by the clock. */
const ofItself = ['schema_versions', 'usage_samples'];

/**
 * Which tables of the copy have other rows today. Bringing a database up to date does not count, as far as it adds: what
 * it has changed of old rows does.
 */
export function writtenSince(paths: Paths, change: Change): readonly string[] {
  if (!existsSync(paths.state)) return [];
  const database = openPlain(copyOf(paths, change));
  try {
    database.prepare('ATTACH ? AS today').run(paths.state);
    const tables = names.parse(
      database.prepare("SELECT name FROM main.sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'").all(),
    );
    return tables.filter((table) => !ofItself.includes(table) && differs(database, table));
  } finally {
    database.close();
  }
}

function differs(database: Database, table: string): boolean {
  const columns = names
    .parse(database.prepare('SELECT name FROM pragma_table_info(?)').all(table))
    .map((name) => `"${name}"`)
    .join(', ');
  const rows = (schema: string): string => `SELECT ${columns} FROM ${schema}."${table}"`;
  const missing = (from: string, of: string): boolean => {
    try {
      return database.prepare(`${rows(from)} EXCEPT ${rows(of)} LIMIT 1`).get() !== undefined;
    } catch {
      // The table, or one of its columns, is gone.
      return true;
    }
  };
  return missing('main', 'today') || missing('today', 'main');
}

function sync(path: string): void {
  const file = openSync(path, 'r');
  try {
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}
