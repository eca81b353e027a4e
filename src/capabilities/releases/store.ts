import { createHash, randomBytes } from 'node:crypto';
import { mkdir, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { ensureDirectory, readJson, syncDirectory, writeFileAtomic } from '../../host/files.ts';
import type { Database, Migrations } from '../../host/sqlite.ts';
import type { Clock } from '../../lib/clock.ts';
import { timestamp } from '../../lib/clock.ts';
import { type Colour, colours } from '../../lib/colour.ts';
import { ApplianceError, systemCode } from '../../lib/errors.ts';
import { didYouMean } from '../../lib/near.ts';
import { type Verdict, verdicts } from '../../lib/verdict.ts';
import { hashValues, type ReleaseView } from './diff.ts';
import { type Manifest, manifestSchema, type SealedImages, sealedImagesSchema } from './manifest.ts';
import type { SchemaState } from './schema-gate.ts';

export const releaseMigrations: Migrations = {
  module: 'releases',
  scripts: [
    `CREATE TABLE releases (
       id TEXT PRIMARY KEY,
       tag TEXT NOT NULL,
       commit_id TEXT NOT NULL,
       created_at INTEGER NOT NULL,
       resolved_at INTEGER NOT NULL,
       deployed_at INTEGER,
       actor TEXT,
       verdict TEXT,
       pinned INTEGER NOT NULL DEFAULT 0
     ) STRICT;
     CREATE INDEX releases_by_tag ON releases (tag);
     CREATE TABLE live (one INTEGER PRIMARY KEY CHECK (one = 1), release TEXT NOT NULL, colour TEXT NOT NULL, since INTEGER NOT NULL) STRICT;
     CREATE TABLE database_schema (one INTEGER PRIMARY KEY CHECK (one = 1), version INTEGER NOT NULL, readable_from INTEGER NOT NULL) STRICT;`,
    // The order in which things happened, which the times do not tell once the clock of the host was set.
    `ALTER TABLE releases ADD COLUMN resolved_order INTEGER NOT NULL DEFAULT 0;
     ALTER TABLE releases ADD COLUMN deployed_order INTEGER;
     UPDATE releases SET resolved_order = resolved_at, deployed_order = deployed_at;`,
  ],
};

const row = z
  .object({
    id: z.string(),
    tag: z.string(),
    commit_id: z.string(),
    created_at: z.number(),
    deployed_at: z.number().nullable(),
    actor: z.string().nullable(),
    verdict: z.enum(verdicts).nullable(),
    pinned: z.number(),
  })
  .transform((r) => ({
    id: r.id,
    tag: r.tag,
    commit: r.commit_id,
    createdAt: r.created_at,
    deployedAt: r.deployed_at,
    actor: r.actor,
    verdict: r.verdict,
    pinned: r.pinned === 1,
  }));
export type ReleaseRecord = z.output<typeof row>;

const liveRow = z.object({ release: z.string(), colour: z.enum(colours), since: z.number() });
/** What users get: the release, the colour it stands on, and since when (milliseconds since 1970). */
export type Live = z.output<typeof liveRow>;

/** What a new release is made of. */
export interface NewRelease {
  /** What its id is a hash of: everything that makes it what it is, and nothing that differs by accident. */
  readonly content: Omit<Manifest, 'format' | 'id' | 'tag' | 'commit' | 'createdAt'>;
  /** Key → value. Written at mode 0600, never shown. */
  readonly environment: Readonly<Record<string, string>>;
  /** Text of the resolved project, whose paths lead to where the files will be rather than to where they are now. */
  readonly model: (now: ReleaseFiles, final: ReleaseFiles) => string;
}

/** The id of a release: its tag, and the beginning of a hash of what it is made of. */
export function releaseId(tag: string, commit: string, content: NewRelease['content']): string {
  const hash = createHash('sha256')
    .update(JSON.stringify([tag, commit, content]))
    .digest('hex');
  return `${tag}-${hash.slice(0, 10)}`;
}

/** Files of one release. `source` is the tree of its commit; `directory` also holds the frozen configs and secrets. */
export interface ReleaseFiles {
  readonly directory: string;
  readonly source: string;
  /** The resolved Compose project; holds secrets, mode 0600. */
  readonly model: string;
  readonly environment: string;
}

function filesIn(directory: string): ReleaseFiles {
  return {
    directory,
    source: join(directory, 'source'),
    model: join(directory, 'model.json'),
    environment: join(directory, 'environment.json'),
  };
}

/** SQL of a number above all that stand in the order so far. */
const nextOrder = '(SELECT coalesce(max(max(resolved_order, coalesce(deployed_order, 0))), 0) + 1 FROM releases)';

const environmentSchema = z.record(z.string(), z.string());

/** All releases of this appliance: one directory each, and an index of what was deployed when and by whom. */
export class ReleaseStore {
  readonly #db: Database;
  readonly #root: string;
  readonly #clock: Clock;

  constructor(deps: { readonly database: Database; readonly directory: string; readonly clock: Clock }) {
    this.#db = deps.database;
    this.#root = deps.directory;
    this.#clock = deps.clock;
  }

  files(id: string): ReleaseFiles {
    return filesIn(join(this.#root, id));
  }

  /**
   * Makes a release. Its files are written into a staging directory, which gets its name, a hash of what the release is
   * made of, in one rename. The same tag with the same content is the same release.
   */
  async add(tag: string, commit: string, fill: (staging: ReleaseFiles) => Promise<NewRelease>): Promise<ReleaseRecord> {
    await ensureDirectory(this.#root, 0o711);
    const staging = filesIn(join(this.#root, `.staging-${randomBytes(6).toString('hex')}`));
    try {
      await mkdir(staging.directory, { mode: 0o711 });
      await mkdir(staging.source, { mode: 0o755 });
      const release = await fill(staging);
      const id = releaseId(tag, commit, release.content);
      const createdAt = this.#clock.now();
      const manifest: Manifest = { format: 1, id, tag, commit, createdAt: timestamp(createdAt), ...release.content };
      await writeFileAtomic(staging.model, release.model(staging, this.files(id)), 0o600);
      await writeFileAtomic(staging.environment, JSON.stringify(release.environment), 0o600);
      await writeFileAtomic(join(staging.directory, 'manifest.json'), `${JSON.stringify(manifest, null, 2)}\n`);
      await this.#install(staging.directory, id);
      this.#db
        .prepare(
          `INSERT INTO releases (id, tag, commit_id, created_at, resolved_at, resolved_order) VALUES (?, ?, ?, ?, ?, ${nextOrder})
           ON CONFLICT (id) DO UPDATE SET resolved_at = excluded.resolved_at, resolved_order = excluded.resolved_order`,
        )
        .run(id, tag, commit, createdAt, createdAt);
      return this.get(id);
    } finally {
      await rm(staging.directory, { recursive: true, force: true });
    }
  }

  async #install(staging: string, id: string): Promise<void> {
    const target = join(this.#root, id);
    try {
      await rename(staging, target);
      await syncDirectory(this.#root);
    } catch (error) {
      // It is there already, with this very content.
      if (systemCode(error) !== 'ENOTEMPTY' && systemCode(error) !== 'EEXIST') throw error;
      await rm(staging, { recursive: true, force: true });
    }
  }

  /** @throws ApplianceError `release_not_found` */
  get(id: string): ReleaseRecord {
    const found = this.#db.prepare('SELECT * FROM releases WHERE id = ?').get(id);
    if (found === undefined) throw this.#unknown(id);
    return row.parse(found);
  }

  /** The latest release made of a tag: the one that was deployed last, else the one that was made last. */
  ofTag(tag: string): ReleaseRecord | undefined {
    const found = this.#db
      .prepare('SELECT * FROM releases WHERE tag = ? ORDER BY deployed_order DESC NULLS LAST, rowid DESC LIMIT 1')
      .get(tag);
    return found === undefined ? undefined : row.parse(found);
  }

  /** The release that a tag stands for today, as the last `add` found it. @throws ApplianceError `release_not_found` */
  lastResolved(tag: string): ReleaseRecord {
    const found = this.#db
      .prepare('SELECT * FROM releases WHERE tag = ? ORDER BY resolved_order DESC LIMIT 1')
      .get(tag);
    if (found === undefined) throw this.#unknown(tag);
    return row.parse(found);
  }

  /** A release by tag or id. @throws ApplianceError `release_not_found` with near matches */
  find(tagOrId: string): ReleaseRecord {
    const byTag = this.ofTag(tagOrId);
    if (byTag) return byTag;
    const found = this.#db.prepare('SELECT * FROM releases WHERE id = ?').get(tagOrId);
    if (found === undefined) throw this.#unknown(tagOrId);
    return row.parse(found);
  }

  #unknown(wanted: string): ApplianceError {
    const tags = this.all().map((release) => release.tag);
    return new ApplianceError('release_not_found', `there is no release ${wanted}`, {
      left: 'nothing was touched',
      hint:
        didYouMean(wanted, tags) ??
        (tags.length > 0 ? `known are ${[...new Set(tags)].slice(0, 8).join(', ')}` : 'nothing was ever deployed'),
    });
  }

  /** Newest first: by deployment, then by making. */
  all(): ReleaseRecord[] {
    return z
      .array(row)
      .parse(
        this.#db
          .prepare('SELECT * FROM releases ORDER BY coalesce(deployed_order, resolved_order) DESC, rowid DESC')
          .all(),
      );
  }

  live(): Live | null {
    const found = this.#db.prepare('SELECT release, colour, since FROM live').get();
    return found === undefined ? null : liveRow.parse(found);
  }

  /** The release that was live before the current one, in the order of deployments. */
  previous(): ReleaseRecord | undefined {
    const live = this.live();
    return this.all().find((release) => release.deployedAt !== null && release.id !== live?.release);
  }

  /** Says what users get from now on. */
  setLive(id: string, colour: Colour, about: { readonly actor: string; readonly verdict: Verdict }): void {
    const now = this.#clock.now();
    this.#db.transaction(() => {
      this.#db
        .prepare(
          `INSERT INTO live VALUES (1, ?, ?, ?) ON CONFLICT (one) DO UPDATE SET
             since = CASE WHEN release = excluded.release AND colour = excluded.colour THEN since ELSE excluded.since END,
             release = excluded.release, colour = excluded.colour`,
        )
        .run(id, colour, now);
      this.#db
        .prepare(
          `UPDATE releases SET deployed_at = ?, deployed_order = ${nextOrder}, actor = ?, verdict = ? WHERE id = ?`,
        )
        .run(now, about.actor, about.verdict, id);
    })();
  }

  /** Takes `setLive` back. */
  restoreLive(previous: Live | null): void {
    if (previous === null) this.#db.prepare('DELETE FROM live').run();
    else
      this.#db
        .prepare(
          'INSERT INTO live VALUES (1, ?, ?, ?) ON CONFLICT (one) DO UPDATE SET release = excluded.release, colour = excluded.colour, since = excluded.since',
        )
        .run(previous.release, previous.colour, previous.since);
  }

  databaseSchema(): SchemaState | null {
    const found = this.#db.prepare('SELECT version, readable_from FROM database_schema').get();
    if (found === undefined) return null;
    const state = z.object({ version: z.number(), readable_from: z.number() }).parse(found);
    return { version: state.version, readableFrom: state.readable_from };
  }

  setDatabaseSchema(state: SchemaState): void {
    this.#db
      .prepare(
        'INSERT INTO database_schema VALUES (1, ?, ?) ON CONFLICT (one) DO UPDATE SET version = excluded.version, readable_from = excluded.readable_from',
      )
      .run(state.version, state.readableFrom);
  }

  /** When the data are gone, so is their schema. */
  forgetDatabaseSchema(): void {
    this.#db.prepare('DELETE FROM database_schema').run();
  }

  pin(id: string, pinned: boolean): void {
    this.#db.prepare('UPDATE releases SET pinned = ? WHERE id = ?').run(pinned ? 1 : 0, id);
  }

  /** @throws ApplianceError `state_corrupt` when the directory is damaged or gone */
  async manifest(id: string): Promise<Manifest> {
    const manifest = await readJson(join(this.#root, id, 'manifest.json'), manifestSchema);
    if (manifest) return manifest;
    throw new ApplianceError('state_corrupt', `the files of release ${id} are gone`, { hint: 'deploy the tag again' });
  }

  /** Image ids as they were built or pulled; undefined before that. */
  async images(id: string): Promise<SealedImages | undefined> {
    return readJson(join(this.#root, id, 'images.json'), sealedImagesSchema);
  }

  async sealImages(id: string, images: SealedImages): Promise<void> {
    await writeFileAtomic(join(this.#root, id, 'images.json'), `${JSON.stringify(images, null, 2)}\n`);
  }

  async environment(id: string): Promise<Readonly<Record<string, string>>> {
    return (await readJson(this.files(id).environment, environmentSchema)) ?? {};
  }

  async view(id: string): Promise<ReleaseView> {
    const [manifest, images, environment] = await Promise.all([
      this.manifest(id),
      this.images(id),
      this.environment(id),
    ]);
    return { manifest, images, environment: hashValues(environment) };
  }

  /** Forgets a release that was never deployed and removes its files. */
  async forget(id: string): Promise<void> {
    this.#db.prepare('DELETE FROM releases WHERE id = ? AND deployed_at IS NULL AND pinned = 0').run(id);
    if (!this.all().some((release) => release.id === id))
      await rm(join(this.#root, id), { recursive: true, force: true });
  }

  /** Removes what a killed process left in the middle of making a release. */
  async sweep(): Promise<void> {
    await ensureDirectory(this.#root, 0o711);
    const known = new Set(this.all().map((release) => release.id));
    for (const name of await readdir(this.#root)) {
      if (!known.has(name)) await rm(join(this.#root, name), { recursive: true, force: true });
    }
  }
}
