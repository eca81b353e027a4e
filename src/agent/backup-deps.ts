import { createHash } from 'node:crypto';
import { hostname } from 'node:os';
import { join } from 'node:path';
import type { FileSource } from '../capabilities/backups/collect.ts';
import { type DatabaseCandidate, postgresKeys } from '../capabilities/backups/databases.ts';
import type { BackupManifest } from '../capabilities/backups/manifest.ts';
import type { ReleaseStore } from '../capabilities/releases/store.ts';
import { labelKeys } from '../capabilities/stack/index.ts';
import type { Config } from '../config/schema.ts';
import type { Engine } from '../host/docker.ts';
import type { ResticTarget } from '../host/restic.ts';
import type { Paths } from '../lib/paths.ts';

/** Where backups have their things. */
export function backupPaths({ lib, run }: Paths, { repository }: Config['backups']) {
  const root = join(lib, 'backups');
  return {
    root,
    repository: repository ?? join(root, 'repository'),
    key: join(root, 'key'),
    staging: join(root, 'staging'),
    dumps: join(root, 'dumps'),
    cache: join(root, 'cache'),
    manifests: join(root, 'manifests'),
    scratch: join(run, 'restic'),
  };
}

/** Tells this host's locks in a repository from those of others. */
export function hostToken({ lib }: Paths): string {
  return createHash('sha256').update(`${hostname()}\0${lib}`).digest('hex').slice(0, 8);
}

/** Small files that are copied (S1-22, S1-45); secrets keep their modes. */
export function copiedFiles(paths: Paths, config: Config): FileSource[] {
  const { envFile } = config.source;
  return [
    { name: 'config', from: paths.etc, to: 'config/etc' },
    ...(envFile === undefined ? [] : [{ name: 'secrets', from: envFile, to: 'config/environment' }]),
    { name: 'model-keys', from: join(paths.lib, 'model-keys'), to: 'config/model-keys' },
    { name: 'core', from: paths.core, to: 'core' },
    { name: 'compose', from: join(paths.lib, 'compose'), to: 'compose' },
    { name: 'certificates', from: join(paths.edge, 'certs'), to: 'certificates/edge' },
    // The ACME account and what was issued.
    { name: 'acme', from: join(paths.lib, 'certificates'), to: 'certificates/acme' },
    { name: 'monitoring', from: paths.monitoring, to: 'monitoring', except: ['textfile'] },
  ];
}

/** Directories that are read where they are: releases and old audits never change, the application's files may at any time. */
export function inPlace(paths: Paths, models: string): FileSource[] {
  const persistent = join(paths.lib, 'persistent');
  const inside = models.startsWith(`${persistent}/`) ? [models.slice(persistent.length + 1)] : [];
  return [
    { name: 'releases', from: paths.releases, to: 'releases' },
    { name: 'persistent', from: persistent, to: 'persistent', except: inside },
    // Read after the table was copied: what is moved meanwhile is in both, and the chain allows that.
    { name: 'audit', from: join(paths.lib, 'audit'), to: 'audit' },
  ];
}

export function offsiteTargets({ offsite }: Config['backups']): ResticTarget[] {
  return offsite.map(({ name, target, environmentFile, credentials }) => ({
    name,
    target,
    environmentFile,
    credentials,
  }));
}

/** Containers of the core, running or not, that may be databases. */
export async function databaseCandidates(engine: Engine, name: string): Promise<DatabaseCandidate[]> {
  const containers = await engine.containers([`${labelKeys.name}=${name}`, `${labelKeys.role}=core`]);
  return Promise.all(
    containers.map(async ({ id, state, labels }) => ({
      service: labels[labelKeys.service] ?? labels['com.docker.compose.service'] ?? '',
      container: id,
      running: state === 'running',
      labels,
      environment: await engine.environment(id, postgresKeys),
    })),
  );
}

/** What is live, for the manifest. */
export async function liveRelease(store: ReleaseStore): Promise<BackupManifest['release']> {
  const live = store.live();
  if (!live) return null;
  const { tag } = store.get(live.release);
  return { tag, id: live.release, schema: store.databaseSchema() };
}
