import { accessSync, chmodSync, constants, existsSync, mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import Sqlite from 'better-sqlite3';
import { ApplianceError, asApplianceError, messageOf, systemCode } from '../lib/errors.ts';

export type Database = Sqlite.Database;

/** The tables of one part of the program, as an append-only list of SQL scripts. */
export interface Migrations {
  readonly module: string;
  readonly scripts: readonly string[];
}

/**
 * Opens a database for its one writer: WAL, `synchronous=FULL`, integrity checked, every module brought up to date in
 * one transaction.
 * @param mode permission bits of the file
 * @param beforeChange told before tables that an older program has left are brought up to date; when it throws, they stay
 * @throws ApplianceError `state_corrupt` when the file is damaged, `state_newer` when it is newer than this program; it is
 *   left as it is; `disk_full`
 */
export function openDatabase(
  path: string,
  modules: readonly Migrations[],
  mode = 0o600,
  beforeChange: (database: Database) => void = () => undefined,
): Database {
  mkdirSync(dirname(path), { recursive: true, mode: 0o755 });
  const database = open(path, {});
  try {
    database.pragma('journal_mode = WAL');
    database.pragma('synchronous = FULL');
    database.pragma('foreign_keys = ON');
    database.pragma('busy_timeout = 5000');
    const verdict = database.pragma('quick_check', { simple: true });
    if (verdict !== 'ok') throw corrupt(path, `quick_check says ${String(verdict)}`);
    if (hasVersions(database) && isOlder(database, modules) && !isNewer(database, modules)) beforeChange(database);
    migrate(database, path, modules);
    // SQLite gives the files beside a new database the mode that it had before this line.
    if (!database.memory)
      for (const file of [path, `${path}-wal`, `${path}-shm`]) if (existsSync(file)) chmodSync(file, mode);
    return database;
  } catch (error) {
    database.close();
    const told = asApplianceError(error);
    throw told.code === 'internal' ? corrupt(path, messageOf(error), error) : told;
  }
}

/**
 * Opens a database for reading beside its writer. One that an older program wrote, and that no writer has brought up to
 * date yet, is read from a copy in memory.
 * @throws ApplianceError `disk_full`: after a writer that ended well, even a reader must write the index of the WAL
 */
export function openReadOnly(path: string, modules: readonly Migrations[] = []): Database {
  const database = open(path, { readonly: true, fileMustExist: true });
  try {
    database.pragma('busy_timeout = 5000');
    database.pragma('schema_version');
    return isOlder(database, modules) ? migratedCopy(database, path, modules) : database;
  } catch (error) {
    database.close();
    throw asApplianceError(error);
  }
}

/**
 * Opens a database as it is, with the usual rights; its tables are left alone.
 * @throws ApplianceError `state_corrupt`, `not_permitted`
 */
export function openPlain(path: string): Database {
  return open(path, { fileMustExist: true });
}

function hasVersions(database: Database): boolean {
  return database.prepare("SELECT 1 FROM sqlite_schema WHERE name = 'schema_versions'").get() !== undefined;
}

function isNewer(database: Database, modules: readonly Migrations[]): boolean {
  const read = database.prepare<[string], { version: number }>('SELECT version FROM schema_versions WHERE module = ?');
  return modules.some(({ module, scripts }) => (read.get(module)?.version ?? 0) > scripts.length);
}

function isOlder(database: Database, modules: readonly Migrations[]): boolean {
  if (modules.length === 0) return false;
  const read = database.prepare<[string], { version: number }>('SELECT version FROM schema_versions WHERE module = ?');
  return modules.some(({ module, scripts }) => (read.get(module)?.version ?? 0) < scripts.length);
}

function migratedCopy(database: Database, path: string, modules: readonly Migrations[]): Database {
  const image = database.serialize();
  database.close();
  // Bytes 18 and 19 say that there is a WAL (sqlite.org/fileformat.html); a database in memory has none.
  image.fill(1, 18, 20);
  const copy = new Sqlite(image);
  migrate(copy, path, modules);
  return copy;
}

function open(path: string, options: Sqlite.Options): Database {
  try {
    return new Sqlite(path, options);
  } catch (error) {
    throw denied(path) ?? corrupt(path, messageOf(error), error);
  }
}

/** A file that the caller may not read is no damaged file: SQLite says the same of both. */
function denied(path: string): ApplianceError | undefined {
  try {
    accessSync(path, constants.R_OK);
    return undefined;
  } catch (error) {
    const code = systemCode(error);
    if (code !== 'EACCES' && code !== 'EPERM') return undefined;
    return new ApplianceError('not_permitted', `you may not read ${path}`, {
      left: 'nothing was touched',
      hint: 'use sudo, or start the agent and join its operators or viewers',
      cause: error,
    });
  }
}

function migrate(database: Database, path: string, modules: readonly Migrations[]): void {
  database.exec(
    'CREATE TABLE IF NOT EXISTS schema_versions (module TEXT PRIMARY KEY, version INTEGER NOT NULL) STRICT',
  );
  const read = database.prepare<[string], { version: number }>('SELECT version FROM schema_versions WHERE module = ?');
  const write = database.prepare(
    'INSERT INTO schema_versions VALUES (?, ?) ON CONFLICT (module) DO UPDATE SET version = excluded.version',
  );
  database.transaction(() => {
    for (const { module, scripts } of modules) {
      const version = read.get(module)?.version ?? 0;
      if (version > scripts.length) {
        throw new ApplianceError(
          'state_newer',
          `${path} was written by a newer appliance (${module} ${version}, this one knows ${scripts.length})`,
          {
            left: 'the file was left as it is',
            hint: 'install the newer version again',
          },
        );
      }
      for (const script of scripts.slice(version)) database.exec(script);
      // Nothing is written when nothing has changed: the disk may be full.
      if (version < scripts.length) write.run(module, scripts.length);
    }
  })();
}

function corrupt(path: string, why: string, cause?: unknown): ApplianceError {
  return new ApplianceError('state_corrupt', `${path} cannot be used: ${why}`, {
    left: 'the file was left as it is; running containers are not touched',
    hint: `restore ${path} from a backup, or move it away to start with an empty history`,
    cause,
  });
}
