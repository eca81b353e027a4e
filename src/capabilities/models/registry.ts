import { createHash } from 'node:crypto';
import type { Database } from '../../host/sqlite.ts';
import type { Clock } from '../../lib/clock.ts';
import { ApplianceError } from '../../lib/errors.ts';
import type { Verdict } from '../../lib/verdict.ts';
import { modelFiles } from './layout.ts';
import { RegistryDatabase } from './registry-database.ts';
import type { Disturbance } from './registry-identity.ts';
import { RegistryReader } from './registry-reader.ts';
import type { Artefact, Change, ModelEvent, ModelState, ModelVersion, NewVersion } from './registry-types.ts';

export type { Artefact, Change, ModelHistory, ModelVersion, NewVersion } from './registry-types.ts';
export { hasProvenItself } from './registry-types.ts';

/**
 * What the appliance knows of its models: versions, their files and numbers, and who was in production when (S1-26,
 * S3-5). Every change is one transaction; any number of processes may read at the same time, the application too.
 */
export class ModelRegistry extends RegistryReader {
  readonly #clock: Clock;

  /**
   * @param directory the models directory
   * @param access `read` beside a writer; where there is no registry yet, an empty one
   * @throws ApplianceError `state_corrupt` with the way back; the file is left as it is; `disk_full`
   */
  constructor(directory: string, { clock, access }: { readonly clock: Clock; readonly access: 'read' | 'write' }) {
    super(directory, new RegistryDatabase(modelFiles(directory).registry, access));
    this.#clock = clock;
  }

  get writable(): boolean {
    return this.database.writable;
  }

  close(): void {
    this.database.close();
  }

  /** What somebody else has done to the file since it was opened; null: nothing. */
  disturbance(): Disturbance | null {
    return this.database.disturbance();
  }

  /** Removes what this one has left beside a file that is another one now. Afterwards it must not be closed. */
  leaveTo(): void {
    this.database.leaveTo();
  }

  /** Writes the file anew after it was removed or truncated. @returns whether all of it was there @throws ApplianceError `disk_full` */
  writeAnew(): boolean {
    return this.database.writeAnew();
  }

  /** What SQLite finds wrong with the file; null: nothing. Reads all of it. */
  damage(): string | null {
    return this.database.damage();
  }

