import { ApplianceError } from '../../lib/errors.ts';
import { didYouMean } from '../../lib/near.ts';
import { versionDirectory } from './layout.ts';
import type { RegistryDatabase } from './registry-database.ts';
import {
  type Artefact,
  approvalSchema,
  artefactSchema,
  historySchema,
  type ModelApproval,
  type ModelHistory,
  type ModelReport,
  type ModelState,
  type ModelVersion,
  readVersion,
  reportSchema,
  versionColumns,
} from './registry-types.ts';

/** Newest labels among which a near match is looked for. */
const nearPool = 1_000;
const selectVersion = `SELECT ${versionColumns} FROM versions AS v JOIN models AS m ON m.id = v.model`;
const selectHistory = `SELECT h.seq, m.name, v.version, h.event, o.version AS replaced, h.at, h.actor, h.operation, h.reason
  FROM history AS h JOIN models AS m ON m.id = h.model JOIN versions AS v ON v.id = h.version
  LEFT JOIN versions AS o ON o.id = h.replaced`;

/** Which versions a page shows; the newest first. */
export interface PageQuery {
  readonly name?: string | undefined;
  readonly state?: ModelState | undefined;
  /** Only versions older than the one of this id. */
  readonly before?: number | undefined;
  readonly limit: number;
}

/** What can be asked of a registry. */
export class RegistryReader {
  protected readonly database: RegistryDatabase;
  /** The models directory. */
  readonly directory: string;

  constructor(directory: string, database: RegistryDatabase) {
    this.directory = directory;
    this.database = database;
  }

  /** @throws RangeError for an id that was never given */
  get(id: number): ModelVersion {
    const row = this.database.read((sql) => sql.prepare(`${selectVersion} WHERE v.id = ?`).get(id));
    if (row === undefined) throw new RangeError(`there is no version with the id ${id}`);
    return this.#version(row);
  }

  version(name: string, version: string): ModelVersion | undefined {
    const row = this.database.read((sql) =>
      sql.prepare(`${selectVersion} WHERE m.name = ? AND v.version = ?`).get(name, version),
    );
    return row === undefined ? undefined : this.#version(row);
  }

  /**
   * Finds what a person names: `VERSION`, `ALIAS`, `NAME@VERSION` or `NAME@ALIAS`.
   * @throws ApplianceError `model_not_found` with near matches; `usage` when several models have such a version
   */
  find(reference: string): ModelVersion {
    const at = reference.indexOf('@');
    const [name, label] = at === -1 ? [undefined, reference] : [reference.slice(0, at), reference.slice(at + 1)];
    const byLabel = `${selectVersion} WHERE v.version = ? ${name === undefined ? '' : 'AND m.name = ?'} LIMIT 2`;
    const byAlias = `${selectVersion} JOIN aliases AS a ON a.version = v.id WHERE a.alias = ?
      ${name === undefined ? '' : 'AND m.name = ?'} LIMIT 2`;
    const words = name === undefined ? [label] : [label, name];
    for (const query of [byLabel, byAlias]) {
      const [first, second] = this.database.read((sql) => sql.prepare(query).all(...words));
      if (first === undefined) continue;
      if (second === undefined) return this.#version(first);
      const names = [first, second].map((row) => `${this.#version(row).name}@${label}`);
      throw new ApplianceError('usage', `several models have a version ${label}`, {
        hint: `say which: ${names.join(' or ')}`,
      });
    }
    throw this.#missing(label, name) ?? this.#unknown(reference, name);
  }

  hasAlias(name: string, alias: string): boolean {
    const query = 'SELECT 1 FROM aliases AS a JOIN models AS m ON m.id = a.model WHERE m.name = ? AND a.alias = ?';
    return this.database.read((sql) => sql.prepare(query).get(name, alias)) !== undefined;
  }

  /** The version in production; of several models the one that was promoted last. */
  production(name?: string): ModelVersion | undefined {
    const query = `${selectVersion} WHERE v.state = 'production' ${name === undefined ? '' : 'AND m.name = ?'}
      ORDER BY v.promoted_at DESC LIMIT 1`;
    const row = this.database.read((sql) => sql.prepare(query).get(...(name === undefined ? [] : [name])));
    return row === undefined ? undefined : this.#version(row);
  }

