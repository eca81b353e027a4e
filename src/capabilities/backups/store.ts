import { z } from 'zod';
import type { Database, Migrations } from '../../host/sqlite.ts';
import type { Finding } from '../../lib/verdict.ts';
import { compared } from './anomalies.ts';
import { type BackupManifest, backupKinds, parseManifest } from './manifest.ts';
import type { EarlierRun } from './prediction.ts';

/** What this host knows of backups beside what the repository itself says: how they went, and how targets did. */
export const backupMigrations: Migrations = {
  module: 'backups',
  scripts: [
    `CREATE TABLE backups (
       id TEXT PRIMARY KEY,
       kind TEXT NOT NULL,
       operation TEXT NOT NULL,
       began INTEGER NOT NULL,
       state TEXT NOT NULL CHECK (state IN ('running', 'stored', 'verified', 'failed')),
       seconds REAL,
       staged INTEGER,
       added INTEGER,
       bytes INTEGER,
       manifest TEXT,
       findings TEXT
     ) STRICT;
     CREATE INDEX backups_by_time ON backups (began);
     CREATE TABLE backup_targets (
       name TEXT PRIMARY KEY,
       attempted INTEGER NOT NULL,
       succeeded INTEGER,
       failures INTEGER NOT NULL DEFAULT 0,
       error TEXT
     ) STRICT;
     CREATE TABLE backup_damage (
       repository TEXT PRIMARY KEY,
       packs TEXT NOT NULL,
       seen INTEGER NOT NULL
     ) STRICT;`,
  ],
};

/** Rows that are kept of each, however long the appliance lives. */
const most = 2_000;
const rowSchema = z.object({
  id: z.string(),
  kind: z.enum(backupKinds),
  operation: z.string(),
  /** Milliseconds since 1970. */
  began: z.number(),
  state: z.enum(['running', 'stored', 'verified', 'failed']),
  seconds: z.number().nullable(),
  staged: z.number().nullable(),
  added: z.number().nullable(),
  bytes: z.number().nullable(),
  manifest: z.string().nullable(),
  findings: z.string().nullable(),
});
const findingsSchema = z.array(
  z.object({
    id: z.string(),
    verdict: z.enum(['pass', 'fail', 'inconclusive']),
    observed: z.string(),
    expected: z.string().optional(),
  }),
);
const targetSchema = z.object({
  name: z.string(),
  /** Milliseconds since 1970. */
  attempted: z.number(),
  succeeded: z.number().nullable(),
  /** Since the last success. */
  failures: z.number(),
  error: z.string().nullable(),
});
export type TargetRecord = z.output<typeof targetSchema>;

/** How one backup went. */
export type BackupRecord = Omit<z.output<typeof rowSchema>, 'manifest' | 'findings'> & {
  readonly manifest: BackupManifest | null;
  /** What has collapsed since the snapshots before, if anything. */
  readonly findings: readonly Finding[];
};

/** The tables of backups in the state database. */
export class BackupStore {
  readonly #db: Database;

  constructor(database: Database) {
    this.#db = database;
  }

  begin(about: Pick<BackupRecord, 'id' | 'kind' | 'operation' | 'began'>): void {
    this.#db
      .prepare(
        `INSERT INTO backups (id, kind, operation, began, state) VALUES (@id, @kind, @operation, @began, 'running')
         ON CONFLICT (id) DO UPDATE SET state = 'running', operation = excluded.operation`,
      )
      .run({ ...about });
    this.#db
      .prepare('DELETE FROM backups WHERE id IN (SELECT id FROM backups ORDER BY began DESC LIMIT -1 OFFSET ?)')
      .run(most);
  }

  collected(id: string, manifest: BackupManifest, staged: number, findings: readonly Finding[]): void {
    this.#db
      .prepare('UPDATE backups SET manifest = ?, staged = ?, findings = ? WHERE id = ?')
      .run(JSON.stringify(manifest), staged, JSON.stringify(findings), id);
  }

