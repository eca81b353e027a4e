import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { z } from 'zod';
import type { Database, Migrations } from '../host/sqlite.ts';
import type { Verdict } from '../lib/verdict.ts';
import {
  type AuditHead,
  readHead,
  readSegment,
  removeSegments,
  type Segment,
  segmentFile,
  segmentSchema,
  writeHead,
  writeSegment,
} from './audit-archive.ts';
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
    // What was moved to a file may go, and nothing else.
    `CREATE TABLE audit_segments (
       first INTEGER PRIMARY KEY,
       last INTEGER NOT NULL,
       previous TEXT NOT NULL,
       head TEXT NOT NULL,
       sha256 TEXT NOT NULL,
       file TEXT NOT NULL,
       forgotten INTEGER NOT NULL DEFAULT 0
     ) STRICT;
     DROP TRIGGER IF EXISTS audit_is_append_only_1;
     DROP TRIGGER IF EXISTS audit_is_append_only_2;
     CREATE TRIGGER audit_is_append_only_1 BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
     CREATE TRIGGER audit_is_append_only_2 BEFORE DELETE ON audit
       WHEN OLD.seq > (SELECT coalesce(max(last), 0) FROM audit_segments)
       BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;`,
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

/** What somebody has made unreadable hides no other entry; that it was changed is for the proof to say. */
function actorOf(text: string): Actor {
  try {
    return actorSchema.parse(JSON.parse(text));
  } catch {
    return { uid: -1, user: '(unreadable)', ssh: null };
  }
}

function seal(previous: string, entry: Entry): string {
  const sealed = JSON.stringify([previous, ...columnsOf(entry)]);
  return createHash('sha256').update(sealed).digest('hex');
}

/** Where the log is kept besides its table, and how much of it. */
export interface AuditPlaces {
  /** File with the head of the chain, apart from the database: without it nobody could tell that the end was cut off. */
  readonly head: string;
  /** Directory for what is moved out of the table. */
  readonly archive: string;
  /** Who moves it. */
  readonly actor: Actor;
  /** RFC 3339 */
  readonly now: () => string;
  /** Told of what could not be written; it is tried again at the next entry. */
  readonly onError: (error: unknown) => void;
  /** Entries of one file, entries that stay in the table besides, files that are kept. */
  readonly limits?: { readonly segment: number; readonly keep: number; readonly files: number };
}

/** A million entries in files of some 3 MB. */
const usualLimits = { segment: 10_000, keep: 10_000, files: 100 } as const;

/** What a proof has shown. `problem` says what is wrong, or why nothing can be proven. */
export interface AuditProof {
  readonly verdict: Verdict;
  readonly entries: number;
  readonly brokenAt: number | null;
  readonly archives: number;
  readonly problem: string | null;
  readonly head: AuditHead | null;
}

const forgottenSchema = segmentSchema.extend({ forgotten: z.number() });

export class AuditLog {
  readonly #db: Database;
  readonly #places: AuditPlaces | undefined;
  #settling = false;

  /** @param places left out, the table is all there is: for tests and databases in memory */
  constructor(database: Database, places?: AuditPlaces) {
    this.#db = database;
    this.#places = places;
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
    this.#settleSoon();
  }

