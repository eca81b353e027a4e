import { z } from 'zod';
import type { Database, Migrations } from '../../host/sqlite.ts';
import { type Verdict, verdicts } from '../../lib/verdict.ts';
import type { CheckResult } from './check.ts';

/** The last verdict of each check: what `check_verdict{id}` shows and `post-deploy` compares with. */
export const checkMigrations: Migrations = {
  module: 'checks',
  scripts: [
    `CREATE TABLE check_verdicts (
       id TEXT PRIMARY KEY,
       verdict TEXT NOT NULL,
       observed TEXT NOT NULL,
       at INTEGER NOT NULL
     ) STRICT;`,
  ],
};

const row = z.object({ id: z.string(), verdict: z.enum(verdicts), observed: z.string(), at: z.number() });
export interface KeptVerdict {
  readonly id: string;
  readonly verdict: Verdict;
  readonly observed: string;
  /** Milliseconds since 1970. */
  readonly at: number;
}

export class VerdictStore {
  readonly #db: Database;

  constructor(database: Database) {
    this.#db = database;
  }

  /** Keeps the verdicts in place of earlier ones; without the right to write nothing is kept. */
  keep(results: readonly CheckResult[], at: number): void {
    if (this.#db.readonly || this.#db.memory) return;
    this.#db.transaction(() => {
      for (const { id, verdict, observed } of results)
        this.#db
          .prepare(
            `INSERT INTO check_verdicts (id, verdict, observed, at) VALUES (?, ?, ?, ?) ON CONFLICT (id) DO UPDATE
             SET verdict = excluded.verdict, observed = excluded.observed, at = excluded.at`,
          )
          .run(id, verdict, observed, Math.round(at));
    })();
  }

  /** The last verdict of every check that was ever made. */
  all(): KeptVerdict[] {
    return z.array(row).parse(this.#db.prepare('SELECT id, verdict, observed, at FROM check_verdicts').all());
  }

  /** Forgets checks that no longer exist: own ones that were taken out of appliance.yaml. */
  forget(ids: readonly string[]): void {
    for (const id of ids) this.#db.prepare('DELETE FROM check_verdicts WHERE id = ?').run(id);
  }
}
