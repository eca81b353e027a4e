import { z } from 'zod';
import type { Database, Migrations } from '../../host/sqlite.ts';
import { findingSchema } from '../../operations/finding.ts';

/**
 * How far a progressive rollout came and what people want of it. It belongs to an operation of the journal and goes with
 * it; a rollout that is cut short continues from here.
 */
export const rolloutMigrations: Migrations = {
  module: 'rollouts',
  scripts: [
    `CREATE TABLE rollouts (
       operation TEXT PRIMARY KEY REFERENCES operations (id) ON DELETE CASCADE,
       policy TEXT NOT NULL,
       rules TEXT NOT NULL,
       candidate TEXT NOT NULL,
       baseline TEXT,
       started_at INTEGER NOT NULL,
       wish TEXT NOT NULL DEFAULT 'run',
       reason TEXT
     ) STRICT;
     CREATE TABLE rollout_stages (
       operation TEXT NOT NULL REFERENCES rollouts (operation) ON DELETE CASCADE,
       position INTEGER NOT NULL,
       kind TEXT NOT NULL,
       weight INTEGER NOT NULL,
       duration INTEGER NOT NULL,
       started_at INTEGER NOT NULL,
       ended_at INTEGER,
       held INTEGER NOT NULL DEFAULT 0,
       promoted TEXT,
       outcome TEXT,
       waiting TEXT,
       findings TEXT NOT NULL DEFAULT '[]',
       PRIMARY KEY (operation, position)
     ) STRICT;`,
  ],
};

/** What people want of a running rollout: `finish` passes every stage that is left. */
const wishes = ['run', 'pause', 'finish', 'abort'] as const;
export type RolloutWish = (typeof wishes)[number];

const outcomes = ['passed', 'promoted', 'failed', 'inconclusive', 'aborted'] as const;
export type StageOutcome = (typeof outcomes)[number];

const stageKinds = ['stage', 'bake', 'shadow'] as const;
export type StageKind = (typeof stageKinds)[number];

/** A finding and what hangs on it: `gate` lets a stage pass, `rollback` takes the release back, `investigate` is for people. */
const roleSchema = z.enum(['gate', 'rollback', 'investigate']);
const judged = findingSchema.extend({ role: roleSchema });
export type JudgedFinding = z.output<typeof judged>;

const json = <T>(schema: z.ZodType<T>) => z.string().transform((text): T => schema.parse(JSON.parse(text)));

const stageRow = z
  .object({
    position: z.number(),
    kind: z.enum(stageKinds),
    weight: z.number(),
    duration: z.number(),
    started_at: z.number(),
    ended_at: z.number().nullable(),
    held: z.number(),
    promoted: z.string().nullable(),
    outcome: z.enum(outcomes).nullable(),
    waiting: z.string().nullable(),
    findings: json(z.array(judged)),
  })
  .transform((row) => ({
    position: row.position,
    kind: row.kind,
    weight: row.weight,
    /** Milliseconds that it lasts at least. */
    duration: row.duration,
    startedAt: row.started_at,
    endedAt: row.ended_at,
    /** Milliseconds that it was watched, pauses and absences of the agent not counted. */
    held: row.held,
    /** Who passed it by hand. */
    promoted: row.promoted,
    outcome: row.outcome,
    /** What it waits for, for people. */
    waiting: row.waiting,
    findings: row.findings,
  }));
export type StageRecord = z.output<typeof stageRow>;

const rolloutRow = z
  .object({
    operation: z.string(),
    policy: z.string(),
    rules: z.string(),
    candidate: z.string(),
    baseline: z.string().nullable(),
    started_at: z.number(),
    wish: z.enum(wishes),
    reason: z.string().nullable(),
  })
  .transform((row) => ({
    operation: row.operation,
    policy: row.policy,
    /** The policy as it was when the rollout began: a change of the file does not move the goalposts. */
    rules: row.rules,
    /** Tag that is rolled out, and tag that it is compared with and that it goes back to. */
    candidate: row.candidate,
    baseline: row.baseline,
    startedAt: row.started_at,
    wish: row.wish,
    reason: row.reason,
  }));
export type RolloutRecord = z.output<typeof rolloutRow>;

export type NewRollout = Pick<RolloutRecord, 'operation' | 'policy' | 'rules' | 'candidate' | 'baseline'>;

/** The rollouts in the state database. The one writer also wakes whoever waits for a change of mind. */
export class RolloutStore {
  readonly #db: Database;
  readonly #wakers = new Map<string, () => void>();
  /** Told after every change that people may want to see. */
  onChange: (operation: string) => void = () => {};

