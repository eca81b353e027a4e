import { existsSync } from 'node:fs';
import { mkdir, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { BackupsConfig } from '../../config/backups.ts';
import type { Engine } from '../../host/docker.ts';
import type { TaskMount } from '../../host/docker-task.ts';
import { writeFileAtomic } from '../../host/files.ts';
import { fileSystemUse } from '../../host/machine.ts';
import { type Clock, timestamp } from '../../lib/clock.ts';
import { ApplianceError } from '../../lib/errors.ts';
import { copyDatabase, copyTree, signature, treeBytes } from './copies.ts';
import { type DatabaseCandidate, databasesIn, dumpDatabases } from './databases.ts';
import { keptFile } from './kept-dumps.ts';
import { type BackupComponent, type BackupKind, type BackupManifest, snapshotFormat } from './manifest.ts';
import { damagedModels, modelsIn } from './models.ts';
import { assertRoom, predict } from './prediction.ts';
import type { BackupStore } from './store.ts';

/** A part of the snapshot that is a file or directory of this host. */
export interface FileSource {
  readonly name: string;
  readonly from: string;
  /** Relative to `/snapshot`. */
  readonly to: string;
  /** Names of entries that are left out. */
  readonly except?: readonly string[];
}

export interface CollectDeps {
  readonly name: string;
  readonly version: string;
  readonly engine: Engine;
  readonly clock: Clock;
  readonly config: BackupsConfig;
  readonly store: BackupStore;
  /** Directory below which each snapshot is put together. */
  readonly staging: string;
  /** Directory of the dumps that stay until their databases change. */
  readonly dumps: string;
  /** Directory of the local repository. */
  readonly repository: string;
  readonly candidates: () => Promise<DatabaseCandidate[]>;
  /** Small files, copied. */
  readonly copied: readonly FileSource[];
  /** Large or immutable directories, read where they are. */
  readonly inPlace: readonly FileSource[];
  /** The models directory, its registry, and the appliance's own database. */
  readonly models: string;
  readonly registry: string;
  readonly state: string;
  readonly live: () => Promise<BackupManifest['release']>;
  readonly pointer: () => Promise<BackupManifest['modelInForce']>;
}

export interface Wish {
  readonly id: string;
  readonly kind: BackupKind;
  /** A database of the snapshot before may be gone. */
  readonly acceptMissing: boolean;
}

export interface Collected {
  readonly manifest: BackupManifest;
  /** Databases that were not dumped, because their last dumps still hold. */
  readonly unchanged: readonly string[];
}

interface Call {
  readonly signal: AbortSignal;
  progress(text: string): void;
}

/** What no snapshot needs of the models directory: the registry is copied as a database. */
const modelsExcept = ['.staging', '.restore', 'registry.db', 'registry.db-wal', 'registry.db-shm'];

export function stagingOf({ staging }: Pick<CollectDeps, 'staging'>, id: string): string {
  return join(staging, id);
}

/**
 * Puts a snapshot together: dumps, copies of databases that are being written, files, and the manifest that binds them
 * (S1-20, S1-21, S1-22, S1-43 to S1-45). Begins anew whatever an earlier try has left.
 * @throws ApplianceError `disk_full` before anything is written, when it would not fit; `backup_failed`, `state_corrupt`
 */
export async function collect(deps: CollectDeps, { id, kind, acceptMissing }: Wish, call: Call): Promise<Collected> {
  const { engine, config, clock, store } = deps;
  const staging = stagingOf(deps, id);
  await mkdir(deps.staging, { recursive: true, mode: 0o700 });
  for (const name of await readdir(deps.staging)) await rm(join(deps.staging, name), { recursive: true, force: true });
  await assertFits(deps);
  await mkdir(staging, { mode: 0o700 });
  const found = databasesIn(await deps.candidates(), config.databases);
  // Before a restore whatever is still there is worth keeping.
  const rescue = kind === 'safety';
  const sources = rescue ? found.filter(({ running }) => running) : found;
  if (!acceptMissing && !rescue) assertNoneMissing(deps, sources);
  const { signal, progress } = call;
  const places = { staging, dumps: deps.dumps };
  const databases = await dumpDatabases(sources, places, { engine, signal, timeout: config.limits.timeout, progress });
  call.progress('copy databases and files');
  const copies: BackupComponent[] = [];
  for (const { name, from, to, except } of deps.copied) {
    const copied = await copyTree(from, join(staging, to), except);
    if (copied) copies.push({ name, path: to, ...copied });
  }
  for (const { name, from, to, except } of deps.inPlace) {
    if (!existsSync(from)) continue;
    await mkdir(join(staging, to), { recursive: true, mode: 0o700 });
    copies.push({ name, path: to, bytes: await treeBytes(from, except), sha256: null });
  }
  const state = await copyDatabase(deps.state, join(staging, 'sqlite/state.db'));
  if (state) copies.push({ name: 'state', path: 'sqlite/state.db', ...state });
  const components = [...databases.components, ...copies];
  const manifest = await bindModels(deps, staging, {
    format: snapshotFormat,
    id,
    kind,
    time: timestamp(store.get(id)?.began ?? clock.now()),
    appliance: { name: deps.name, version: deps.version },
    release: await deps.live(),
    components,
    models: [],
    modelInForce: null,
  });
  signal.throwIfAborted();
  return { manifest, unchanged: databases.unchanged };
}

/**
 * Copies the registry, lists its models and writes the manifest. Done again when the models directory has changed while it
 * was stored.
 */
export async function bindModels(deps: CollectDeps, staging: string, rest: BackupManifest): Promise<BackupManifest> {
  const registryPath = 'sqlite/registry.db';
  const rescue = rest.kind === 'safety';
  const registry = await copyDatabase(deps.registry, join(staging, registryPath)).catch((error: unknown) => {
    if (rescue && error instanceof ApplianceError && error.code === 'state_corrupt') return undefined;
    throw error;
  });
  const models = registry ? modelsIn(join(staging, registryPath)) : [];
  const components = rest.components.filter(({ name }) => name !== 'registry' && name !== 'models');
  if (registry) components.push({ name: 'registry', path: registryPath, ...registry });
  if (existsSync(deps.models))
    components.push({
      name: 'models',
      path: '/models',
      bytes: await treeBytes(deps.models, modelsExcept),
      sha256: null,
    });
  const damaged = await damagedModels(deps.models, models);
  if (damaged.length > 0 && damaged.length === models.length && !rescue) throw modelsGone(deps.models, damaged);
  const manifest = { ...rest, components, models, modelInForce: await deps.pointer() };
  await writeFileAtomic(join(staging, 'manifest.json'), `${JSON.stringify(manifest, null, 2)}\n`, 0o600);
  return manifest;
}

/** What restic reads, and where it finds it. */
export async function mountsOf(deps: CollectDeps, id: string): Promise<{ mounts: TaskMount[]; exclude: string[] }> {
  const inPlace = deps.inPlace.filter(({ from }) => existsSync(from));
  const dumped = existsSync(deps.dumps) ? await readdir(deps.dumps) : [];
  return {
    mounts: [
      { from: stagingOf(deps, id), to: '/snapshot' },
      ...dumped.map((service) => ({ from: join(deps.dumps, service), to: `/snapshot/databases/${service}` })),
      ...inPlace.map(({ from, to }) => ({ from, to: `/snapshot/${to}` })),
      ...(existsSync(deps.models) ? [{ from: deps.models, to: '/models' }] : []),
    ],
    exclude: [
      ...modelsExcept.map((name) => `/models/${name}`),
      `/snapshot/databases/*/${keptFile}`,
      ...inPlace.flatMap(({ to, except = [] }) => except.map((name) => `/snapshot/${to}/${name}`)),
    ],
  };
}

/** Tells whether anybody has changed the models directory. */
export function modelsSignature(deps: CollectDeps): Promise<string> {
  return signature(deps.models, modelsExcept);
}

/** Bytes of the local sources that are not dumped. */
async function sourceBytes(deps: CollectDeps): Promise<number> {
  let bytes = await treeBytes(deps.models, modelsExcept);
  for (const { from, except } of deps.inPlace) bytes += await treeBytes(from, except);
  return bytes;
}

async function assertFits(deps: CollectDeps): Promise<void> {
  const predicted = predict(deps.store.runs(), await sourceBytes(deps));
  const uses = await Promise.all([fileSystemUse(deps.staging), fileSystemUse(deps.repository)]);
  const [staging, repository] = uses;
  const [one, other] = await Promise.all([stat(staging.directory), stat(repository.directory)]);
  assertRoom(predicted, {
    // What is dumped anew takes the place of its last dump.
    staging: staging.free + (existsSync(deps.dumps) ? await treeBytes(deps.dumps) : 0),
    repository: repository.free,
    same: one.dev === other.dev,
  });
}

/** A database that the snapshot before has and that has no container today is down, not gone: a backup without it is none. */
function assertNoneMissing({ store }: CollectDeps, sources: readonly { service: string }[]): void {
  const [last] = store.before('');
  const known = new Set(sources.map(({ service }) => service));
  const missing = last?.manifest?.components
    .map(({ name }) => /^database:([^/]+)/.exec(name)?.[1])
    .find((service) => service !== undefined && !known.has(service));
  if (missing === undefined) return;
  throw new ApplianceError('backup_failed', `the database ${missing} of the snapshot before has no container`, {
    left: 'no snapshot was made; the snapshots before it are untouched',
    hint: 'start it: appliance up; if it is gone for good, say so: appliance backup now --accept-missing',
  });
}

function modelsGone(directory: string, damaged: readonly string[]): ApplianceError {
  return new ApplianceError(
    'backup_failed',
    `none of the ${damaged.length} registered models is in ${directory} as it was registered`,
    {
      left: 'no snapshot was made; the snapshots before it are untouched',
      hint: 'bring the models back: appliance backup restore latest --component models; appliance models verify names them',
    },
  );
}
