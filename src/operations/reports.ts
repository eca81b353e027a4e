import { z } from 'zod';
import type { Database, Migrations } from '../host/sqlite.ts';

/** What steps have seen besides their findings. A report belongs to an operation of the journal and goes with it. */
export const reportMigrations: Migrations = {
  module: 'reports',
  scripts: [
    `CREATE TABLE reports (
       operation TEXT NOT NULL REFERENCES operations (id) ON DELETE CASCADE,
       kind TEXT NOT NULL,
       subject TEXT NOT NULL,
       report TEXT NOT NULL,
       PRIMARY KEY (operation, kind, subject)
     ) STRICT;`,
  ],
};

/** Reports of operations, by kind (`drain`, `shadow`) and by what they are about. */
export class Reports {
  readonly #db: Database;

  constructor(database: Database) {
    this.#db = database;
  }

  /** Keeps a report in place of an earlier one about the same. */
  keep(operation: string, kind: string, subject: string, report: unknown): void {
    this.#db
      .prepare(
        `INSERT INTO reports (operation, kind, subject, report) VALUES (?, ?, ?, ?)
         ON CONFLICT (operation, kind, subject) DO UPDATE SET report = excluded.report`,
      )
      .run(operation, kind, subject, JSON.stringify(report));
  }

  /** All reports of a kind, in the order in which their subjects were first reported on. */
  of<T>(operation: string, kind: string, schema: z.ZodType<T>): T[] {
    const rows = this.#db
      .prepare('SELECT report FROM reports WHERE operation = ? AND kind = ? ORDER BY rowid')
      .all(operation, kind);
    return z
      .array(z.object({ report: z.string() }))
      .parse(rows)
      .map(({ report }) => schema.parse(JSON.parse(report)));
  }
}
