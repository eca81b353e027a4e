import { createReadStream, createWriteStream, existsSync } from 'node:fs';
import { chmod, copyFile, mkdir, mkdtemp, readdir, realpath, rename, rm, rmdir, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Engine } from '../../host/docker.ts';
import { syncDirectory } from '../../host/files.ts';
import { ApplianceError, asApplianceError, systemCode } from '../../lib/errors.ts';
import { treeBytes } from './copies.ts';
import type { BackupManifest } from './manifest.ts';
import type { PostgresServer } from './postgres.ts';
import type { Repository } from './repository.ts';
import type { Snapshot } from './snapshots.ts';

export interface ExportDeps {
  readonly repository: Repository;
  readonly engine: Engine;
  /** Running servers, whose pg_restore turns dumps into SQL. */
  readonly servers: readonly PostgresServer[];
}

/** Milliseconds that turning one dump into SQL may take. */
const patience = 6 * 3_600_000;

/** What an export is put together in, inside of its directory; nothing else begins so. */
const scratchPrefix = '.export-';

/** Directories that are being written. */
const underWay = new Set<string>();

/**
 * Writes a snapshot as plain files, for the day when nobody has restic: `db.sql`, `roles.sql`, `models.tar.zst`, `registry.db`,
 * `.env`, `manifest.json` and everything else as directories. Secrets are readable by root alone. It is put together in a
 * directory inside; what one that was killed has left there is removed.
 * @param directory absolute path; made where it is not there, refused where something is in it
 * @returns what was written; the name of a directory ends with a slash, its bytes are those of all files in it
 * @throws ApplianceError `usage` for a directory that is not empty, `busy`, and all of `Repository.restore`; nothing is left then
 */
export async function exportSnapshot(
  deps: ExportDeps,
  snapshot: Snapshot,
  manifest: BackupManifest,
  directory: string,
  signal: AbortSignal,
): Promise<{ name: string; bytes: number }[]> {
  const made = await makeDirectory(directory);
  const place = await realpath(directory);
  if (underWay.has(place))
    throw new ApplianceError('busy', `a snapshot is being exported to ${directory}`, {
      left: 'it goes on; nothing was touched',
      hint: 'name another directory, or say it again when that has ended',
    });
  underWay.add(place);
  try {
    await assertEmpty(directory);
    return await writeExport(deps, snapshot, manifest, directory, signal);
  } catch (error) {
    if (made) await rmdir(directory).catch(() => undefined);
    throw error;
  } finally {
    underWay.delete(place);
  }
}

async function assertEmpty(directory: string): Promise<void> {
  const names = await readdir(directory);
  const foreign = names.filter((name) => !name.startsWith(scratchPrefix));
  if (foreign.length > 0)
    throw new ApplianceError('usage', `${directory} is not empty: ${foreign.slice(0, 3).join(', ')}`, {
      left: 'nothing was written',
      hint: 'name a directory that is empty or not there yet',
    });
  for (const name of names) await rm(join(directory, name), { recursive: true, force: true });
}

async function writeExport(
  deps: ExportDeps,
  snapshot: Snapshot,
  manifest: BackupManifest,
  directory: string,
  signal: AbortSignal,
): Promise<{ name: string; bytes: number }[]> {
  const moved: string[] = [];
  let scratch: string | undefined;
  try {
    scratch = await mkdtemp(join(directory, scratchPrefix));
    await deps.repository.restore({ resticId: snapshot.resticId, include: ['/snapshot'], target: scratch }, { signal });
    const restored = join(scratch, 'snapshot');
    await databases(deps, manifest, restored, signal);
    await moveIfThere(join(restored, 'sqlite/registry.db'), join(restored, 'registry.db'));
    await copyIfThere(join(restored, 'config/environment'), join(restored, '.env'));
    if (manifest.components.some(({ name }) => name === 'models'))
      await deps.repository.archiveModels(snapshot.resticId, restored, signal);
    const files: { name: string; bytes: number }[] = [];
    for (const entry of await readdir(restored, { withFileTypes: true })) {
      const path = join(restored, entry.name);
      // Whoever made the directory may let others look into it; into what is in it nobody does.
      await chmod(path, entry.isDirectory() ? 0o700 : 0o600);
      files.push({ name: entry.isDirectory() ? `${entry.name}/` : entry.name, bytes: await treeBytes(path) });
    }
    signal.throwIfAborted();
    for (const name of await readdir(restored)) {
      moved.push(name);
      await rename(join(restored, name), join(directory, name));
    }
    await rm(scratch, { recursive: true, force: true });
    await syncDirectory(directory);
    return files.sort((a, b) => (a.name < b.name ? -1 : 1));
  } catch (error) {
    // What somebody else has put there meanwhile is theirs.
    for (const name of moved) await rm(join(directory, name), { recursive: true, force: true });
    if (scratch !== undefined) await rm(scratch, { recursive: true, force: true });
    throw signal.aborted ? error : exportFailed(error, directory);
  }
}