  /** Newest first. @param since RFC 3339; everything when undefined */
  entries(since: string | undefined, limit: number): AuditEntry[] {
    const rows = z
      .array(row)
      .parse(this.#db.prepare('SELECT * FROM audit WHERE time >= ? ORDER BY seq DESC LIMIT ?').all(since ?? '', limit));
    for (const segment of this.#segments().toReversed()) {
      if (rows.length >= limit || segment.forgotten === 1) break;
      const lines = this.#places ? (readSegment(join(this.#places.archive, segment.file))?.lines ?? []) : [];
      const archived = lines.map((line) => row.parse(JSON.parse(line))).filter(({ time }) => time >= (since ?? ''));
      rows.push(...archived.toReversed().slice(0, limit - rows.length));
      if (archived.length < lines.length) break;
    }
    return rows.map((entry) => ({ ...entry, actor: actorOf(entry.actor) }));
  }

  /** The last entry of the chain; undefined while it is empty. */
  head(): AuditHead | undefined {
    return this.#last();
  }

  /**
   * Proves that no entry was changed, removed or put in another order: from the first one, through every file that entries were
   * moved to, to the last one that is known from elsewhere.
   * @param wish.archived false: only what is in the table, which takes milliseconds
   * @param wish.head a head that somebody has kept: the chain must still contain it
   */
  verify(wish: { readonly archived?: boolean; readonly head?: AuditHead | undefined } = {}): AuditProof {
    // First: what is appended meanwhile is behind it.
    const kept = this.#places ? readHead(this.#places.head) : undefined;
    return this.#db.transaction(() => this.#prove(kept, wish)).deferred();
  }

  #prove(
    kept: AuditHead | 'damaged' | undefined,
    { archived = true, head: noted }: { readonly archived?: boolean; readonly head?: AuditHead | undefined },
  ): AuditProof {
    const segments = this.#segments();
    const walk = new Walk([...(typeof kept === 'object' ? [kept] : []), ...(noted ? [noted] : [])]);
    for (const segment of segments) {
      if (walk.problem) break;
      if (!archived || segment.forgotten === 1) walk.skip(segment, segment.forgotten === 1);
      else this.#walkFile(segment, walk);
    }
    for (const raw of this.#db.prepare('SELECT * FROM audit ORDER BY seq').iterate()) {
      if (walk.problem) break;
      walk.take(row.parse(raw));
    }
    walk.end(segments.filter(({ forgotten }) => forgotten === 1));
    const about = { entries: walk.seq, archives: segments.length, head: walk.head };
    if (walk.problem) return { ...about, verdict: 'fail', brokenAt: walk.brokenAt, problem: walk.problem };
    const unknown =
      walk.seq === 0
        ? 'there is no entry yet to prove anything with'
        : this.#places && typeof kept !== 'object'
          ? `${this.#places.head} is ${kept === undefined ? 'gone' : 'damaged'}: nobody can say whether the end was cut off`
          : null;
    return { ...about, verdict: unknown === null ? 'pass' : 'inconclusive', brokenAt: null, problem: unknown };
  }

