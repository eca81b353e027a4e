import { randomBytes } from 'node:crypto';
import { chmodSync, existsSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type Database, openDatabase, openReadOnly } from '../../host/sqlite.ts';
import { ApplianceError, asApplianceError, messageOf, systemCode } from '../../lib/errors.ts';
import {
  type Disturbance,
  disturbanceOf,
  identityOf,
  type RegistryIdentity,
  removeForeignLog,
} from './registry-identity.ts';
import { registryMigrations } from './registry-schema.ts';
import { whyUnwritable } from './unwritable.ts';

/** The file `registry.db`: opened, read and written so that damage is told with the way back, wherever it shows. */
export class RegistryDatabase {
  readonly #path: string;
  readonly #database: Database;
  #identity: RegistryIdentity | null;

  /**
   * @param access `read` beside a writer; where there is no file, there is nothing to read
   * @throws ApplianceError `state_corrupt`; the file is left as it is; `disk_full`, `not_permitted`
   */
  constructor(path: string, access: 'read' | 'write') {
    this.#path = path;
    assertNotEmptied(path);
    this.#database = guarded(path, () =>
      access === 'read' && existsSync(path)
        ? openReadOnly(path, [registryMigrations])
        : openDatabase(access === 'write' ? path : ':memory:', [registryMigrations], 0o644),
    );
    this.#identity = this.#database.memory ? null : identityOf(path);
  }

  get writable(): boolean {
    return !this.#database.readonly && !this.#database.memory;
  }

  read<T>(work: (sql: Database) => T): T {
    return guarded(this.#path, () => work(this.#database));
  }

  /** What somebody else has done to the file since it was opened; null: nothing. Two calls of the system. */
  disturbance(): Disturbance | null {
    if (!this.#identity) return null;
    const now = identityOf(this.#path);
    const found = disturbanceOf(this.#identity, now);
    if (found === null) this.#identity = now;
    return found;
  }

  /**
   * Removes what this one has left beside a file that is another one now. Afterwards it must not be closed: SQLite would
   * remove the log of the other one by its name.
   */
  leaveTo(): void {
    if (this.#identity) removeForeignLog(this.#path, this.#identity);
  }

  /** What SQLite finds wrong; null: nothing. Reads all of it. */
  damage(): string | null {
    const verdict = this.read((sql) => String(sql.pragma('quick_check', { simple: true })));
    return verdict === 'ok' ? null : verdict;
  }

  /**
   * Writes the file anew after it was removed or truncated, from what this process holds: log, open file, cache.
   * @returns whether all of it was there; else the file is left as it is
   * @throws ApplianceError `disk_full`
   */
  writeAnew(): boolean {
    if (!existsSync(dirname(this.#path))) return false;
    const temporary = join(dirname(this.#path), `.${randomBytes(6).toString('hex')}.tmp`);
    try {
      this.#database.prepare('VACUUM INTO ?').run(temporary);
      openReadOnly(temporary, [registryMigrations]).close();
      chmodSync(temporary, 0o644);
      renameSync(temporary, this.#path);
      return true;
    } catch (error) {
      rmSync(temporary, { force: true });
      if (/^SQLITE_(CORRUPT|NOTADB)/.test(systemCode(error) ?? '')) return false;
      throw error;
    }
  }

  /** All of it or nothing, one writer at a time. */
  write<T>(work: (sql: Database) => T): T {
    return guarded(this.#path, () => this.#database.transaction(() => work(this.#database)).immediate());
  }

  /**
   * The write-ahead log stays, empty: without it nobody could open the registry from a read-only mount, where SQLite
   * cannot make it anew (sqlite.org/wal.html#read_only_databases). A reader that ends last does not remove it.
   */
  close(): void {
    const database = this.#database;
    if (!database.open) return;
    if (!this.writable) {
      database.close();
      return;
    }
    const last = this.#lastReader();
    database.close();
    last?.close();
  }

  /** Whoever keeps the log in its place; undefined where the file is gone or damaged, and there is nothing to keep. */
  #lastReader(): Database | undefined {
    try {
      this.#database.pragma('wal_checkpoint(TRUNCATE)');
      return openReadOnly(this.#path);
    } catch {
      return undefined;
    }
  }
}

/** Whether an error says that there is a registry and nobody can use it: what needs none then goes on without. */
export function isRegistryUnusable(error: unknown): boolean {
  return ['state_corrupt', 'state_newer'].includes(asApplianceError(error).code);
}

/** SQLite takes an empty file for a new database; beside versions it is one that has lost its content. */
function assertNotEmptied(path: string): void {
  if (!existsSync(path) || statSync(path).size > 0) return;
  const versions = join(dirname(path), 'versions');
  if (existsSync(versions) && readdirSync(versions).length > 0) throw damaged(path, 'it is empty');
}

/** SQLite may find damage at any read, not only when the file is opened. */
function guarded<T>(path: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    const origin = error instanceof ApplianceError && error.code === 'internal' ? error.cause : error;
    const corrupt = /^SQLITE_(CORRUPT|NOTADB)/.test(systemCode(origin) ?? '');
    const told = corrupt ? undefined : asApplianceError(error);
    if (told && told.code !== 'state_corrupt') throw told.code === 'internal' ? error : told;
    throw (corrupt ? undefined : whyUnwritable(dirname(path))) ?? damaged(path, messageOf(error), error);
  }
}

function damaged(path: string, why: string, cause?: unknown): ApplianceError {
  return new ApplianceError('state_corrupt', `the model registry ${path} is damaged: ${why}`, {
    left: 'it was left as it is; the model in force goes on being served',
    hint: `restore ${path} from a backup (remove ${path}-wal and ${path}-shm first); without one, move it away and register what lies there again: appliance models verify --repair`,
    cause,
  });
}
