import { lstat } from 'node:fs/promises';
import { join } from 'node:path';
import { drillLabel } from '../capabilities/backups/drill.ts';
import type { DeclaredService } from '../capabilities/backups/drill-commands.ts';
import type { BackupManifest } from '../capabilities/backups/manifest.ts';
import { type RestoreServer, serverIn } from '../capabilities/backups/restore-server.ts';
import type { RestoreDeps } from '../capabilities/backups/restore-steps.ts';
import { readManifest } from '../capabilities/models/manifest-file.ts';
import { readPointer, switchPointer } from '../capabilities/models/pointer.ts';
import type { ReleaseStore } from '../capabilities/releases/store.ts';
import type { Config } from '../config/schema.ts';
import { copyFiles } from '../host/copy-files.ts';
import type { Engine } from '../host/docker.ts';
import type { Clock } from '../lib/clock.ts';
import { ApplianceError, messageOf } from '../lib/errors.ts';
import type { Paths } from '../lib/paths.ts';
import { formatDuration } from '../lib/units.ts';
import type { DeclaredDatabase } from '../recipes/restore.ts';
import type { Backups } from './backups.ts';
import type { ModelService } from './model-service.ts';
import type { Models } from './models.ts';
import { recoveryPaths } from './recovery-paths.ts';

export interface RestoreParts {
  readonly config: Config;
  readonly paths: Paths;
  readonly clock: Clock;
  readonly engine: Engine;
  readonly store: ReleaseStore;
  readonly models: Models;
  readonly modelService: () => ModelService | undefined;
  readonly backups: Backups;
}

/** What the steps of a restore need of everybody else. */
export function restoreDepsOf(parts: RestoreParts): RestoreDeps {
  const { config, paths, clock, engine, store, models, backups } = parts;
  return {
    directory: restoreDirectory(paths),
    models: models.directory,
    restore: (request) => backups.restore(request),
    wrongVersion,
    server: (service, signal) => restoreServer({ backups, engine }, service, signal),
    declared: (service, signal) => declaredServer(backups, service, signal),
    trial: {
      engine,
      clock,
      labels: { [drillLabel]: config.name },
      memory: config.backups.drill.memory,
      processors: config.backups.limits.cpus,
      timeout: config.backups.limits.timeout,
    },
    setSchema: (schema) => (schema ? store.setDatabaseSchema(schema) : store.forgetDatabaseSchema()),
    withoutRegistry: (work) => models.withoutRegistry(work),
    pointer: {
      read: () => readPointer(models.directory),
      write: (to) => switchPointer(models.directory, to, new Date(clock.now())),
    },
    loadModel: async (sha256, signal, progress) => {
      const service = parts.modelService();
      if (!service || !store.live()) return 'nothing runs that could load it';
      await service.remount(signal, progress);
      const { by, replicas, elapsed } = await service.close(sha256, signal, progress);
      return `${replicas} processes report ${sha256.slice(0, 12)} after ${formatDuration(elapsed)} (${by})`;
    },
    config: {
      etc: paths.etc,
      environment: config.source.envFile,
      modelKeys: join(paths.lib, 'model-keys'),
      certificates: join(paths.edge, 'certs'),
      acme: join(paths.lib, 'certificates'),
    },
    recovered: join(recoveryPaths(paths).directory, 'snapshot'),
    recoveryNote: recoveryPaths(paths).note,
  };
}

/** A snapshot that stands in the repository. */
export type FoundSnapshot = BackupManifest & { readonly resticId: string };

/** The databases of a snapshot that their declared commands have dumped, and only those can load. */
export function declaredDatabases({ components }: Pick<BackupManifest, 'components'>): DeclaredDatabase[] {
  return components.flatMap(({ name, path, sha256, bytes, rows = null }) => {
    const [, service] = /^database:([^/]+)$/.exec(name) ?? [];
    return service === undefined || sha256 === null ? [] : [{ service, path, sha256, bytes, rows }];
  });
}

/** Directory in which restores stage what is no model. */
function restoreDirectory({ lib }: Paths): string {
  return join(lib, 'backups/restore');
}

/** @throws ApplianceError `database_unreachable` when the server does not run */
export async function restoreServer(
  { backups, engine }: Pick<RestoreParts, 'backups' | 'engine'>,
  service: string,
  signal: AbortSignal,
): Promise<RestoreServer> {
  const server = (await backups.servers(signal)).find((one) => one.service === service);
  if (!server)
    throw new ApplianceError('database_unreachable', `the database server ${service} does not run`, {
      left: 'nothing was replaced',
      hint: 'start it: appliance up; then run the command again',
    });
  return serverIn(engine, server);
}

/** @throws ApplianceError `database_unreachable` when the service does not run, or has no commands */
export async function declaredServer(backups: Backups, service: string, signal: AbortSignal): Promise<DeclaredService> {
  const found = (await backups.declared(signal)).find((one) => one.service === service);
  if (!found)
    throw new ApplianceError(
      'database_unreachable',
      `${service} cannot load its dump: it does not run, or has no restore command any more`,
      {
        left: 'nothing was replaced',
        hint: `start it: appliance up; or declare its commands again: backups.databases.${service}; then run the command again`,
      },
    );
  return found;
}

/** Why the files of a version are not what its manifest says; null when they are. All bytes are read. */
export async function wrongVersion(directory: string, sha256: string, signal: AbortSignal): Promise<string | null> {
  try {
    const { digest, manifest } = await readManifest(directory);
    if (digest !== sha256) return `its manifest has hash ${digest.slice(0, 12)}, not ${sha256.slice(0, 12)}`;
    const files = Object.entries(manifest.files);
    const jobs = await Promise.all(
      files.map(async ([name]) => {
        const from = join(directory, name);
        return { from, size: (await lstat(from)).size };
      }),
    );
    const results = await copyFiles(jobs, signal);
    const wrong = files.find(([, file], index) => results[index]?.sha256 !== file.sha256);
    return wrong ? `${wrong[0]} has another hash` : null;
  } catch (error) {
    signal.throwIfAborted();
    return messageOf(error);
  }
}