  #walkFile(segment: Segment, walk: Walk): void {
    const file = this.#places && readSegment(join(this.#places.archive, segment.file));
    if (!file) {
      walk.fail(segment.first, `the file ${segment.file} with entries ${segment.first} to ${segment.last} is gone`);
      return;
    }
    for (const line of file.lines) {
      const entry = parsed(line);
      if (entry) walk.take(entry);
      else walk.fail(walk.seq + 1, `${segment.file} is damaged behind entry ${walk.seq}`);
      if (walk.problem) return;
    }
    if (walk.seq !== segment.last || walk.previous !== segment.head || file.sha256 !== segment.sha256)
      walk.fail(segment.last, `${segment.file} is not what was written`);
  }

  /**
   * Keeps the head apart, and moves entries out of the table when there are many. What does not work is told and tried again at
   * the next entry; nothing is lost by it.
   */
  settle(): void {
    this.#settling = false;
    const places = this.#places;
    if (!places || !this.#db.open || this.#db.readonly || this.#db.memory) return;
    try {
      while (this.#rotate(places));
      this.#keepHead(places);
    } catch (error) {
      places.onError(error);
    }
  }

  /** After the transaction that an entry is part of. */
  #settleSoon(): void {
    if (this.#settling || !this.#places) return;
    this.#settling = true;
    queueMicrotask(() => this.settle());
  }

  /** A head that the log contradicts stays as it is: it is the proof. */
  #keepHead({ head: path, actor, now }: AuditPlaces): void {
    const head = this.#last();
    const kept = readHead(path);
    if (!head || kept === 'damaged') return;
    if (!kept && head.seq > 1) this.append(now(), actor, 'keep audit head', path, 'begun anew');
    if (kept && kept.seq >= this.#first()) {
      const there = this.#db.prepare('SELECT hash FROM audit WHERE seq = ?').pluck().get(kept.seq);
      if (there !== kept.hash || kept.seq === head.seq) return;
    }
    writeHead(path, this.#last() ?? head);
  }

  /** @returns whether entries were moved: first the file, then one transaction; killed between them, the file is written again */
  #rotate({ archive, actor, now, limits = usualLimits }: AuditPlaces): boolean {
    const first = this.#first();
    const head = this.#last();
    if (!head || head.seq - first + 1 < limits.keep + limits.segment) return false;
    const last = first + limits.segment - 1;
    const rows = z.array(row).parse(this.#db.prepare('SELECT * FROM audit WHERE seq <= ? ORDER BY seq').all(last));
    const file = segmentFile(first, last);
    const previous = this.#segments().at(-1)?.head ?? beginning;
    const sha256 = writeSegment(join(archive, file), rows);
    this.#db
      .transaction(() => {
        this.#db
          .prepare('INSERT INTO audit_segments (first, last, previous, head, sha256, file) VALUES (?, ?, ?, ?, ?, ?)')
          .run(first, last, previous, rows.at(-1)?.hash ?? '', sha256, file);
        this.#db.prepare('DELETE FROM audit WHERE seq <= ?').run(last);
        this.append(now(), actor, 'archive audit', file, `sha256:${sha256}`);
        for (const old of this.#segments()
          .filter(({ forgotten }) => forgotten === 0)
          .slice(0, -limits.files)) {
          this.#db.prepare('UPDATE audit_segments SET forgotten = 1 WHERE first = ?').run(old.first);
          // The chain begins behind the last one that was forgotten.
          this.#db.prepare('DELETE FROM audit_segments WHERE first < ?').run(old.first);
          this.append(now(), actor, 'forget audit', old.file, forgetting(old));
        }
      })
      .immediate();
    removeSegments(archive, this.#segments().find(({ forgotten }) => forgotten === 0)?.first ?? 0);
    return true;
  }

  #segments(): z.output<typeof forgottenSchema>[] {
    return z.array(forgottenSchema).parse(this.#db.prepare('SELECT * FROM audit_segments ORDER BY first').all());
  }

  #first(): number {
    return z.number().parse(this.#db.prepare('SELECT coalesce(min(seq), 1) FROM audit').pluck().get());
  }

  #last(): AuditHead | undefined {
    return z
      .object({ seq: z.number(), hash: z.string() })
      .optional()
      .parse(this.#db.prepare('SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1').get());
  }
}

/** What the chain says of a file that was removed because there were too many: without it the removal is no rotation. */
function forgetting({ first, last, head }: Segment): string {
  return `entries ${first} to ${last}, head ${head}`;
}

function parsed(line: string): Row | undefined {
  try {
    return row.parse(JSON.parse(line));
  } catch {
    return undefined;
  }
}

/** One way along the chain, entry by entry. */
class Walk {
  seq = 0;
  previous = beginning;
  problem: string | null = null;
  brokenAt: number | null = null;
  /** Heads that the chain must contain. */
  readonly #wanted: readonly AuditHead[];
  readonly #forgotten = new Set<string>();

  constructor(wanted: readonly AuditHead[]) {
    this.#wanted = wanted;
  }

  get head(): AuditHead | null {
    return this.seq === 0 ? null : { seq: this.seq, hash: this.previous };
  }

  take(entry: Row): void {
    if (entry.seq !== this.seq + 1 || seal(this.previous, entry) !== entry.hash) {
      this.fail(
        entry.seq,
        `the chain is broken at entry ${entry.seq}: it was changed, or something before it was removed`,
      );
      return;
    }
    this.seq = entry.seq;
    this.previous = entry.hash;
    if (entry.action === 'forget audit') this.#forgotten.add(`${entry.target} ${entry.result}`);
    const other = this.#wanted.find(({ seq, hash }) => seq === entry.seq && hash !== entry.hash);
    if (other)
      this.fail(entry.seq, `entry ${entry.seq} is another one than was noted elsewhere: the end was written anew`);
  }

  /** Passes entries whose file is not read. @param begins whether the chain begins behind them */
  skip({ first, last, previous, head }: Segment, begins: boolean): void {
    if (begins ? this.seq !== 0 : first !== this.seq + 1 || previous !== this.previous)
      this.fail(first, `entries before ${first} are gone: the files do not follow one another`);
    this.seq = last;
    this.previous = head;
  }

  fail(seq: number, problem: string): void {
    this.problem ??= problem;
    this.brokenAt ??= seq;
  }

  end(forgotten: readonly Segment[]): void {
    for (const segment of forgotten)
      if (!this.#forgotten.has(`${segment.file} ${forgetting(segment)}`))
        this.fail(segment.first, `${segment.file} was removed, and not by the rotation`);
    const [beyond] = this.#wanted.filter(({ seq }) => seq > this.seq);
    if (beyond) this.fail(this.seq + 1, `entries ${this.seq + 1} to ${beyond.seq} are gone: the end was cut off`);
  }
}
