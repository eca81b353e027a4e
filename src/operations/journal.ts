import { z } from 'zod';
import type { Database, Migrations } from '../host/sqlite.ts';
import { findingSchema } from './finding.ts';
import { type PlannedStep, plannedStepSchema } from './step.ts';

/**
 * What was begun, how far it came and how it ended. Every transition is on disk (`synchronous=FULL`) before the work
 * that it announces begins, so that a killed agent knows what it was doing.
 */
export const journalMigrations: Migrations = {
  module: 'journal',
  scripts: [
    `CREATE TABLE operations (
       id TEXT PRIMARY KEY,
       kind TEXT NOT NULL,
       target TEXT,
       origin TEXT,
       input TEXT NOT NULL,
       actor TEXT NOT NULL,
       result TEXT NOT NULL DEFAULT 'running',
       started_at INTEGER NOT NULL,
       ended_at INTEGER,
       shifted_at INTEGER,
       error TEXT
     ) STRICT;
     CREATE INDEX operations_by_start ON operations (started_at);
     CREATE TABLE steps (
       operation TEXT NOT NULL REFERENCES operations (id) ON DELETE CASCADE,
       position INTEGER NOT NULL,
       plan TEXT NOT NULL,
       state TEXT NOT NULL DEFAULT 'pending',
       started_at INTEGER,
       ended_at INTEGER,
       detail TEXT NOT NULL DEFAULT '',
       finding TEXT,
       PRIMARY KEY (operation, position)
     ) STRICT;`,
    // Milliseconds that passed, whatever the wall clock was set to meanwhile; null where nobody was there to measure.
    `ALTER TABLE operations ADD COLUMN elapsed INTEGER;
     ALTER TABLE operations ADD COLUMN shift_elapsed INTEGER;
     ALTER TABLE steps ADD COLUMN elapsed INTEGER;`,
  ],
};

/** Who acts: the account, proven by the kernel; `login` is who came in at the beginning, where that is another account. */
export const actorSchema = z.object({
  uid: z.number(),
  user: z.string(),
  ssh: z.string().nullable(),
  login: z.object({ uid: z.number(), user: z.string() }).optional(),
});
export type Actor = z.output<typeof actorSchema>;

const operationResults = ['done', 'failed', 'rolled_back', 'manual'] as const;
export type OperationOutcome = (typeof operationResults)[number];

const stepStates = ['pending', 'applying', 'applied', 'verified', 'failed', 'undoing', 'undone'] as const;
export type StepState = (typeof stepStates)[number];

const errorSchema = z.object({
  code: z.string(),
  message: z.string(),
  left: z.string().optional(),
  hint: z.string().optional(),
  exit: z.number(),
});
export type RecordedError = z.output<typeof errorSchema>;

const json = <T>(schema: z.ZodType<T>) => z.string().transform((text): T => schema.parse(JSON.parse(text)));

const operationRow = z
  .object({
    id: z.string(),
    kind: z.string(),
    target: z.string().nullable(),
    origin: z.string().nullable(),
    input: json(z.unknown()),
    actor: json(actorSchema),
    result: z.enum(['running', ...operationResults]),
    started_at: z.number(),
    ended_at: z.number().nullable(),
    shifted_at: z.number().nullable(),
    elapsed: z.number().nullable(),
    shift_elapsed: z.number().nullable(),
    error: json(errorSchema).nullable(),
  })
  .transform((row) => ({
    id: row.id,
    kind: row.kind,
    /** What it is about, usually a tag. */
    target: row.target,
    /** What was live when it began. */
    origin: row.origin,
    input: row.input,
    actor: row.actor,
    result: row.result,
    startedAt: row.started_at,
    endedAt: row.ended_at,
    shiftedAt: row.shifted_at,
    /** Milliseconds that it took; null when more than one process worked on it. */
    elapsed: row.elapsed,
    /** Milliseconds until traffic had shifted; null likewise. */
    shiftElapsed: row.shift_elapsed,
    error: row.error,
  }));
export type OperationRecord = z.output<typeof operationRow>;

const stepRow = z
  .object({
    position: z.number(),
    plan: json(plannedStepSchema),
    state: z.enum(stepStates),
    started_at: z.number().nullable(),
    ended_at: z.number().nullable(),
    elapsed: z.number().nullable(),
    detail: z.string(),
    finding: json(findingSchema).nullable(),
  })
  .transform((row) => ({
    position: row.position,
    plan: row.plan,
    state: row.state,
    startedAt: row.started_at,
    endedAt: row.ended_at,
    /** Milliseconds that it took, without taking it back. */
    elapsed: row.elapsed,
    detail: row.detail,
    finding: row.finding,
  }));
export type StepRecord = z.output<typeof stepRow>;

export interface NewOperation {
  readonly id: string;
  readonly kind: string;
  readonly target: string | null;
  readonly origin: string | null;
  readonly input: unknown;
  readonly actor: Actor;
}

/** Operations that are kept; older ones are forgotten, but for the last deploy of each release: its person may not sign it off. */
const keptOperations = 1_000;

/** In the order in which they were begun, which the wall clock does not know: rows are numbered as they come. */
export class Journal {
  readonly #db: Database;

  constructor(database: Database) {
    this.#db = database;
  }

