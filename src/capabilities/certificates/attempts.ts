import { z } from 'zod';
import type { Database, Migrations } from '../../host/sqlite.ts';
import type { Spent } from './budget.ts';
import type { RenewalWindow } from './renewal.ts';

/** What was tried, and what is known of each certificate beside its files. Times are milliseconds since 1970. */
export const certificateMigrations: Migrations = {
  module: 'certificates',
  scripts: [
    `CREATE TABLE certificates (
       set_name TEXT PRIMARY KEY,
       last_attempt INTEGER,
       last_error TEXT,
       failures INTEGER NOT NULL DEFAULT 0,
       next_attempt INTEGER,
       window_serial TEXT,
       window_start INTEGER,
       window_end INTEGER,
       window_point INTEGER
     ) STRICT;
     CREATE TABLE certificate_events (
       id INTEGER PRIMARY KEY,
       directory TEXT NOT NULL,
       kind TEXT NOT NULL CHECK (kind IN ('begun', 'issued', 'failed-validation', 'retry-after')),
       subject TEXT NOT NULL,
       at INTEGER NOT NULL
     ) STRICT;
     CREATE INDEX certificate_events_subject ON certificate_events (directory, kind, subject, at);
     CREATE TABLE certificate_checks (id INTEGER PRIMARY KEY CHECK (id = 1), at INTEGER NOT NULL, jitter REAL NOT NULL) STRICT;`,
    // The schedule knows when they were last looked at.
    'DROP TABLE certificate_checks;',
  ],
};

const stateRow = z.object({
  last_attempt: z.number().nullable(),
  last_error: z.string().nullable(),
  failures: z.number(),
  next_attempt: z.number().nullable(),
  window_serial: z.string().nullable(),
  window_start: z.number().nullable(),
  window_end: z.number().nullable(),
  window_point: z.number().nullable(),
});
const timeRow = z.object({ at: z.number() });

export interface SetState {
  readonly lastAttempt: number | null;
  /** Null when the last attempt was good. */
  readonly lastError: string | null;
  /** In a row. */
  readonly failures: number;
  /** Before this no attempt is made that nobody has asked for. */
  readonly nextAttempt: number | null;
}

/** What is known of an attempt until it ends. */
export const cutShort = 'cut short';

const week = 7 * 86_400_000;

/** Attempts in state.db: written before the network hears of them, so that a restart loop cannot spend them. */
export class AttemptLog {
  readonly #db: Database;

  constructor(database: Database) {
    this.#db = database;
  }

  state(set: string): SetState {
    const row = this.#row(set);
    return {
      lastAttempt: row?.last_attempt ?? null,
      lastError: row?.last_error ?? null,
      failures: row?.failures ?? 0,
      nextAttempt: row?.next_attempt ?? null,
    };
  }

  /** @param nextAttempt when the next may be made if nobody ever hears how this one ended */
  begin(set: string, at: number, nextAttempt: number): void {
    this.#write(set, 'last_attempt = ?, last_error = ?, failures = failures + 1, next_attempt = ?', [
      at,
      cutShort,
      nextAttempt,
    ]);
  }

  failed(set: string, error: string, nextAttempt: number): void {
    this.#write(set, 'last_error = ?, next_attempt = ?', [error, nextAttempt]);
  }

  succeeded(set: string): void {
    this.#write(set, 'last_error = NULL, failures = 0, next_attempt = NULL', []);
  }

  /** The window that an authority suggested for a certificate, with the point drawn from it. */
  window(set: string, serial: string): RenewalWindow | undefined {
    const row = this.#row(set);
    if (
      row?.window_serial !== serial ||
      row.window_start === null ||
      row.window_end === null ||
      row.window_point === null
    )
      return undefined;
    return { start: row.window_start, end: row.window_end, point: row.window_point };
  }

  keepWindow(set: string, serial: string, window: RenewalWindow | undefined): void {
    const { start = null, end = null, point = null } = window ?? {};
    this.#write(set, 'window_serial = ?, window_start = ?, window_end = ?, window_point = ?', [
      serial,
      start,
      end,
      point,
    ]);
  }

  /** Something that the authority counts too. @param subject the names, one name, or `*` */
  note(
    directory: string,
    kind: 'begun' | 'issued' | 'failed-validation' | 'retry-after',
    subject: string,
    at: number,
  ): void {
    this.#db
      .prepare('INSERT INTO certificate_events (directory, kind, subject, at) VALUES (?, ?, ?, ?)')
      .run(directory, kind, subject, Math.floor(at));
    this.#db.prepare('DELETE FROM certificate_events WHERE at < ?').run(Math.floor(at - 8 * week));
  }

  spent(directory: string, names: readonly string[], now: number): Spent {
    const times = (kind: string, subject: string): number[] =>
      z
        .array(timeRow)
        .parse(
          this.#db
            .prepare('SELECT at FROM certificate_events WHERE directory = ? AND kind = ? AND subject = ? AND at > ?')
            .all(directory, kind, subject, now - week),
        )
        .map(({ at }) => at);
    return {
      issued: times('issued', exactSet(names)),
      failed: new Map(names.map((name) => [name, times('failed-validation', name)])),
      retryAt: times('retry-after', '*')
        .filter((at) => at > now)
        .sort((a, b) => b - a)[0],
    };
  }

  #row(set: string): z.output<typeof stateRow> | undefined {
    if (!this.#has()) return undefined;
    return stateRow.optional().parse(this.#db.prepare('SELECT * FROM certificates WHERE set_name = ?').get(set));
  }

  /** Someone who reads beside an older writer finds no table yet. */
  #has(): boolean {
    return this.#db.prepare("SELECT 1 FROM sqlite_master WHERE name = 'certificates'").get() !== undefined;
  }

  #write(set: string, assignments: string, values: readonly (string | number | null)[]): void {
    this.#db.transaction(() => {
      this.#db.prepare('INSERT OR IGNORE INTO certificates (set_name) VALUES (?)').run(set);
      this.#db.prepare(`UPDATE certificates SET ${assignments} WHERE set_name = ?`).run(...values.map(whole), set);
    })();
  }
}

/** How the same names are known again, in whatever order. */
export function exactSet(names: readonly string[]): string {
  return [...names].sort().join(' ');
}

function whole(value: string | number | null): string | number | null {
  return typeof value === 'number' ? Math.floor(value) : value;
}
