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
    'ALTER TABLE check_verdicts ADD COLUMN result TEXT;',
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
      for (const result of results)
        this.#db
          .prepare(
            `INSERT INTO check_verdicts (id, verdict, observed, at, result) VALUES (?, ?, ?, ?, ?)
             ON CONFLICT (id) DO UPDATE
             SET verdict = excluded.verdict, observed = excluded.observed, at = excluded.at, result = excluded.result`,
          )
          .run(result.id, result.verdict, result.observed, Math.round(at), JSON.stringify(result));
    })();
  }

  /** The last verdict of every check that was ever made. */
  all(): KeptVerdict[] {
    return z.array(row).parse(this.#db.prepare('SELECT id, verdict, observed, at FROM check_verdicts').all());
  }

  /** What every check said last, as it was kept: all of it as JSON. Verdicts of before it was kept are left out. */
  results(): { readonly result: string; readonly at: number }[] {
    const kept = this.#db
      .prepare('SELECT result, at FROM check_verdicts WHERE result IS NOT NULL ORDER BY rowid')
      .all();
    return z.array(z.object({ result: z.string(), at: z.number() })).parse(kept);
  }

  /** Forgets checks that no longer exist: own ones that were taken out of appliance.yaml. */
  forget(ids: readonly string[]): void {
    for (const id of ids) this.#db.prepare('DELETE FROM check_verdicts WHERE id = ?').run(id);
  }
}
