import { createHash } from 'node:crypto';
import { z } from 'zod';
import type { Database, Migrations } from '../host/sqlite.ts';
import type { Verdict } from '../lib/verdict.ts';
import { type Actor, actorSchema } from './journal.ts';

/** Who did what, from where: append-only, each row sealed with the hash of the one before (DESIGN §6). */
export const auditMigrations: Migrations = {
  module: 'audit',
  scripts: [
    `CREATE TABLE audit (
       seq INTEGER PRIMARY KEY,
       time TEXT NOT NULL,
       actor TEXT NOT NULL,
       action TEXT NOT NULL,
       target TEXT,
       result TEXT NOT NULL,
       hash TEXT NOT NULL
     ) STRICT;
     CREATE TRIGGER audit_is_append_only_1 BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
     CREATE TRIGGER audit_is_append_only_2 BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;`,
  ],
};

const row = z.object({
  seq: z.number(),
  time: z.string(),
  actor: z.string(),
  action: z.string(),
  target: z.string().nullable(),
  result: z.string(),
  hash: z.string(),
});
type Row = z.output<typeof row>;

export interface AuditEntry {
  readonly seq: number;
  readonly time: string;
  readonly actor: Actor;
  readonly action: string;
  readonly target: string | null;
  readonly result: string;
  readonly hash: string;
}

const beginning = '0'.repeat(64);

type Entry = Omit<Row, 'hash'>;

/** The columns of an entry in their order: what is written is what was sealed. */
function columnsOf({ seq, time, actor, action, target, result }: Entry) {
  return [seq, time, actor, action, target, result] as const;
}

function seal(previous: string, entry: Entry): string {
  const sealed = JSON.stringify([previous, ...columnsOf(entry)]);
  return createHash('sha256').update(sealed).digest('hex');
}

export class AuditLog {
  readonly #db: Database;

  constructor(database: Database) {
    this.#db = database;
  }

  /** @param time RFC 3339 */
  append(time: string, actor: Actor, action: string, target: string | null, result: string): void {
    this.#db
      .transaction(() => {
        const last = this.#last();
        const entry = { seq: (last?.seq ?? 0) + 1, time, actor: JSON.stringify(actor), action, target, result };
        this.#db
          .prepare('INSERT INTO audit VALUES (?, ?, ?, ?, ?, ?, ?)')
          .run(...columnsOf(entry), seal(last?.hash ?? beginning, entry));
      })
      .immediate();
  }

  /** Newest first. @param since RFC 3339; everything when undefined */
  entries(since: string | undefined, limit: number): AuditEntry[] {
    const rows = z
      .array(row)
      .parse(this.#db.prepare('SELECT * FROM audit WHERE time >= ? ORDER BY seq DESC LIMIT ?').all(since ?? '', limit));
    return rows.map((entry) => ({ ...entry, actor: actorSchema.parse(JSON.parse(entry.actor)) }));
  }

  /** The last entry of the chain; undefined while it is empty. */
  head(): { readonly seq: number; readonly hash: string } | undefined {
    return this.#last();
  }

  /** Proves that no row was changed, removed from the middle or put in another order. */
  verify(): { verdict: Verdict; entries: number; brokenAt: number | null } {
    let previous = beginning;
    let count = 0;
    for (const raw of this.#db.prepare('SELECT * FROM audit ORDER BY seq').iterate()) {
      const entry = row.parse(raw);
      count += 1;
      if (entry.seq !== count || seal(previous, entry) !== entry.hash)
        return { verdict: 'fail', entries: count, brokenAt: entry.seq };
      previous = entry.hash;
    }
    return { verdict: count === 0 ? 'inconclusive' : 'pass', entries: count, brokenAt: null };
  }

  #last(): { seq: number; hash: string } | undefined {
    return z
      .object({ seq: z.number(), hash: z.string() })
      .optional()
      .parse(this.#db.prepare('SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1').get());
  }
}