  /**
   * Registers a version.
   * @throws ApplianceError `model_exists` when the label is taken by other bytes
   */
  register(version: NewVersion, change: Change, event: 'registered' | 'imported' = 'registered'): ModelVersion {
    return this.database.write((sql) => {
      const content = contentOf(version.artefacts);
      const model = this.#modelOf(sql, version.name);
      const known = this.version(version.name, version.version);
      if (known?.content === content) return known;
      if (known) throw labelTaken(known);
      const bytes = version.artefacts.reduce((sum, artefact) => sum + artefact.bytes, 0);
      const { lastInsertRowid: id } = sql
        .prepare(
          `INSERT INTO versions (model, version, sha256, content, files, bytes, metadata, source, actor, created_at)
           VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
        )
        .run(
          model,
          version.version,
          version.sha256,
          content,
          version.artefacts.length,
          bytes,
          JSON.stringify(version.metadata),
          version.source,
          change.actor,
          this.#clock.now(),
        );
      const artefact = sql.prepare('INSERT INTO artefacts VALUES (?, ?, ?, ?)');
      for (const { path, sha256, bytes: size } of version.artefacts) artefact.run(id, path, sha256, size);
      const metric = sql.prepare('INSERT INTO metrics VALUES (?, ?, ?)');
      for (const [name, value] of Object.entries(version.metrics)) metric.run(id, name, value);
      this.#alias(sql, model, 'latest', Number(id));
      sql.prepare('DELETE FROM intents WHERE name = ? AND version = ?').run(version.name, version.version);
      const made = this.get(Number(id));
      this.#note(sql, made, event, null, change);
      return made;
    });
  }

  /**
   * Notes that a version is in force, after running processes have said so. Said again, it changes nothing.
   * @returns the version as it is now
   */
  promoted(
    { id }: Pick<ModelVersion, 'id'>,
    change: Change,
    event: 'promoted' | 'rolled-back' | 'taken-over' = 'promoted',
  ): ModelVersion {
    return this.database.write((sql) => {
      const version = this.get(id);
      if (version.state === 'production') return version;
      const model = this.#modelOf(sql, version.name);
      const before = this.production(version.name);
      if (before) this.#setState(sql, before.id, 'validated');
      sql.prepare("UPDATE versions SET state = 'production', promoted_at = ? WHERE id = ?").run(this.#clock.now(), id);
      this.#alias(sql, model, 'production', id);
      if (before) this.#alias(sql, model, 'previous', before.id);
      this.#note(sql, version, event, before?.id ?? null, change);
      return this.get(id);
    });
  }

  /** Notes that the version in production is no longer in force, and no other registered one is. */
  withdrawn({ id }: Pick<ModelVersion, 'id'>, change: Change): void {
    this.database.write((sql) => {
      const version = this.get(id);
      if (version.state !== 'production') return;
      this.#setState(sql, id, 'validated');
      sql.prepare("DELETE FROM aliases WHERE version = ? AND alias = 'production'").run(id);
      this.#note(sql, version, 'withdrawn', null, change);
    });
  }

  /** Keeps a report of the gates; a version that passes is `validated`. */
  saveReport({ id }: Pick<ModelVersion, 'id'>, verdict: Verdict, report: object, change: Change): void {
    this.database.write((sql) => {
      const version = this.get(id);
      sql
        .prepare('INSERT INTO reports (version, verdict, at, report) VALUES (?, ?, ?, ?)')
        .run(id, verdict, this.#clock.now(), JSON.stringify(report));
      if (verdict === 'pass' && version.state === 'registered') this.#setState(sql, id, 'validated');
      if (verdict === 'fail' && version.state === 'validated') this.#setState(sql, id, 'registered');
      this.#renewLatest(sql, id);
      if (verdict !== 'inconclusive')
        this.#note(sql, version, verdict === 'pass' ? 'validated' : 'refused', null, change);
    });
  }

  approve({ id }: Pick<ModelVersion, 'id'>, approval: { role: string; actor: string; comment?: string }): void {
    this.database.write((sql) => {
      sql
        .prepare('INSERT INTO approvals (version, role, actor, at, comment) VALUES (?, ?, ?, ?, ?)')
        .run(id, approval.role, approval.actor, this.#clock.now(), approval.comment ?? null);
    });
  }

  /**
   * Takes a version out of what may be promoted, or back in. Its files stay.
   * @throws ApplianceError `usage` for the version in production
   */
  archive({ id }: Pick<ModelVersion, 'id'>, archived: boolean, change: Change): ModelVersion {
    return this.database.write((sql) => {
      const version = this.get(id);
      if (version.state === 'production') {
        throw new ApplianceError('usage', `${version.name}@${version.version} is in production`, {
          left: 'nothing was changed',
          hint: 'promote another version first',
        });
      }
      if ((version.state === 'archived') === archived) return version;
      this.#setState(sql, id, archived ? 'archived' : 'registered');
      this.#renewLatest(sql, id);
      this.#note(sql, version, archived ? 'archived' : 'unarchived', null, change);
      return this.get(id);
    });
  }

  /** Notes something that changes no state. */
  note(
    version: ModelVersion,
    event: 'exported' | 'split' | 'split-ended' | 'pruned' | 'restored',
    change: Change,
  ): void {
    this.database.write((sql) => this.#note(sql, version, event, null, change));
  }

  /**
   * Says that a directory is about to appear. What a crash leaves of it is found by this and by nothing else: a
   * directory that no registry knows, for example after the loss of one, is never removed.
   * @returns false when somebody else has said so
   */
  intend(name: string, version: string): boolean {
    return this.database.write(
      (sql) =>
        sql.prepare('INSERT OR IGNORE INTO intents VALUES (?, ?, ?)').run(name, version, this.#clock.now()).changes ===
        1,
    );
  }

  forget(name: string, version: string): void {
    this.database.write((sql) => sql.prepare('DELETE FROM intents WHERE name = ? AND version = ?').run(name, version));
  }

  #modelOf(sql: Database, name: string): number {
    sql.prepare('INSERT OR IGNORE INTO models (name) VALUES (?)').run(name);
    const row = sql.prepare<[string], { id: number }>('SELECT id FROM models WHERE name = ?').get(name);
    if (!row) throw new RangeError(`the model ${name} was not made`);
    return row.id;
  }

  #setState(sql: Database, id: number, state: ModelState): void {
    sql.prepare('UPDATE versions SET state = ? WHERE id = ?').run(state, id);
  }

  #alias(sql: Database, model: number, alias: string, version: number): void {
    sql
      .prepare(
        'INSERT INTO aliases VALUES (?, ?, ?) ON CONFLICT (model, alias) DO UPDATE SET version = excluded.version',
      )
      .run(model, alias, version);
  }

  /** `latest` is the newest version that may be promoted: not archived, and not refused by its gates when they ran last. */
  #renewLatest(sql: Database, id: number): void {
    const found = sql
      .prepare<[number], { model: number; latest: number | null }>(
        `SELECT m.model, (
           SELECT v.id FROM versions AS v WHERE v.model = m.model AND v.state <> 'archived' AND 'fail' IS NOT
             (SELECT verdict FROM reports WHERE version = v.id ORDER BY seq DESC LIMIT 1)
           ORDER BY v.id DESC LIMIT 1
         ) AS latest FROM versions AS m WHERE m.id = ?`,
      )
      .get(id);
    if (!found) return;
    if (found.latest !== null) this.#alias(sql, found.model, 'latest', found.latest);
    else sql.prepare("DELETE FROM aliases WHERE model = ? AND alias = 'latest'").run(found.model);
  }

  #note(sql: Database, version: ModelVersion, event: ModelEvent, replaced: number | null, change: Change): void {
    sql
      .prepare(
        `INSERT INTO history (model, version, event, replaced, at, actor, operation, reason)
         SELECT model, id, ?, ?, ?, ?, ?, ? FROM versions WHERE id = ?`,
      )
      .run(
        event,
        replaced,
        this.#clock.now(),
        change.actor,
        change.operation ?? null,
        change.reason ?? null,
        version.id,
      );
  }
}

/** Hash over paths and hashes of all files: equal for equal bytes, whatever their times and order. */
export function contentOf(artefacts: readonly Artefact[]): string {
  const lines = artefacts.map(({ path, sha256 }) => JSON.stringify([path, sha256])).sort();
  return createHash('sha256').update(lines.join('\n')).digest('hex');
}

export function labelTaken({ name, version, sha256 }: ModelVersion): ApplianceError {
  return new ApplianceError(
    'model_exists',
    `${name}@${version} is registered with other bytes (${sha256.slice(0, 12)})`,
    {
      left: 'the registered version is untouched; nothing was added',
      hint: 'a version never changes: give the new one a label of its own in its manifest.json',
    },
  );
}
