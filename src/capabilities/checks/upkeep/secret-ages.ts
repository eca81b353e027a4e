import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { z } from 'zod';
import type { Database, Migrations } from '../../../host/sqlite.ts';
import { asApplianceError } from '../../../lib/errors.ts';

/** Since when each secret has its value: never the value, and nothing that tells two equal ones apart from others. */
export const secretMigrations: Migrations = {
  module: 'secrets',
  scripts: [
    `CREATE TABLE secret_ages (
       name TEXT PRIMARY KEY,
       salt BLOB NOT NULL,
       digest BLOB NOT NULL,
       since INTEGER NOT NULL
     ) STRICT;`,
  ],
};

/** A secret as it stands now. Times are milliseconds since 1970. */
export interface HeldSecret {
  /** Where it stands, for people: `JWT_SECRET`, `alerts.receivers.team`. */
  readonly name: string;
  readonly value: string;
  /** When its file was last written: the value is at least as old. */
  readonly written: number;
}

const row = z.object({ name: z.string(), salt: z.instanceof(Buffer), digest: z.instanceof(Buffer), since: z.number() });
type Row = z.output<typeof row>;

/**
 * How old secrets are (S0-17, S2-28). A value is known again by a keyed digest; what is remembered is when it was first
 * seen, or, at the very first look, when its file was written.
 */
export class SecretAges {
  readonly #db: Database;
  #known: Map<string, Row> | undefined;

  constructor(database: Database) {
    this.#db = database;
  }

  /**
   * Looks at all secrets; one that is gone is forgotten.
   * @param now milliseconds since 1970
   * @returns name → since when it has its value
   */
  look(secrets: readonly HeldSecret[], now: number): ReadonlyMap<string, number> {
    const before = this.#known ?? this.#read();
    const held = new Map<string, Row>();
    for (const { name, value, written } of secrets) {
      const known = before.get(name);
      if (known && isSame(known, value)) held.set(name, known);
      else held.set(name, entry(name, value, Math.floor(known ? now : Math.min(now, written))));
    }
    this.#known = held;
    this.#keep(before, held);
    return new Map([...held].map(([name, { since }]) => [name, since]));
  }

  #read(): Map<string, Row> {
    const rows = z.array(row).parse(this.#db.prepare('SELECT * FROM secret_ages').all());
    return new Map(rows.map((one) => [one.name, one]));
  }

  /** Beside a writer, ages are only told. On a full disk the ages are kept in memory, and what changed is written by the next change. */
  #keep(before: ReadonlyMap<string, Row>, held: ReadonlyMap<string, Row>): void {
    const gone = [...before.keys()].filter((name) => !held.has(name));
    const fresh = [...held.values()].filter((one) => before.get(one.name) !== one);
    if (gone.length + fresh.length === 0 || this.#db.readonly) return;
    try {
      this.#db.transaction(() => {
        for (const name of gone) this.#db.prepare('DELETE FROM secret_ages WHERE name = ?').run(name);
        for (const { name, salt, digest, since } of fresh)
          this.#db
            .prepare('INSERT OR REPLACE INTO secret_ages (name, salt, digest, since) VALUES (?, ?, ?, ?)')
            .run(name, salt, digest, since);
      })();
    } catch (error) {
      if (asApplianceError(error).code !== 'disk_full') throw error;
    }
  }
}

function entry(name: string, value: string, since: number): Row {
  const salt = randomBytes(32);
  return { name, salt, digest: digestOf(salt, value), since };
}

function isSame({ salt, digest }: Row, value: string): boolean {
  return timingSafeEqual(digest, digestOf(salt, value));
}

function digestOf(salt: Buffer, value: string): Buffer {
  return createHmac('sha256', salt).update(value).digest();
}
