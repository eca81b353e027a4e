import { z } from 'zod';
import type { Database, Migrations } from '../../../host/sqlite.ts';
import { type Verdict, verdicts } from '../../../lib/verdict.ts';
import { findingSchema } from '../../../operations/finding.ts';
import type { LiveSince } from './looks.ts';
import type { UsageSample } from './usage.ts';

/** What looks after a deploy have shown, and what containers have used since. Times are milliseconds since 1970. */
export const followUpMigrations: Migrations = {
  module: 'follow-ups',
  scripts: [
    `CREATE TABLE follow_ups (
       release TEXT NOT NULL,
       since INTEGER NOT NULL,
       look TEXT NOT NULL,
       at INTEGER NOT NULL,
       verdict TEXT NOT NULL,
       findings TEXT NOT NULL,
       PRIMARY KEY (release, since, look)
     ) STRICT;
     CREATE TABLE usage_samples (
       at INTEGER NOT NULL,
       container TEXT NOT NULL,
       memory REAL NOT NULL,
       cpu REAL NOT NULL,
       PRIMARY KEY (at, container)
     ) STRICT;`,
  ],
};

const row = z.object({
  release: z.string(),
  since: z.number(),
  look: z.string(),
  at: z.number(),
  verdict: z.enum(verdicts),
  findings: z.string().transform((text) => z.array(findingSchema).parse(JSON.parse(text))),
});
/** What one look has shown. */
export type FollowUp = z.output<typeof row>;

const sampleRow = z.object({ at: z.number(), container: z.string(), memory: z.number(), cpu: z.number() });

/** Follow-ups of deploys in state.db. Beside a writer they are only read. */
export class FollowUpStore {
  readonly #db: Database;

  constructor(database: Database) {
    this.#db = database;
  }

  /** Keeps what a look has shown, in place of an earlier one of that name. */
  keep(
    { release, since }: LiveSince,
    look: string,
    at: number,
    verdict: Verdict,
    findings: FollowUp['findings'],
  ): void {
    this.#db
      .prepare(
        'INSERT OR REPLACE INTO follow_ups (release, since, look, at, verdict, findings) VALUES (?, ?, ?, ?, ?, ?)',
      )
      .run(release, since, look, Math.round(at), verdict, JSON.stringify(findings));
  }

  /** What looks at a release have shown, oldest first. @param since only those of this time of being live */
  of(release: string, since?: number): FollowUp[] {
    if (!this.#has('follow_ups')) return [];
    const rows = this.#db.prepare('SELECT * FROM follow_ups WHERE release = ? ORDER BY at, rowid').all(release);
    return z
      .array(row)
      .parse(rows)
      .filter((one) => since === undefined || one.since === since);
  }

  /** Adds what containers use now. Samples from before `since`, or dated by a clock that was ahead, are forgotten. */
  sample(samples: readonly UsageSample[], since: number, now: number): void {
    this.#db.transaction(() => {
      this.#db.prepare('DELETE FROM usage_samples WHERE at < ? OR at > ?').run(since, now);
      for (const { at, container, memory, cpu } of samples)
        this.#db
          .prepare('INSERT OR REPLACE INTO usage_samples (at, container, memory, cpu) VALUES (?, ?, ?, ?)')
          .run(at, container, memory, cpu);
    })();
  }

  /** Samples from a time on, oldest first. */
  samples(since: number): UsageSample[] {
    if (!this.#has('usage_samples')) return [];
    const rows = this.#db.prepare('SELECT * FROM usage_samples WHERE at >= ? ORDER BY at, container').all(since);
    return z.array(sampleRow).parse(rows);
  }

  /** Who reads beside an older writer finds no table yet. */
  #has(table: string): boolean {
    return this.#db.prepare("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?").get(table) !== undefined;
  }
}
