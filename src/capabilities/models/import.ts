import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { copyFiles } from '../../host/copy-files.ts';
import { readIfPresent } from '../../host/files.ts';
import { ApplianceError, asApplianceError, systemCode } from '../../lib/errors.ts';
import { type AddRequest, addFiles, addVersion } from './add.ts';
import { compareWithManifest, largestMetrics, metadataOf, metricsName, readMetrics } from './contents.ts';
import { modelFiles } from './layout.ts';
import { manifestDigest, manifestName, parseManifest } from './manifest.ts';
import { readPointer, switchPointer } from './pointer.ts';
import type { ModelRegistry } from './registry.ts';
import type { ModelVersion } from './registry-types.ts';
import { invalid, readManifestOf, readSmall, realDirectory, surveyDirectory } from './survey.ts';

export interface Imported {
  readonly imported: readonly ModelVersion[];
  /** What lies there and was not taken, with the reason. */
  readonly skipped: readonly { readonly path: string; readonly reason: string }[];
}

/** Directories below the given one in which versions are looked for. */
const depth = 2;

/**
 * Registers every version that lies in a directory or just below it, for example `production/`, `staging/` and dated
 * backups (S0-15). One that cannot be taken does not keep others from it.
 * @throws ApplianceError `model_invalid` when there is none at all
 */
export async function importDirectory(registry: ModelRegistry, request: AddRequest): Promise<Imported> {
  const source = await realDirectory(request.source);
  const found = await withManifests(source, depth);
  if (found.length === 0) throw invalid(`neither ${source} nor a directory in it has a ${manifestName}`);
  return collect(found, request.signal, async (path) => {
    const { version, added } = await addVersion(registry, { ...request, source: path });
    return added ? version : 'it is registered already';
  });
}

/**
 * Takes over what lies in the models directory itself: versions that no registry knows (after the loss of one), and the
 * flat files that a release brought along, which become a version of their own and, where none is in force, the one in
 * force. Running processes notice nothing: it is the manifest that they have loaded (S1-26).
 */
export async function adoptDirectory(
  registry: ModelRegistry,
  request: Pick<AddRequest, 'change' | 'signal'>,
  now: Date,
): Promise<Imported> {
  const { directory, versions } = modelFiles(registry.directory);
  const lost = await withManifests(versions, depth);
  const flat = (await readIfPresent(join(directory, manifestName))) === undefined ? [] : [directory];
  const result = await collect([...lost, ...flat], request.signal, (path) =>
    path === directory ? adoptFlat(registry, request) : adoptInPlace(registry, path, request),
  );
  const pointer = await readPointer(directory);
  const served = pointer
    ? registry.version(pointer.name, pointer.version)
    : result.imported.find(({ source }) => source === directory);
  if (served && served.state !== 'production') {
    if (!pointer) await switchPointer(directory, served, now);
    registry.promoted(served, { ...request.change, reason: 'was in force when it was imported' });
  }
  return { ...result, imported: result.imported.map(({ id }) => registry.get(id)) };
}

async function adoptFlat(
  registry: ModelRegistry,
  { change, signal }: Pick<AddRequest, 'change' | 'signal'>,
): Promise<ModelVersion | string> {
  const { directory } = registry;
  // Registry, versions and whatever else lies beside them is not part of the model: only what its manifest names is.
  const manifest = parseManifest(Buffer.from((await readIfPresent(join(directory, manifestName))) ?? ''));
  const named = new Set([manifestName, ...Object.keys(manifest.files)]);
  const files = (await surveyDirectory(directory, process.getuid?.() ?? 0, named)).filter(({ path }) =>
    named.has(path),
  );
  const request = { source: directory, requirements: undefined, change, signal, event: 'imported' as const };
  const { version, added } = await addFiles(registry, files, request);
  return added ? version : 'it is registered already';
}

/** Registers a version that lies in its place already. @returns why not, where it is registered */
export async function adoptInPlace(
  registry: ModelRegistry,
  path: string,
  { change, signal }: Pick<AddRequest, 'change' | 'signal'>,
): Promise<ModelVersion | string> {
  const [name = '', version = ''] = path.split('/').slice(-2);
  if (registry.version(name, version)) return 'it is registered already';
  const files = await surveyDirectory(path, process.getuid?.() ?? 0);
  const bytes = await readManifestOf(files);
  const manifest = parseManifest(bytes);
  if (manifest.name !== name || manifest.version !== version)
    throw invalid(`its manifest calls it ${manifest.name}@${manifest.version}`);
  const results = await copyFiles(
    files.map(({ from, identity, bytes: size }) => ({ from, identity, size })),
    signal,
  );
  const artefacts = files.map((file, index) => ({
    path: file.path,
    sha256: results[index]?.sha256 ?? '',
    bytes: file.bytes,
  }));
  compareWithManifest(manifest, artefacts);
  const metricsFile = files.find((file) => file.path === metricsName);
  return registry.register(
    {
      name,
      version,
      sha256: manifestDigest(bytes),
      artefacts,
      metrics: readMetrics(await readSmall(metricsFile, largestMetrics)),
      metadata: metadataOf(manifest),
      source: path,
    },
    change,
    'imported',
  );
}

/** Takes what can be taken. What concerns all of them, such as a full disk, ends it. */
async function collect(
  paths: readonly string[],
  signal: AbortSignal,
  take: (path: string) => Promise<ModelVersion | string>,
): Promise<Imported> {
  const imported: ModelVersion[] = [];
  const skipped: { path: string; reason: string }[] = [];
  for (const path of paths) {
    signal.throwIfAborted();
    try {
      const taken = await take(path);
      if (typeof taken === 'string') skipped.push({ path, reason: taken });
      else imported.push(taken);
    } catch (error) {
      const told = asApplianceError(error);
      if (!['model_invalid', 'model_exists', 'not_permitted'].includes(told.code)) throw error;
      skipped.push({ path, reason: told.message });
    }
  }
  return { imported, skipped };
}

async function withManifests(directory: string, below: number): Promise<string[]> {
  try {
    const entries = (await readdir(directory, { withFileTypes: true })).sort((a, b) => (a.name < b.name ? -1 : 1));
    if (entries.some(({ name }) => name === manifestName)) return [directory];
    if (below === 0) return [];
    const inner = entries.filter((entry) => entry.isDirectory() && !entry.name.startsWith('.'));
    return (await Promise.all(inner.map(({ name }) => withManifests(join(directory, name), below - 1)))).flat();
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return [];
    if (systemCode(error) !== 'EACCES') throw error;
    throw new ApplianceError('not_permitted', `you may not read ${directory}`, { left: 'nothing was registered' });
  }
}