/** @returns the error with what became of the directory */
function exportFailed(thrown: unknown, directory: string): ApplianceError {
  const error = asApplianceError(thrown);
  const unwritable = ['EROFS', 'EACCES', 'EPERM'].includes(systemCode(thrown) ?? '');
  const hints: Partial<Record<ApplianceError['code'], string>> = {
    disk_full: 'name a directory on a larger disk: appliance backup export ID DIR',
  };
  return new ApplianceError(
    unwritable ? 'usage' : error.code,
    unwritable ? `nothing can be written into ${directory}: ${error.message}` : error.message,
    {
      left: 'nothing was written; the snapshot is as it was',
      hint: unwritable
        ? 'name a directory on a file system that is mounted for writing'
        : (hints[error.code] ?? error.hint),
      cause: thrown,
    },
  );
}

/**
 * Makes a directory that is not there yet. The one above it must be there: below a disk that is not mounted, or a name that
 * is mistyped, secrets would be written to wherever that is.
 * @returns whether it was made
 * @throws ApplianceError `usage`; nothing was made then
 */
export async function makeDirectory(directory: string): Promise<boolean> {
  const there = await stat(directory).catch(() => undefined);
  if (there?.isDirectory()) return false;
  const wrong = (problem: string, cause?: unknown) =>
    new ApplianceError('usage', problem, {
      left: 'nothing was written',
      hint: 'name a directory that is empty or not there yet, in one that is there',
      cause,
    });
  if (there) throw wrong(`${directory} is not a directory`);
  try {
    await mkdir(directory, { mode: 0o700 });
  } catch (error) {
    const parent = dirname(directory);
    if (systemCode(error) === 'EEXIST') throw wrong(`${directory} is a link that leads nowhere`, error);
    if (systemCode(error) === 'EROFS') throw wrong(`${parent} is on a file system that is mounted read-only`, error);
    throw wrong(`${parent} is not there, or nothing can be made in it`, error);
  }
  return true;
}

/** Dumps as SQL; a single database is `db.sql`. Without a server that could turn it, a dump stays what it is. */
async function databases(
  { engine, servers }: ExportDeps,
  manifest: BackupManifest,
  directory: string,
  signal: AbortSignal,
): Promise<void> {
  const dumps = manifest.components.filter(({ name }) => name.startsWith('database:'));
  const roles = manifest.components.filter(({ name }) => name.startsWith('roles:'));
  for (const { name, path } of roles)
    await moveIfThere(join(directory, path), join(directory, roles.length === 1 ? 'roles.sql' : `${plain(name)}.sql`));
  for (const { name, path, serverVersion } of dumps) {
    const from = join(directory, path);
    const base = dumps.length === 1 ? 'db' : plain(name);
    const server = servers.find(({ service }) => name.startsWith(`database:${service}/`));
    if (serverVersion === undefined || !server) {
      await moveIfThere(from, join(directory, `${base}.dump`));
      continue;
    }
    const { exitCode, stderr } = await engine.execStream(server.container, {
      argv: ['pg_restore', '--file=-'],
      stdin: createReadStream(from),
      stdout: createWriteStream(join(directory, `${base}.sql`), { mode: 0o600, flush: true }),
      timeout: patience,
      signal,
    });
    if (exitCode !== 0)
      throw new ApplianceError(
        'backup_failed',
        `the dump of ${name} could not be turned into SQL: ${stderr.slice(-300)}`,
        {
          left: 'nothing was written',
          hint: 'choose another snapshot: appliance backup list; prove this one: appliance backup verify ID',
        },
      );
    await rm(from);
  }
  // A directory without a dump in it would look as if the database were missing.
  for (const { path } of [...dumps, ...roles]) await removeEmpty(dirname(join(directory, path)), directory);
}

/** Removes a directory and those above it, as far as nothing is in them. */
async function removeEmpty(path: string, top: string): Promise<void> {
  if (path === top || !existsSync(path) || (await readdir(path)).length > 0) return;
  await rmdir(path);
  await removeEmpty(dirname(path), top);
}

const plain = (name: string): string => name.replaceAll(/[^A-Za-z0-9.-]+/g, '-');

async function moveIfThere(from: string, to: string): Promise<void> {
  if (existsSync(from)) await rename(from, to);
}

async function copyIfThere(from: string, to: string): Promise<void> {
  if (!existsSync(from)) return;
  await copyFile(from, to);
  await chmod(to, 0o600);
}
