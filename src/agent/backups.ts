import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { type DatabaseSource, databasesIn } from '../capabilities/backups/databases.ts';
import type { DeclaredService } from '../capabilities/backups/drill-commands.ts';
import { KeyFile } from '../capabilities/backups/key.ts';
import {
  type BackupKind,
  type BackupManifest,
  backupManifestSchema,
  newBackupId,
  parseManifest,
} from '../capabilities/backups/manifest.ts';
import type { PostgresServer } from '../capabilities/backups/postgres.ts';
import { Repository } from '../capabilities/backups/repository.ts';
import type { Progress } from '../capabilities/backups/restic-output.ts';
import { isLoose } from '../capabilities/backups/restore-models.ts';
import { findSnapshot, type Proof, type Snapshot } from '../capabilities/backups/snapshots.ts';
import type { BackupStepDeps } from '../capabilities/backups/step-deps.ts';
import { checkRepository, createBackupSteps } from '../capabilities/backups/steps.ts';
import { type BackupRecord, BackupStore, type TargetRecord } from '../capabilities/backups/store.ts';
import { withWayOut } from '../capabilities/backups/way-out.ts';
import { readPointer } from '../capabilities/models/pointer.ts';
import type { ReleaseStore } from '../capabilities/releases/store.ts';
import type { Config } from '../config/schema.ts';
import type { Engine } from '../host/docker.ts';
import { readJson, writeFileAtomic } from '../host/files.ts';
import { Restic } from '../host/restic.ts';
import type { Database } from '../host/sqlite.ts';
import type { Clock } from '../lib/clock.ts';
import { ApplianceError, asApplianceError } from '../lib/errors.ts';
import type { Paths } from '../lib/paths.ts';
import { formatBytes } from '../lib/units.ts';
import type { PlannedStep } from '../operations/step.ts';
import { type BackupSteps, planBackup, planForget, planOffsite } from '../recipes/backup.ts';
import {
  backupPaths,
  copiedFiles,
  databaseCandidates,
  hostToken,
  inPlace,
  liveRelease,
  offsiteTargets,
} from './backup-deps.ts';
import { version } from './version.ts';

export interface BackupsDeps {
  readonly config: Config;
  readonly paths: Paths;
  readonly clock: Clock;
  readonly engine: Engine;
  readonly database: Database;
  readonly store: ReleaseStore;
  /** The models directory. */
  readonly models: string;
}

/** The backups of one appliance: repository, key, records, and the steps that write them, put together. */
export class Backups {
  readonly #deps: BackupsDeps;
  readonly paths: ReturnType<typeof backupPaths>;
  readonly records: BackupStore;
  readonly key: KeyFile;
  readonly restic: Restic;
  readonly local: Repository;
  readonly offsite: readonly Repository[];
  readonly steps: BackupSteps;
  readonly #stepDeps: BackupStepDeps;

