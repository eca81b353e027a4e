import { z } from 'zod';
import type { Database, Migrations } from '../../host/sqlite.ts';

/** What drills have found, newest last; a bounded number of them. */
export const drillMigrations: Migrations = {
  module: 'drills',
  scripts: [
    `CREATE TABLE drills (
       id INTEGER PRIMARY KEY,
       snapshot TEXT NOT NULL,
       at INTEGER NOT NULL,
       verdict TEXT NOT NULL,
       report TEXT NOT NULL
     ) STRICT;
     CREATE INDEX drills_by_snapshot ON drills (snapshot);`,
  ],
};

export const drillDepths = ['usual', 'deep'] as const;
export type DrillDepth = (typeof drillDepths)[number];

const findingSchema = z.object({
  id: z.string(),
  verdict: z.enum(['pass', 'fail', 'inconclusive']),
  observed: z.string(),
  expected: z.string().optional(),
  samples: z.number().optional(),
  hint: z.string().optional(),
});

/** One restore into throw-away containers (S4-1, S4-53). */
const drillReportSchema = z.object({
  snapshot: z.string(),
  depth: z.enum(drillDepths),
  operation: z.string(),
  /** Milliseconds since 1970, when it ended. */
  at: z.number(),
  verdict: z.enum(['pass', 'fail', 'inconclusive']),
  /** From the repository to a database that answers and files that are proven: what a restore takes at least (RTO). */
  seconds: z.number(),
  /** How old the snapshot was: what is lost at most (RPO). */
  ageSeconds: z.number(),
  findings: z.array(findingSchema),
  /** What this drill cannot prove, and why. */
  untested: z.array(z.string()),
});
export type DrillReport = z.output<typeof drillReportSchema>;

/** Reports that are kept: two years of nights. */
const kept = 800;

export class DrillReports {
  readonly #db: Database;

  constructor(database: Database) {
    this.#db = database;
  }

  keep(report: DrillReport): void {
    this.#db
      .prepare('INSERT INTO drills (snapshot, at, verdict, report) VALUES (?, ?, ?, ?)')
      .run(report.snapshot, report.at, report.verdict, JSON.stringify(report));
    this.#db.prepare(`DELETE FROM drills WHERE id NOT IN (SELECT id FROM drills ORDER BY id DESC LIMIT ${kept})`).run();
  }

  /** Of one snapshot, newest first. */
  of(snapshot: string): DrillReport[] {
    return this.#read('WHERE snapshot = ? ORDER BY id DESC', snapshot);
  }

  last(): DrillReport | undefined {
    return this.#read('ORDER BY id DESC LIMIT 1')[0];
  }

  lastPassed(): DrillReport | undefined {
    return this.#read("WHERE verdict = 'pass' ORDER BY id DESC LIMIT 1")[0];
  }

  #read(where: string, ...values: string[]): DrillReport[] {
    // Who reads beside an older writer finds no table yet.
    if (!this.#db.prepare("SELECT 1 FROM sqlite_master WHERE name = 'drills'").get()) return [];
    return z
      .array(z.object({ report: z.string() }))
      .parse(this.#db.prepare(`SELECT report FROM drills ${where}`).all(...values))
      .map(({ report }) => drillReportSchema.parse(JSON.parse(report)));
  }
}
