import { existsSync } from 'node:fs';
import { type Database, openDatabase, openReadOnly } from '../../host/sqlite.ts';
import { ApplianceError, asApplianceError, messageOf, systemCode } from '../../lib/errors.ts';
import { registryMigrations } from './registry-schema.ts';

/** The file `registry.db`: opened, read and written so that damage is told with the way back, wherever it shows. */
export class RegistryDatabase {
  readonly #path: string;
  readonly #database: Database;

  /**
   * @param access `read` beside a writer; where there is no file, there is nothing to read
   * @throws ApplianceError `state_corrupt`; the file is left as it is; `disk_full`, `not_permitted`
   */
  constructor(path: string, access: 'read' | 'write') {
    this.#path = path;
    this.#database = guarded(path, () =>
      access === 'read' && existsSync(path)
        ? openReadOnly(path, [registryMigrations])
        : openDatabase(access === 'write' ? path : ':memory:', [registryMigrations], 0o644),
    );
  }

  get writable(): boolean {
    return !this.#database.readonly && !this.#database.memory;
  }

  read<T>(work: (sql: Database) => T): T {
    return guarded(this.#path, () => work(this.#database));
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

/** SQLite may find damage at any read, not only when the file is opened. */
function guarded<T>(path: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    const origin = error instanceof ApplianceError && error.code === 'internal' ? error.cause : error;
    const damaged = /^SQLITE_(CORRUPT|NOTADB)/.test(systemCode(origin) ?? '');
    const told = damaged ? undefined : asApplianceError(error);
    if (told && told.code !== 'state_corrupt') throw told.code === 'internal' ? error : told;
    throw new ApplianceError('state_corrupt', `the model registry ${path} is damaged: ${messageOf(error)}`, {
      left: 'it was left as it is; the model in force goes on being served',
      hint: `restore ${path} from a backup (remove ${path}-wal and ${path}-shm first); without one, move it away and register what lies there again: appliance models import`,
      cause: error,
    });
  }
}