  /** @param at milliseconds since 1970 */
  begin(operation: NewOperation, at: number): void {
    this.#db
      .prepare(
        'INSERT INTO operations (id, kind, target, origin, input, actor, started_at) VALUES (?, ?, ?, ?, ?, ?, ?)',
      )
      .run(
        operation.id,
        operation.kind,
        operation.target,
        operation.origin,
        JSON.stringify(operation.input),
        JSON.stringify(operation.actor),
        at,
      );
    this.#db
      .prepare(
        `DELETE FROM operations WHERE result <> 'running' AND id NOT IN
           (SELECT id FROM operations ORDER BY rowid DESC LIMIT ${keptOperations})
           AND id NOT IN
           (SELECT id FROM (SELECT id, max(rowid) FROM operations WHERE kind = 'deploy' AND result = 'done' GROUP BY target))`,
      )
      .run();
  }

  /** Adds steps behind those that are there already. */
  plan(operation: string, steps: readonly PlannedStep[]): void {
    const first = this.steps(operation).length;
    const insert = this.#db.prepare('INSERT INTO steps (operation, position, plan) VALUES (?, ?, ?)');
    this.#db.transaction(() => {
      steps.forEach((step, index) => {
        insert.run(operation, first + index, JSON.stringify(step));
      });
    })();
  }

  aim(operation: string, about: { target: string | null; origin: string | null }): void {
    this.#db
      .prepare('UPDATE operations SET target = ?, origin = ? WHERE id = ?')
      .run(about.target, about.origin, operation);
  }

  step(
    operation: string,
    position: number,
    state: StepState,
    at: number,
    about: { detail?: string; finding?: unknown; elapsed?: number } = {},
  ): void {
    const ended = state === 'applying' || state === 'undoing' ? null : at;
    this.#db
      .prepare(
        `UPDATE steps SET state = ?, started_at = coalesce(started_at, ?), ended_at = ?,
           elapsed = coalesce(?, elapsed), detail = coalesce(?, detail), finding = coalesce(?, finding) WHERE operation = ? AND position = ?`,
      )
      .run(
        state,
        at,
        ended,
        rounded(about.elapsed),
        about.detail ?? null,
        about.finding === undefined ? null : JSON.stringify(about.finding),
        operation,
        position,
      );
  }

  /**
   * Traffic was shifted; of several shifts the last one counts.
   * @param elapsed milliseconds since it began, if that was measured
   */
  shifted(operation: string, at: number, elapsed?: number): void {
    this.#db
      .prepare('UPDATE operations SET shifted_at = ?, shift_elapsed = ? WHERE id = ?')
      .run(at, rounded(elapsed), operation);
  }

  /** @param elapsed milliseconds since it began, if that was measured */
  end(operation: string, result: OperationOutcome, at: number, error: RecordedError | null, elapsed?: number): void {
    this.#db
      .prepare('UPDATE operations SET result = ?, ended_at = ?, error = ?, elapsed = ? WHERE id = ?')
      .run(result, at, error === null ? null : JSON.stringify(error), rounded(elapsed), operation);
  }

  /** All of it is written, or nothing. */
  atomically(work: () => void): void {
    this.#db.transaction(work).immediate();
  }

  operation(id: string): OperationRecord | undefined {
    const row = this.#db.prepare('SELECT * FROM operations WHERE id = ?').get(id);
    return row === undefined ? undefined : operationRow.parse(row);
  }

  steps(operation: string): StepRecord[] {
    return z
      .array(stepRow)
      .parse(this.#db.prepare('SELECT * FROM steps WHERE operation = ? ORDER BY position').all(operation));
  }

  /** Operations that were running when the last writer ended, oldest first. */
  open(): OperationRecord[] {
    return z
      .array(operationRow)
      .parse(this.#db.prepare("SELECT * FROM operations WHERE result = 'running' ORDER BY rowid").all());
  }

  /** Newest first. */
  recent(limit: number): OperationRecord[] {
    return z
      .array(operationRow)
      .parse(this.#db.prepare('SELECT * FROM operations ORDER BY rowid DESC LIMIT ?').all(limit));
  }

  /** Operations about one thing, however long ago; newest first. @param target as they were begun with: a tag */
  about(target: string, limit: number): OperationRecord[] {
    return z
      .array(operationRow)
      .parse(
        this.#db.prepare('SELECT * FROM operations WHERE target = ? ORDER BY rowid DESC LIMIT ?').all(target, limit),
      );
  }

  /**
   * How long a step type usually takes.
   * @returns the median of its last nine successful runs in milliseconds, or null when it never ran
   */
  usualDuration(action: string): number | null {
    const rows = z.array(z.object({ ms: z.number() })).parse(
      this.#db
        .prepare(
          `SELECT coalesce(elapsed, max(0, ended_at - started_at)) AS ms FROM steps
           WHERE json_extract(plan, '$.action') = ? AND state = 'verified' ORDER BY rowid DESC LIMIT 9`,
        )
        .all(action),
    );
    const sorted = rows.map((row) => row.ms).sort((a, b) => a - b);
    return sorted[Math.floor(sorted.length / 2)] ?? null;
  }
}

function rounded(ms: number | undefined): number | null {
  return ms === undefined ? null : Math.round(ms);
}