  constructor(deps: BackupsDeps) {
    const { config, paths, clock, engine, database, store, models } = deps;
    this.#deps = deps;
    this.paths = backupPaths(paths, config.backups);
    this.records = new BackupStore(database);
    this.key = new KeyFile(this.paths.key);
    this.restic = new Restic({
      engine,
      appliance: config.name,
      host: hostToken(paths),
      scratch: this.paths.scratch,
      cache: this.paths.cache,
      limits: config.backups.limits,
    });
    this.local = this.#repository({ name: 'local', target: this.paths.repository });
    this.offsite = offsiteTargets(config.backups).map((target) => this.#repository(target));
    this.#stepDeps = {
      name: config.name,
      version,
      engine,
      clock,
      config: config.backups,
      store: this.records,
      staging: this.paths.staging,
      dumps: this.paths.dumps,
      repository: this.paths.repository,
      candidates: () => databaseCandidates(engine, config.name),
      copied: copiedFiles(paths, config),
      inPlace: inPlace(paths, models),
      models,
      registry: join(models, 'registry.db'),
      state: paths.state,
      live: () => liveRelease(store),
      pointer: () => readPointer(models),
      local: this.local,
      offsite: this.offsite,
      key: this.key,
    };
    const made = createBackupSteps(this.#stepDeps);
    this.steps = {
      ...made,
      collectSnapshot: withWayOut(made.collectSnapshot),
      storeSnapshot: withWayOut(made.storeSnapshot),
      verifySnapshot: withWayOut(made.verifySnapshot),
    };
  }

  /** Snapshots of this appliance as the repository tells of them, the newest first. */
  list(signal: AbortSignal): Promise<Snapshot[]> {
    return this.local.list(signal);
  }

  /**
   * @param wanted `latest`, an id or the beginning of one
   * @throws ApplianceError `backup_not_found`, `backup_newer`, `backup_damaged`
   */
  async manifest(wanted: string, signal: AbortSignal): Promise<BackupManifest & { readonly resticId: string }> {
    const snapshot = findSnapshot(await this.list(signal), wanted);
    const manifest = await this.manifestOf(snapshot, signal).catch(async (error: unknown) => {
      throw await this.instead(error, snapshot.id, signal);
    });
    return { ...manifest, resticId: snapshot.resticId };
  }

  /** The manifest of a snapshot, from this host's own copy where it has one. */
  async manifestOf(snapshot: Snapshot, signal: AbortSignal): Promise<BackupManifest> {
    return (await this.#known(snapshot)) ?? this.#keep(snapshot, await this.local.manifest(snapshot, signal));
  }

  /**
   * The manifests of all that are listed; what this host does not know is read from the repository in one go.
   * @returns by id; an error where a manifest cannot be read
   */
  async manifestsOf(
    snapshots: readonly Snapshot[],
    signal: AbortSignal,
  ): Promise<ReadonlyMap<string, BackupManifest | ApplianceError>> {
    const found = new Map<string, BackupManifest | ApplianceError>();
    const unknown: Snapshot[] = [];
    for (const snapshot of snapshots) {
      const known = await this.#known(snapshot);
      if (known) found.set(snapshot.id, known);
      else unknown.push(snapshot);
    }
    const texts = await this.local.manifestTexts(
      unknown.map(({ resticId }) => resticId),
      signal,
    );
    for (const snapshot of unknown) {
      try {
        found.set(snapshot.id, await this.#keep(snapshot, parseManifest(texts.get(snapshot.resticId) ?? '')));
      } catch (error) {
        found.set(snapshot.id, asApplianceError(error));
      }
    }
    return found;
  }

  async #known({ id }: Snapshot): Promise<BackupManifest | undefined> {
    // Made here, and found again as it was collected.
    const record = this.records.get(id);
    if (record?.state === 'verified' && record.manifest) return record.manifest;
    // A copy that is damaged is read anew.
    return readJson(this.#copyOf(id), backupManifestSchema).catch(() => undefined);
  }

  async #keep({ id }: Snapshot, manifest: BackupManifest): Promise<BackupManifest> {
    await mkdir(this.paths.manifests, { recursive: true, mode: 0o700 });
    await writeFileAtomic(this.#copyOf(id), JSON.stringify(manifest), 0o600).catch(() => undefined);
    return manifest;
  }

  #copyOf(id: string): string {
    return join(this.paths.manifests, `${id}.json`);
  }

  /** Restores paths of a snapshot below a directory. @param request.include paths in the snapshot */
  async restore(request: {
    readonly resticId: string;
    readonly include: readonly string[];
    readonly target: string;
    readonly signal: AbortSignal;
    readonly progress?: (text: string) => void;
  }): Promise<void> {
    const { signal, progress, resticId } = request;
    const call = {
      signal,
      progress: ({ share, done, total }: Progress) =>
        progress?.(`${Math.floor(share * 100)} % of ${formatBytes(total)}, ${formatBytes(done)} restored`),
    };
    await this.local.restore(request, call).catch(async (error: unknown) => {
      throw await this.instead(error, resticId, signal);
    });
  }

  /**
   * Says of damage that keeps a snapshot from being restored which other one to try: one that was proven, else the newest.
   * @param about the snapshot, by either of its ids
   * @returns any other error as it is
   */
  async instead(thrown: unknown, about: string, signal: AbortSignal): Promise<unknown> {
    if (!(thrown instanceof ApplianceError) || thrown.code !== 'backup_damaged' || signal.aborted) return thrown;
    const others = (await this.list(signal).catch(() => [])).filter(
      ({ id, resticId, kind, damaged, newer }) =>
        id !== about && resticId !== about && kind !== 'safety' && !damaged && !newer,
    );
    const other = others.find(({ proven }) => proven) ?? others[0];
    const why = other?.proven ? 'which was proven' : 'the newest of the others';
    return new ApplianceError(thrown.code, thrown.message, {
      left: 'what is in use stays as it was',
      hint: [
        ...(other ? [`try ${other.id}, ${why}: appliance backup restore ${other.id}`] : []),
        'find what is broken: appliance backup verify; then store it again: appliance backup now',
      ].join('; '),
      cause: thrown,
    });
  }

  /** Files of the models directory in a snapshot that belong to no version, by their paths in it. */
  async looseModels(
    { resticId }: { readonly resticId: string },
    signal: AbortSignal,
  ): Promise<{ path: string; bytes: number }[]> {
    const top = (await this.local.entries(resticId, ['/models'], { deep: false, signal })).filter(
      ({ path }) => dirname(path) === '/models' && isLoose(basename(path)),
    );
    const directories = top.filter(({ type }) => type === 'dir').map(({ path }) => path);
    const below =
      directories.length === 0 ? [] : await this.local.entries(resticId, directories, { deep: true, signal });
    const files = new Map([...top, ...below].map((entry) => [entry.path, entry]));
    return [...files.values()]
      .filter(({ type }) => type === 'file' || type === 'symlink')
      .map(({ path, size }) => ({ path: path.slice('/models/'.length), bytes: size }));
  }

  /** Text of one file of a snapshot. */
  text({ resticId }: { readonly resticId: string }, path: string, signal: AbortSignal): Promise<string> {
    return this.local.file(resticId, path, signal);
  }

  /** Proves the repository; what is broken is remembered. @throws ApplianceError `backup_damaged` */
  check({ readData, signal }: { readData?: string | undefined; signal: AbortSignal }): Promise<void> {
    return checkRepository(this.#stepDeps, readData, signal);
  }

  /** Marks a snapshot as restored and found whole, in the repository itself. */
  async markProven(id: string, proof: Proof, signal: AbortSignal): Promise<void> {
    await this.local.markProven(findSnapshot(await this.list(signal), id), proof, signal);
  }

  async protect(id: string, on: boolean, signal: AbortSignal): Promise<void> {
    await this.local.protect(findSnapshot(await this.list(signal), id), on, signal);
  }

  /** PostgreSQL servers of the core that run. */
  async servers(signal: AbortSignal): Promise<PostgresServer[]> {
    return (await this.#running(signal)).filter((source) => source.kind === 'postgres');
  }

  /** Services of the core with commands of their own for dump and restore, that run. */
  async declared(signal: AbortSignal): Promise<DeclaredService[]> {
    return (await this.#running(signal)).filter((source) => source.kind === 'commands');
  }

  async #running(signal: AbortSignal): Promise<DatabaseSource[]> {
    const { engine, config } = this.#deps;
    const candidates = await databaseCandidates(engine, config.name);
    signal.throwIfAborted();
    return databasesIn(candidates, config.backups.databases).filter(({ running }) => running);
  }

  /** How backups on this host went, the newest first. */
  recent(limit?: number): BackupRecord[] {
    return this.records.recent(limit);
  }

  targets(): TargetRecord[] {
    return this.records.targets();
  }

  /** Seconds that the next backup will take, by the last ones; null before the first. */
  predictedSeconds(): number | null {
    const runs = this.records.runs();
    return runs.length === 0 ? null : Math.max(...runs.slice(0, 5).map(({ seconds }) => seconds));
  }

  /**
   * The steps of one backup with a new id.
   * @param wish.offsite whether it is copied to off-site targets too
   */
  plan(wish: {
    readonly kind: BackupKind;
    readonly protect?: boolean;
    readonly acceptMissing?: boolean;
    readonly offsite?: boolean;
  }): { readonly id: string; readonly steps: PlannedStep[] } {
    const { clock, config } = this.#deps;
    const id = newBackupId(clock.now(), randomBytes(2).toString('hex'));
    const facts = {
      id,
      kind: wish.kind,
      protect: wish.protect ?? false,
      acceptMissing: wish.acceptMissing ?? false,
      predictedSeconds: this.predictedSeconds(),
      timeout: config.backups.limits.timeout,
      offsite: this.offsite.map(({ target }) => target.name),
    };
    return { id, steps: [...planBackup(facts, this.steps), ...(wish.offsite ? planOffsite(facts, this.steps) : [])] };
  }

  /** Retention as a step. @param provenFirst the snapshot that must have been proven before anything is forgotten */
  planForget(provenFirst: string | null, optional: boolean): PlannedStep[] {
    return planForget({ provenFirst, optional, timeout: this.#deps.config.backups.limits.timeout }, this.steps);
  }

  /** The copies for off-site targets as a step. */
  planOffsite(): PlannedStep[] {
    const offsite = this.offsite.map(({ target }) => target.name);
    return planOffsite({ offsite, timeout: this.#deps.config.backups.limits.timeout }, this.steps);
  }

  /** Makes the key where there is none. @throws ApplianceError `backup_key` where a repository has lost its own */
  async ensureKey(): Promise<void> {
    await this.key.ensure(existsSync(join(this.paths.repository, 'config')));
  }

  /**
   * Makes the key where there is none, and ends what a killed agent has left. Only the one writer may call it. An engine
   * that does not answer keeps no agent from starting.
   */
  async prepare(): Promise<void> {
    await rm(this.paths.scratch, { recursive: true, force: true });
    try {
      await this.ensureKey();
      await this.restic.sweep();
    } catch (error) {
      if (!(error instanceof ApplianceError)) throw error;
    }
  }

  #repository(target: Repository['target']): Repository {
    return new Repository({ restic: this.restic, name: this.#deps.config.name, target, key: () => this.key.read() });
  }
}
