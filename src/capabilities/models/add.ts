import { randomBytes } from 'node:crypto';
import { chmod, mkdir, readdir, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Policy } from '../../config/policy.ts';
import { copyFiles } from '../../host/copy-files.ts';
import { exists, syncDirectory } from '../../host/files.ts';
import { fileSystemUse } from '../../host/machine.ts';
import { ApplianceError, systemCode } from '../../lib/errors.ts';
import { formatBytes } from '../../lib/units.ts';
import { compareWithManifest, largestMetrics, metadataOf, metricsName, readMetrics } from './contents.ts';
import { checkLabel, modelFiles, versionDirectory } from './layout.ts';
import { manifestDigest, parseManifest } from './manifest.ts';
import { contentOf, labelTaken, type ModelRegistry } from './registry.ts';
import type { Artefact, Change, ModelVersion } from './registry-types.ts';
import { checkRequirements } from './requirements.ts';
import {
  inside,
  invalid,
  readManifestOf,
  readSmall,
  realDirectory,
  type SourceFile,
  surveyDirectory,
} from './survey.ts';
import { unwritable } from './unwritable.ts';

export interface AddRequest {
  /** Directory with the files, on this host. */
  readonly source: string;
  /** Where it came from, for people; its path by default. */
  readonly label?: string;
  /** What the files asked of a version are; nothing beyond a manifest without it. */
  readonly requirements: Policy['models'] | undefined;
  readonly change: Change;
  /** User id of who asks. */
  readonly uid: number;
  readonly signal: AbortSignal;
}

export interface Added {
  readonly version: ModelVersion;
  /** False when the same bytes were registered under the same label already. */
  readonly added: boolean;
}

/** Space that an add leaves free, in bytes: the appliance and its databases go on writing. */
const reserve = 2 ** 26;

/**
 * Registers a directory as a version: copied to the same file system, hashed meanwhile, flushed, renamed, written down
 * (S0-13, S3-5, S3-7). Cut short at any point, nothing is registered, and `sweep` removes what was copied.
 * @throws ApplianceError `model_invalid`, `model_exists`, `not_permitted`, `disk_full`, `busy`; nothing is left behind
 */
export async function addVersion(registry: ModelRegistry, request: AddRequest): Promise<Added> {
  const source = await realDirectory(request.source);
  if (inside(registry.directory, source) || inside(source, modelFiles(registry.directory).versions)) {
    throw invalid(`${source} is where the appliance itself keeps models; appliance models import takes them over`);
  }
  return addFiles(registry, await surveyDirectory(source, request.uid), { ...request, source, event: 'registered' });
}

/** As `addVersion`, for files that were looked at already. */
export async function addFiles(
  registry: ModelRegistry,
  files: readonly SourceFile[],
  request: Omit<AddRequest, 'uid'> & { readonly event: 'registered' | 'imported' },
): Promise<Added> {
  const bytes = await readManifestOf(files);
  const manifest = parseManifest(bytes);
  const name = checkLabel('name of a model', manifest.name);
  const label = checkLabel('version', manifest.version);
  const known = registry.version(name, label);
  if (known && known.sha256 !== manifestDigest(bytes)) throw labelTaken(known);
  const metrics = readMetrics(
    await readSmall(
      files.find(({ path }) => path === metricsName),
      largestMetrics,
    ),
  );
  await assertRoom(registry.directory, files);
  return staged(registry, async (staging) => {
    const artefacts = await copyInto(staging, files, request.signal);
    if (artefacts.find(({ path }) => path === 'manifest.json')?.sha256 !== manifestDigest(bytes))
      throw invalid('its manifest changed while it was copied');
    compareWithManifest(manifest, artefacts);
    if (known?.content === contentOf(artefacts)) return bringBack(registry, staging, known, request);
    if (known) throw labelTaken(known);
    const metadata = metadataOf(manifest);
    assertRequirements(request.requirements, { manifest, artefacts, metadata, metrics });
    request.signal.throwIfAborted();
    const source = request.label ?? request.source;
    const made = { name, version: label, sha256: manifestDigest(bytes), artefacts, metrics, metadata, source };
    return { version: await install(registry, staging, made, request), added: true };
  });
}

/** The files of a version that was pruned come back with the same bytes; of one that lies there nothing changes. */
async function bringBack(
  registry: ModelRegistry,
  staging: string,
  version: ModelVersion,
  { change }: { readonly change: Change },
): Promise<Added> {
  if (await exists(version.directory)) return { version, added: false };
  await place(registry, staging, version.directory);
  registry.note(version, 'restored', change);
  return { version, added: true };
}

/** Runs work with a directory of its own in staging, which is gone afterwards. */
async function staged<T>(registry: ModelRegistry, work: (staging: string) => Promise<T>): Promise<T> {
  const staging = join(modelFiles(registry.directory).staging, randomBytes(8).toString('hex'));
  try {
    await mkdir(staging, { recursive: true, mode: 0o700 }).catch((error: unknown) => {
      throw unwritable(registry.directory, error) ?? error;
    });
    return await work(staging);
  } finally {
    await removeTree(staging);
  }
}