  stored(id: string, { seconds, bytes, added }: { seconds: number; bytes: number; added: number }): void {
    this.#db
      .prepare(`UPDATE backups SET state = 'stored', seconds = ?, bytes = ?, added = ? WHERE id = ?`)
      .run(seconds, bytes, added, id);
  }

  verified(id: string): void {
    this.#db.prepare(`UPDATE backups SET state = 'verified' WHERE id = ?`).run(id);
  }

  failed(id: string): void {
    this.#db.prepare(`UPDATE backups SET state = 'failed' WHERE id = ?`).run(id);
  }

  get(id: string): BackupRecord | undefined {
    return this.#records('WHERE id = ?', id)[0];
  }

  /** The newest first. */
  recent(limit = 50): BackupRecord[] {
    return this.#records('ORDER BY began DESC LIMIT ?', limit);
  }

  /** Backups before this one that came to their end, the newest first, to compare with. */
  before(id: string): BackupRecord[] {
    return this.#records(`WHERE state IN ('stored', 'verified') AND id <> ? ORDER BY began DESC LIMIT ${compared}`, id);
  }

  /** What earlier backups took, the newest first. */
  runs(): EarlierRun[] {
    return this.#records(`WHERE state IN ('stored', 'verified') ORDER BY began DESC LIMIT ?`, compared).flatMap(
      ({ seconds, staged, added }) =>
        seconds === null || staged === null || added === null ? [] : [{ seconds, staged, added }],
    );
  }

  /** Whether the newest backup did not come to its end. */
  lastFailed(): boolean {
    const [last] = this.#records('ORDER BY began DESC LIMIT ?', 1);
    return last?.state === 'failed';
  }

  /** @param error undefined: it went well */
  target(name: string, now: number, error?: string): void {
    this.#db
      .prepare(
        `INSERT INTO backup_targets (name, attempted, succeeded, failures, error)
         VALUES (@name, @now, @succeeded, @failed, @error)
         ON CONFLICT (name) DO UPDATE SET attempted = excluded.attempted, error = excluded.error,
           succeeded = coalesce(excluded.succeeded, succeeded),
           failures = CASE WHEN excluded.error IS NULL THEN 0 ELSE failures + 1 END`,
      )
      .run({
        name,
        now,
        succeeded: error === undefined ? now : null,
        failed: error === undefined ? 0 : 1,
        error: error ?? null,
      });
  }

  targets(): TargetRecord[] {
    return z.array(targetSchema).parse(this.#db.prepare('SELECT * FROM backup_targets ORDER BY name').all());
  }

  /** Remembers that a repository must be repaired before it is written again. */
  damaged(repository: string, packs: readonly string[], now: number): void {
    this.#db
      .prepare('INSERT OR REPLACE INTO backup_damage (repository, packs, seen) VALUES (?, ?, ?)')
      .run(repository, JSON.stringify(packs), now);
  }

  /** Packs that are known to be broken; undefined when the repository is known to be whole, or nothing is known. */
  damage(repository: string): string[] | undefined {
    const row = this.#db.prepare('SELECT packs FROM backup_damage WHERE repository = ?').get(repository);
    return row === undefined
      ? undefined
      : z.array(z.string()).parse(JSON.parse(z.object({ packs: z.string() }).parse(row).packs));
  }

  repaired(repository: string): void {
    this.#db.prepare('DELETE FROM backup_damage WHERE repository = ?').run(repository);
  }

  #records(where: string, ...values: readonly (string | number)[]): BackupRecord[] {
    return z
      .array(rowSchema)
      .parse(this.#db.prepare(`SELECT * FROM backups ${where}`).all(...values))
      .map(({ manifest, findings, ...row }) => ({
        ...row,
        manifest: manifest === null ? null : parseManifest(manifest),
        findings: findings === null ? [] : findingsSchema.parse(JSON.parse(findings)).map(whole),
      }));
  }
}

function whole({ id, verdict, observed, expected }: z.output<typeof findingsSchema>[number]): Finding {
  return { id, verdict, observed, ...(expected === undefined ? {} : { expected }) };
}
