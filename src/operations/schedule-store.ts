import { z } from 'zod';
import type { Database, Migrations } from '../host/sqlite.ts';
import type { SlotHistory } from '../lib/schedule.ts';

/** What jobs have run when, kept on the disk so that neither a restart nor a clock makes a night run twice or not at all. */
export const scheduleMigrations: Migrations = {
  module: 'schedule',
  scripts: [
    `CREATE TABLE schedule_jobs (
       job TEXT PRIMARY KEY,
       since INTEGER NOT NULL
     ) STRICT;
     CREATE TABLE schedule_runs (
       id INTEGER PRIMARY KEY,
       job TEXT NOT NULL,
       slot TEXT NOT NULL,
       process TEXT NOT NULL,
       started_at INTEGER NOT NULL,
       ended_at INTEGER,
       result TEXT NOT NULL DEFAULT 'running',
       operation TEXT,
       error TEXT
     ) STRICT;
     CREATE INDEX schedule_runs_by_slot ON schedule_runs (job, slot);`,
  ],
};

const runResults = ['running', 'done', 'failed', 'interrupted'] as const;

const row = z
  .object({
    id: z.number(),
    job: z.string(),
    slot: z.string(),
    process: z.string(),
    started_at: z.number(),
    ended_at: z.number().nullable(),
    result: z.enum(runResults),
    operation: z.string().nullable(),
    error: z.string().nullable(),
  })
  .transform(({ started_at, ended_at, ...rest }) => ({ ...rest, startedAt: started_at, endedAt: ended_at }));
/** One run of a job. Times are milliseconds since 1970. */
export type ScheduledRun = z.output<typeof row>;

/** Runs that are kept for each job: more than a year of nights. */
const keptRuns = 500;

/** The runs of every job, and since when each job exists. */
export class ScheduleStore {
  readonly #db: Database;

  constructor(database: Database) {
    this.#db = database;
  }

  /**
   * Since when a job exists; remembers it when it is new. A job that was first seen by a clock far ahead exists since now.
   * @param now milliseconds since 1970
   */
  since(job: string, now: number): number {
    const known = z
      .object({ since: z.number() })
      .optional()
      .parse(this.#db.prepare('SELECT since FROM schedule_jobs WHERE job = ?').get(job))?.since;
    if (known !== undefined && known <= now) return known;
    this.#db.prepare('INSERT OR REPLACE INTO schedule_jobs (job, since) VALUES (?, ?)').run(job, now);
    return now;
  }

  /** As `since`, for those who only read. */
  known(job: string): number | undefined {
    return this.#has('schedule_jobs')
      ? z
          .object({ since: z.number() })
          .optional()
          .parse(this.#db.prepare('SELECT since FROM schedule_jobs WHERE job = ?').get(job))?.since
      : undefined;
  }

  /** @param process who runs it: a run of a process that has ended is no run any more @returns its number */
  begin(job: string, slot: string, process: string, now: number): number {
    const { lastInsertRowid } = this.#db
      .prepare('INSERT INTO schedule_runs (job, slot, process, started_at) VALUES (?, ?, ?, ?)')
      .run(job, slot, process, now);
    this.#db
      .prepare(
        `DELETE FROM schedule_runs WHERE job = ? AND id NOT IN
           (SELECT id FROM schedule_runs WHERE job = ? ORDER BY id DESC LIMIT ${keptRuns})`,
      )
      .run(job, job);
    return Number(lastInsertRowid);
  }

  /** Which operation of the journal a run is. */
  runs(id: number, operation: string): void {
    this.#db.prepare('UPDATE schedule_runs SET operation = ? WHERE id = ?').run(operation, id);
  }

  end(id: number, result: Exclude<ScheduledRun['result'], 'running'>, now: number, error: string | null): void {
    this.#db
      .prepare('UPDATE schedule_runs SET result = ?, ended_at = ?, error = ? WHERE id = ?')
      .run(result, now, error, id);
  }

  /** Runs that nobody has written the end of, oldest first. */
  open(): ScheduledRun[] {
    return this.#rows("WHERE result = 'running' ORDER BY id");
  }

  /** Newest first. */
  recent(job: string, limit: number): ScheduledRun[] {
    return this.#rows('WHERE job = ? ORDER BY id DESC LIMIT ?', job, limit);
  }

  lastEnded(job: string): ScheduledRun | undefined {
    return this.#rows("WHERE job = ? AND result <> 'running' ORDER BY id DESC LIMIT 1", job)[0];
  }

  lastSuccess(job: string): ScheduledRun | undefined {
    return this.#rows("WHERE job = ? AND result = 'done' ORDER BY id DESC LIMIT 1", job)[0];
  }

  history(job: string, slot: string): SlotHistory {
    const runs = this.#rows('WHERE job = ? AND slot = ? ORDER BY id', job, slot);
    const failed = runs.filter(({ result }) => result === 'failed' || result === 'interrupted');
    return {
      succeeded: runs.some(({ result }) => result === 'done'),
      running: runs.some(({ result }) => result === 'running'),
      failures: failed.length,
      lastFailure: failed.at(-1)?.endedAt ?? null,
    };
  }

  #rows(where: string, ...values: (string | number)[]): ScheduledRun[] {
    // Who reads beside an older writer finds no table yet.
    if (!this.#has('schedule_runs')) return [];
    return z.array(row).parse(this.#db.prepare(`SELECT * FROM schedule_runs ${where}`).all(...values));
  }

  #has(table: string): boolean {
    return this.#db.prepare("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?").get(table) !== undefined;
  }
}