  constructor(database: Database) {
    this.#db = database;
  }

  /** Begins a rollout; one that has begun already is left as it is. @param at milliseconds since 1970 */
  begin(rollout: NewRollout, at: number): void {
    this.#db
      .prepare(
        `INSERT INTO rollouts (operation, policy, rules, candidate, baseline, started_at) VALUES (?, ?, ?, ?, ?, ?)
         ON CONFLICT (operation) DO NOTHING`,
      )
      .run(rollout.operation, rollout.policy, rollout.rules, rollout.candidate, rollout.baseline, at);
  }

  of(operation: string): RolloutRecord | undefined {
    if (!this.#exists()) return undefined;
    const row = this.#db.prepare('SELECT * FROM rollouts WHERE operation = ?').get(operation);
    return row === undefined ? undefined : rolloutRow.parse(row);
  }

  stages(operation: string): StageRecord[] {
    if (!this.#exists()) return [];
    const rows = this.#db.prepare('SELECT * FROM rollout_stages WHERE operation = ? ORDER BY position').all(operation);
    return z.array(stageRow).parse(rows);
  }

  /** Begins a stage, or finds it as it was when its agent ended. */
  enter(
    operation: string,
    stage: Pick<StageRecord, 'position' | 'kind' | 'weight' | 'duration'>,
    at: number,
  ): StageRecord {
    this.#db
      .prepare(
        `INSERT INTO rollout_stages (operation, position, kind, weight, duration, started_at) VALUES (?, ?, ?, ?, ?, ?)
         ON CONFLICT (operation, position) DO NOTHING`,
      )
      .run(operation, stage.position, stage.kind, stage.weight, stage.duration, at);
    this.onChange(operation);
    return this.stage(operation, stage.position);
  }

  stage(operation: string, position: number): StageRecord {
    const row = this.#db
      .prepare('SELECT * FROM rollout_stages WHERE operation = ? AND position = ?')
      .get(operation, position);
    return stageRow.parse(row);
  }

  /** Records what a look has shown. @param seen.held milliseconds */
  look(
    operation: string,
    position: number,
    seen: { held: number; waiting: string; findings: readonly JudgedFinding[] },
  ): void {
    this.#db
      .prepare('UPDATE rollout_stages SET held = ?, waiting = ?, findings = ? WHERE operation = ? AND position = ?')
      .run(Math.round(seen.held), seen.waiting, JSON.stringify(seen.findings), operation, position);
    this.onChange(operation);
  }

  leave(operation: string, position: number, outcome: StageOutcome, at: number): void {
    this.#db
      .prepare(
        'UPDATE rollout_stages SET outcome = ?, ended_at = ?, waiting = NULL WHERE operation = ? AND position = ?',
      )
      .run(outcome, at, operation, position);
    this.onChange(operation);
  }

  /** Says what is wanted from now on. @param reason who wants it and why, for the record */
  want(operation: string, wish: RolloutWish, reason: string): void {
    this.#db.prepare('UPDATE rollouts SET wish = ?, reason = ? WHERE operation = ?').run(wish, reason, operation);
    this.#changed(operation);
  }

  /** Passes one stage by hand; a pause ends with it, a call to go back does not. */
  promote(operation: string, position: number, by: string): void {
    this.#db.transaction(() => {
      this.#db
        .prepare('UPDATE rollout_stages SET promoted = ? WHERE operation = ? AND position = ? AND ended_at IS NULL')
        .run(by, operation, position);
      this.#db
        .prepare("UPDATE rollouts SET wish = 'run', reason = ? WHERE operation = ? AND wish <> 'abort'")
        .run(by, operation);
    })();
    this.#changed(operation);
  }

  /** A signal that aborts at the next change of mind about a rollout. One waiter per rollout: its running step. */
  changeOf(operation: string): AbortSignal {
    const controller = new AbortController();
    this.#wakers.set(operation, () => controller.abort());
    return controller.signal;
  }

  /** Nobody waits any more. */
  settle(operation: string): void {
    this.#wakers.delete(operation);
  }

  /** Whether users may get the candidate already: from then on a rollout goes on where it was, whoever runs it. */
  hasBegun(operation: string): boolean {
    return this.stages(operation).length > 0;
  }

  #changed(operation: string): void {
    this.#wakers.get(operation)?.();
    this.onChange(operation);
  }

  /** A database that is only read may have been written by a version that knew no rollouts. */
  #exists(): boolean {
    return (
      this.#db.prepare("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'rollout_stages'").get() !==
      undefined
    );
  }
}
