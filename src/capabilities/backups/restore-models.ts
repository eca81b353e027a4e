import { chmodSync, existsSync, linkSync, renameSync, rmSync } from 'node:fs';
import { readdir, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { ensureDirectory, exists, makeDirectoryLike, syncDirectory, writeFileAtomic } from '../../host/files.ts';
import { placing } from './in-the-way.ts';

/** A version of a model, by the names of its directories. */
export interface VersionName {
  readonly name: string;
  readonly version: string;
}

/** Where the parts of one restore lie until they are in place, and what they took the place of. */
export interface ModelStaging {
  /** The models directory. */
  readonly models: string;
  /** Directory of the operation, on the same file system, so that a rename finishes it. */
  readonly directory: string;
}

/** Name of the directory inside of the models directory in which restores stage. */
export const modelStagingName = '.restore';

const versionIn = (models: string, { name, version }: VersionName): string => join(models, 'versions', name, version);
/** As restic has brought it back. */
const staged = ({ directory }: ModelStaging, version: VersionName): string =>
  versionIn(join(directory, 'models'), version);
const aside = ({ directory }: ModelStaging, version: VersionName): string =>
  versionIn(join(directory, 'before'), version);

/** Path of a version that waits to be put in place. */
export function stagedVersion(staging: ModelStaging, version: VersionName): string {
  return staged(staging, version);
}

/** Path of the registry that waits to be put in place. */
export function stagedRegistry({ directory }: ModelStaging): string {
  return join(directory, 'snapshot/sqlite/registry.db');
}

/** Puts a version in its place with one rename; what lies there is set aside. Done again, it changes nothing. */
export async function placeVersion(staging: ModelStaging, version: VersionName): Promise<void> {
  const from = staged(staging, version);
  if (!existsSync(from)) return;
  const to = versionIn(staging.models, version);
  await move(to, aside(staging, version));
  await move(from, to);
}

/** Takes `placeVersion` back, however far it came. */
export async function unplaceVersion(staging: ModelStaging, version: VersionName): Promise<void> {
  const to = versionIn(staging.models, version);
  const [waiting, before] = [staged(staging, version), aside(staging, version)];
  if (!existsSync(waiting)) await move(to, waiting);
  await move(before, to);
}

/** What the appliance itself keeps in a models directory. The rest belongs to no version: it lies there loosely. */
export function isLoose(name: string): boolean {
  return !/^(?:versions|current|candidate\.json|registry\.db(?:-wal|-shm)?|\.(?:restore|staging|current\..*))$/.test(
    name,
  );
}

/**
 * Puts the files in place that belong to no version: what a release without a registry serves, and whatever else somebody
 * keeps in the models directory. Files of today that the snapshot does not have stay. Done again, it changes nothing.
 * @throws ApplianceError `restore_failed` with the path, where something is in the way
 */
export async function placeLoose({ models, directory }: ModelStaging): Promise<void> {
  const staged = join(directory, 'models');
  const paths = await looseIn(staged);
  // First, so that what is taken back knows which files were not there before.
  for (const path of paths) {
    const placed = join(directory, 'placed', path);
    await ensureDirectory(dirname(placed));
    await writeFileAtomic(placed, '');
  }
  for (const path of paths)
    await placing(join(models, path), async () => {
      await move(join(models, path), join(directory, 'loose', path));
      await makeDirectoryLike(dirname(join(models, path)), dirname(join(staged, path)), models);
      await move(join(staged, path), join(models, path));
    });
}

/** Takes `placeLoose` back, however far it came. */
export async function unplaceLoose({ models, directory }: ModelStaging): Promise<void> {
  const waiting = new Set(await looseIn(join(directory, 'models')));
  for (const path of await filesBelow(join(directory, 'placed'))) {
    if (!waiting.has(path)) await move(join(models, path), join(directory, 'models', path));
    await move(join(directory, 'loose', path), join(models, path));
    await rm(join(directory, 'placed', path), { force: true });
  }
}

async function looseIn(directory: string): Promise<string[]> {
  const paths = await filesBelow(directory);
  return paths.filter((path) => isLoose(path.split('/', 1)[0] ?? ''));
}

/** Paths of files and links below a directory, relative to it. */
async function filesBelow(directory: string): Promise<string[]> {
  if (!existsSync(directory)) return [];
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => !entry.isDirectory())
    .map(({ parentPath, name }) => join(parentPath, name).slice(directory.length + 1));
}

async function move(from: string, to: string): Promise<void> {
  if (!(await exists(from))) return;
  await ensureDirectory(dirname(to));
  await rename(from, to);
  await syncDirectory(dirname(from));
  await syncDirectory(dirname(to));
}

const beside = ['-wal', '-shm'] as const;

/**
 * Puts the registry of the snapshot in the place of the one in use. Nobody of this process has it open: all of it happens
 * in one go, so that nobody can open it in between. The log of the old one goes first: with it, SQLite would change the new
 * one (sqlite.org/howtocorrupt.html#_unlinking_or_renaming_a_database_file_while_in_use). Done again, it changes nothing.
 */
export function placeRegistry(staging: ModelStaging): void {
  const from = stagedRegistry(staging);
  if (!existsSync(from)) return;
  const registry = join(staging.models, 'registry.db');
  const before = join(staging.directory, 'registry.before');
  for (const end of ['', '-wal'])
    if (existsSync(`${registry}${end}`) && !existsSync(`${before}${end}`))
      linkSync(`${registry}${end}`, `${before}${end}`);
  for (const end of beside) rmSync(`${registry}${end}`, { force: true });
  // Applications open it too, read-only.
  chmodSync(from, 0o644);
  renameSync(from, registry);
}

/** Takes `placeRegistry` back, however far it came. */
export function unplaceRegistry(staging: ModelStaging): void {
  const from = stagedRegistry(staging);
  const registry = join(staging.models, 'registry.db');
  const before = join(staging.directory, 'registry.before');
  const replaced = !existsSync(from);
  if (replaced) {
    for (const end of beside) rmSync(`${registry}${end}`, { force: true });
    if (existsSync(registry)) renameSync(registry, from);
  }
  if (!existsSync(before)) return;
  // Until the rename the old one was still there under its own name; only its log may have gone.
  if (existsSync(`${before}-wal`) && !existsSync(`${registry}-wal`)) linkSync(`${before}-wal`, `${registry}-wal`);
  renameSync(before, registry);
  rmSync(`${before}-wal`, { force: true });
}

/** Removes what a restore has staged, and what it has set aside. */
export async function clearModelStaging({ directory }: ModelStaging): Promise<void> {
  await rm(directory, { recursive: true, force: true });
}