  page({ name, state, before, limit }: PageQuery): ModelVersion[] {
    const conditions = [
      ...(name === undefined ? [] : ['v.model = (SELECT id FROM models WHERE name = @name)']),
      ...(state === undefined ? [] : ['v.state = @state']),
      ...(before === undefined ? [] : ['v.id < @before']),
    ];
    const where = conditions.length === 0 ? '' : `WHERE ${conditions.join(' AND ')}`;
    const query = `${selectVersion} ${where} ORDER BY v.id DESC LIMIT @limit`;
    const rows = this.database.read((sql) => sql.prepare(query).all({ name, state, before, limit }));
    return rows.map((row) => this.#version(row));
  }

  artefacts({ id }: Pick<ModelVersion, 'id'>): Artefact[] {
    const rows = this.database.read((sql) =>
      sql.prepare('SELECT path, sha256, bytes FROM artefacts WHERE version = ? ORDER BY path').all(id),
    );
    return artefactSchema.array().parse(rows);
  }

  /** The newest first. */
  reports({ id }: Pick<ModelVersion, 'id'>, limit = 10): ModelReport[] {
    const query = 'SELECT seq, verdict, at, report FROM reports WHERE version = ? ORDER BY seq DESC LIMIT ?';
    return reportSchema.array().parse(this.database.read((sql) => sql.prepare(query).all(id, limit)));
  }

  approvals({ id }: Pick<ModelVersion, 'id'>): ModelApproval[] {
    const query = 'SELECT role, actor, at, comment FROM approvals WHERE version = ? ORDER BY seq';
    return approvalSchema.array().parse(this.database.read((sql) => sql.prepare(query).all(id)));
  }

  /** The newest first. */
  history({
    name,
    version,
    limit,
  }: {
    readonly name?: string | undefined;
    readonly version?: number | undefined;
    readonly limit: number;
  }): ModelHistory[] {
    const conditions = [
      ...(name === undefined ? [] : ['h.model = (SELECT id FROM models WHERE name = @name)']),
      ...(version === undefined ? [] : ['h.version = @version']),
    ];
    const where = conditions.length === 0 ? '' : `WHERE ${conditions.join(' AND ')}`;
    const query = `${selectHistory} ${where} ORDER BY h.seq DESC LIMIT @limit`;
    return historySchema.array().parse(this.database.read((sql) => sql.prepare(query).all({ name, version, limit })));
  }

  names(): string[] {
    return this.database
      .read((sql) => sql.prepare<[], { name: string }>('SELECT name FROM models ORDER BY name').all())
      .map(({ name }) => name);
  }

  intents(): { name: string; version: string }[] {
    return this.database.read((sql) =>
      sql.prepare<[], { name: string; version: string }>('SELECT name, version FROM intents').all(),
    );
  }

  #version(row: unknown): ModelVersion {
    return readVersion(row, (name, version) => versionDirectory(this.directory, name, version));
  }

  /** What is to be done before there is anything that could be named. */
  #missing(label: string, name: string | undefined): ApplianceError | undefined {
    if (this.page({ limit: 1 }).length === 0)
      return new ApplianceError('model_not_found', 'no version of a model is registered yet', {
        hint: 'appliance models import takes over what releases brought along; appliance models add DIRECTORY registers another one',
      });
    if (label !== 'production') return undefined;
    return new ApplianceError(
      'model_not_found',
      `no version${name === undefined ? '' : ` of ${name}`} is in production`,
      {
        hint: 'put one in force: appliance models promote VERSION; appliance models list shows them',
      },
    );
  }

  #unknown(reference: string, name: string | undefined): ApplianceError {
    const known = this.page({ name, limit: nearPool }).flatMap((version) => [
      name === undefined ? version.version : `${version.name}@${version.version}`,
      ...(name === undefined ? version.aliases : version.aliases.map((alias) => `${version.name}@${alias}`)),
    ]);
    return new ApplianceError('model_not_found', `no model version ${reference} is registered`, {
      hint: didYouMean(reference, known) ?? 'appliance models list',
    });
  }
}