async function copyInto(staging: string, files: readonly SourceFile[], signal: AbortSignal): Promise<Artefact[]> {
  const directories = [...new Set(files.map(({ path }) => dirname(path)))].filter((path) => path !== '.').sort();
  for (const path of directories) await mkdir(join(staging, path), { recursive: true });
  const jobs = files.map(({ path, from, identity, bytes, offset }) => ({
    from,
    to: join(staging, path),
    mode: 0o444,
    identity,
    size: bytes,
    ...(offset === undefined ? {} : { range: { offset, bytes } }),
  }));
  try {
    const results = await copyFiles(jobs, signal);
    for (const path of await directoriesIn(staging)) {
      await chmod(path, path === staging ? 0o755 : 0o555);
      await syncDirectory(path);
    }
    return files.flatMap(({ path }, index) => {
      const result = results[index];
      return result ? [{ path, sha256: result.sha256, bytes: result.bytes }] : [];
    });
  } catch (error) {
    if (systemCode(error) === 'ESTALE') throw invalid('a file changed while it was copied; add it when it is complete');
    throw error;
  }
}

/** The rename that makes a version, and its record. */
/** Puts a directory where versions lie, with one rename. */
async function place(registry: ModelRegistry, staging: string, target: string): Promise<void> {
  await mkdir(dirname(target), { recursive: true, mode: 0o755 });
  await rename(staging, target);
  await chmod(target, 0o555);
  for (const path of [dirname(target), dirname(dirname(target)), registry.directory]) await syncDirectory(path);
}

async function install(
  registry: ModelRegistry,
  staging: string,
  made: Parameters<ModelRegistry['register']>[0],
  { change, event }: { readonly change: Change; readonly event: 'registered' | 'imported' },
): Promise<ModelVersion> {
  const { name, version } = made;
  const target = versionDirectory(registry.directory, name, version);
  if (await exists(target)) {
    throw new ApplianceError('model_exists', `${target} is there, and the registry does not know it`, {
      left: 'it is untouched; nothing was added',
      hint: 'register what lies there: appliance models import; or move it away',
    });
  }
  if (!registry.intend(name, version)) {
    throw new ApplianceError('busy', `${name}@${version} is being added by somebody else`, {
      left: 'nothing was added',
      hint: 'look in a moment: appliance models list',
    });
  }
  try {
    await place(registry, staging, target);
    return registry.register(made, change, event);
  } catch (error) {
    await removeTree(target);
    registry.forget(name, version);
    throw error;
  }
}

/** Removes what an add left that was cut short. Only the one writer may call it, while nothing is being added. */
export async function sweep(registry: ModelRegistry): Promise<void> {
  for (const { name, version } of registry.intents()) {
    if (!registry.version(name, version)) await removeTree(versionDirectory(registry.directory, name, version));
    registry.forget(name, version);
  }
  await removeTree(modelFiles(registry.directory).staging);
}

function assertRequirements(
  requirements: AddRequest['requirements'],
  offered: Parameters<typeof checkRequirements>[1],
) {
  if (!requirements) return;
  const missing = checkRequirements(requirements, offered).filter(({ verdict }) => verdict !== 'pass');
  if (missing.length === 0) return;
  const said = missing.map(({ id, observed, expected }) => `${id}: ${observed} (asked for: ${expected})`);
  throw invalid(`the policy asks for more. ${said.join('; ')}`);
}

/** @throws ApplianceError `disk_full` before anything is written */
async function assertRoom(directory: string, files: readonly SourceFile[]): Promise<void> {
  const needed = files.reduce((sum, { bytes }) => sum + bytes, 0);
  const { free } = await fileSystemUse(directory);
  if (needed + reserve <= free) return;
  throw new ApplianceError(
    'disk_full',
    `the version needs ${formatBytes(needed)}, and ${directory} has ${formatBytes(free)} left, of which ${formatBytes(reserve)} are kept free`,
    {
      left: 'nothing was copied or registered',
      hint: 'free some space (appliance releases prune), then run the command again',
    },
  );
}

async function directoriesIn(directory: string): Promise<string[]> {
  const entries = await readdir(directory, { withFileTypes: true });
  const below = await Promise.all(
    entries.filter((entry) => entry.isDirectory()).map(({ name }) => directoriesIn(join(directory, name))),
  );
  return [...below.flat(), directory];
}

/** Removes a directory, read-only ones inside of it included. */
export async function removeTree(directory: string): Promise<void> {
  if (!(await exists(directory))) return;
  if (process.getuid?.() !== 0) await makeWritable(directory);
  await rm(directory, { recursive: true, force: true });
}

/** Nobody but root can take an entry out of a read-only directory. */
async function makeWritable(directory: string): Promise<void> {
  await chmod(directory, 0o700);
  for (const entry of await readdir(directory, { withFileTypes: true }))
    if (entry.isDirectory()) await makeWritable(join(directory, entry.name));
}
