import { existsSync } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { copyFiles } from '../../host/copy-files.ts';
import { exists } from '../../host/files.ts';
import { fileSystemUse } from '../../host/machine.ts';
import { ApplianceError } from '../../lib/errors.ts';
import { count } from '../../lib/text.ts';
import { formatBytes } from '../../lib/units.ts';
import type { Finding } from '../../lib/verdict.ts';
import { defineStep, type StepContext } from '../../operations/step.ts';
import {
  clearModelStaging,
  type ModelStaging,
  modelStagingName,
  stagedRegistry,
  stagedVersion,
  type VersionName,
} from './restore-models.ts';

/** What staging needs of everybody else. */
export interface StageDeps {
  /** Directory for what is being restored. */
  readonly directory: string;
  /** The models directory. */
  readonly models: string;
  /** Brings paths of a snapshot back below a directory. */
  readonly restore: (request: {
    readonly resticId: string;
    readonly include: readonly string[];
    readonly target: string;
    readonly signal: AbortSignal;
    readonly progress: (text: string) => void;
  }) => Promise<void>;
  /** Why the files of a version are not what its manifest says; null when they are. */
  readonly wrongVersion: (directory: string, sha256: string, signal: AbortSignal) => Promise<string | null>;
}

/** Bytes that stay free beside what is brought back. */
const reserve = 256 * 1024 * 1024;

/** Where the parts of one restore that are no models lie until they are in place. */
export function stagingOf(directory: string, operation: string): string {
  return join(directory, operation);
}

export function modelStagingOf(models: string, operation: string): ModelStaging {
  return { models, directory: join(models, modelStagingName, operation) };
}

const versionSchema = z.object({ name: z.string(), version: z.string(), sha256: z.string() });
const args = z.object({
  resticId: z.string(),
  /** Files of the snapshot that belong to no models: dumps and configuration. */
  paths: z.array(z.string()),
  /** Hashes of those that are files. */
  hashes: z.record(z.string(), z.string()),
  /** Versions that are not on this host as the snapshot has them. */
  versions: z.array(versionSchema),
  /** Files of the models directory that belong to no version, by their paths in it. */
  loose: z.array(z.string()),
  /** SHA-256 of the registry; null when it is not restored. */
  registry: z.string().nullable(),
  /** About how much is brought back, in bytes. */
  bytes: z.number(),
});
/**
 * Brings everything that is wanted out of the repository to where it can be put in place by renames, and proves it by its
 * hashes before anything in use is touched (S1-64). What an earlier try has left is thrown away.
 */
export function stageRestore(deps: StageDeps) {
  return defineStep({
    action: 'stage-restore',
    args,
    async apply(wish, context) {
      const { directory, models } = places(deps, context);
      await clear(deps, context);
      await mkdir(directory, { recursive: true, mode: 0o700 });
      await assertRoom(directory, wish.bytes);
      const { resticId, paths, versions, registry, loose } = wish;
      const { signal } = context;
      const request = { resticId, signal, progress: (text: string) => context.progress(text) };
      if (paths.length > 0)
        await deps.restore({ ...request, include: paths.map((path) => `/snapshot/${path}`), target: directory });
      const include = [
        ...versions.map(({ name, version }) => `/models/versions/${name}/${version}`),
        ...(registry === null ? [] : ['/snapshot/sqlite/registry.db']),
        ...loose.map((path) => `/models/${literally(path)}`),
      ];
      if (include.length > 0) {
        await mkdir(models.directory, { recursive: true, mode: 0o755 });
        await deps.restore({ ...request, include, target: models.directory });
      }
      const files = loose.length === 0 ? '' : `, and ${count(loose.length, 'file')} beside them,`;
      return `${paths.length} parts and ${count(versions.length, 'model')}${files} are staged`;
    },
    async verify({ hashes, versions, registry, loose }, context): Promise<Finding> {
      const { directory, models } = places(deps, context);
      const files = [
        ...Object.entries(hashes).map(([path, sha256]) => ({ at: join(directory, 'snapshot', path), sha256 })),
        ...(registry === null ? [] : [{ at: stagedRegistry(models), sha256: registry }]),
      ];
      const beside = await missing(join(models.directory, 'models'), loose);
      const wrong = [
        ...beside.map((path) => `${path} of the models directory is not in the snapshot`),
        ...(await wrongFiles(files, context.signal)),
        ...(await wrongVersions(deps, models, versions, context.signal)),
      ];
      return {
        id: 'staged',
        verdict: wrong.length === 0 ? 'pass' : 'fail',
        observed: wrong.length === 0 ? 'everything is as the snapshot was made' : wrong.join('; '),
        samples: files.length + versions.length + loose.length,
        ...(wrong.length === 0 ? {} : { hint: 'choose another snapshot: appliance backup list' }),
      };
    },
    undo: (_, context) => clear(deps, context),
  });
}

async function missing(directory: string, paths: readonly string[]): Promise<string[]> {
  const there = await Promise.all(paths.map((path) => exists(join(directory, path))));
  return paths.filter((_, index) => !there[index]);
}

/** A path as a pattern of restic that means it alone. */
const literally = (path: string): string => path.replaceAll(/[\\*?[\]]/g, '\\$&');

function places(deps: StageDeps, { operation }: Pick<StepContext, 'operation'>) {
  return { directory: stagingOf(deps.directory, operation), models: modelStagingOf(deps.models, operation) };
}

/** Removes what a restore has staged. */
export async function clear(deps: StageDeps, context: Pick<StepContext, 'operation'>): Promise<void> {
  const { directory, models } = places(deps, context);
  await rm(directory, { recursive: true, force: true });
  await clearModelStaging(models);
}

async function assertRoom(directory: string, bytes: number): Promise<void> {
  const { free } = await fileSystemUse(directory);
  if (free >= bytes + reserve) return;
  throw new ApplianceError(
    'disk_full',
    `${formatBytes(bytes)} are to be restored, and ${formatBytes(free)} are free below ${directory}`,
    {
      left: 'nothing was touched',
      hint: 'free some space (appliance releases prune; appliance backup prune), or restore less: --component database',
    },
  );
}

async function wrongFiles(
  files: readonly { readonly at: string; readonly sha256: string }[],
  signal: AbortSignal,
): Promise<string[]> {
  const missing = files.filter(({ at }) => !existsSync(at));
  const there = files.filter(({ at }) => existsSync(at));
  const results = await copyFiles(
    there.map(({ at }) => ({ from: at, size: 0 })),
    signal,
  );
  return [
    ...missing.map(({ at }) => `${at} is not in the snapshot`),
    ...there.flatMap(({ at, sha256 }, index) => (results[index]?.sha256 === sha256 ? [] : [`${at} has another hash`])),
  ];
}

/** Two at a time: as many as may be hashed at once. */
async function wrongVersions(
  deps: StageDeps,
  staging: ModelStaging,
  versions: readonly (VersionName & { readonly sha256: string })[],
  signal: AbortSignal,
): Promise<string[]> {
  const wrong: string[] = [];
  const queue = versions.values();
  const lane = async (): Promise<void> => {
    for (const version of queue) {
      const why = await deps.wrongVersion(stagedVersion(staging, version), version.sha256, signal);
      if (why !== null) wrong.push(`${version.name}@${version.version}: ${why}`);
    }
  };
  await Promise.all([lane(), lane()]);
  return wrong.sort();
}
