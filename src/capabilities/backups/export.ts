import { createReadStream, createWriteStream, existsSync } from 'node:fs';
import { chmod, copyFile, mkdir, mkdtemp, readdir, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Engine } from '../../host/docker.ts';
import { syncDirectory } from '../../host/files.ts';
import { ApplianceError } from '../../lib/errors.ts';
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

/**
 * Writes a snapshot as plain files, for the day when nobody has restic: `db.sql`, `roles.sql`, `models.tar.zst`, `registry.db`,
 * `.env`, `manifest.json` and everything else as directories. Secrets are readable by root alone.
 * @param directory absolute path; made where it is not there, refused where something is in it
 * @returns what was written
 * @throws ApplianceError `usage` for a directory that is not empty, and all of `Repository.restore`; nothing is left then
 */
export async function exportSnapshot(
  deps: ExportDeps,
  snapshot: Snapshot,
  manifest: BackupManifest,
  directory: string,
  signal: AbortSignal,
): Promise<{ name: string; bytes: number }[]> {
  const made = await makeDirectory(directory);
  if ((await readdir(directory)).length > 0)
    throw new ApplianceError('usage', `${directory} is not empty`, {
      left: 'nothing was written',
      hint: 'name a directory that is empty or not there yet',
    });
  const scratch = await mkdtemp(join(directory, '.export-'));
  try {
    await deps.repository.restore({ resticId: snapshot.resticId, include: ['/snapshot'], target: scratch }, { signal });
    const restored = join(scratch, 'snapshot');
    await databases(deps, manifest, restored, directory, signal);
    await moveIfThere(join(restored, 'sqlite/registry.db'), join(directory, 'registry.db'));
    await copyIfThere(join(restored, 'config/environment'), join(directory, '.env'));
    if (manifest.components.some(({ name }) => name === 'models'))
      await deps.repository.archiveModels(snapshot.resticId, directory, signal);
    for (const name of await readdir(restored)) await rename(join(restored, name), join(directory, name));
    await rm(scratch, { recursive: true, force: true });
    // Whoever made the directory may let others look into it; into what is in it nobody does.
    for (const entry of await readdir(directory, { withFileTypes: true }))
      await chmod(join(directory, entry.name), entry.isDirectory() ? 0o700 : 0o600);
    await syncDirectory(directory);
  } catch (error) {
    for (const name of await readdir(directory)) await rm(join(directory, name), { recursive: true, force: true });
    if (made) await rm(directory, { recursive: true, force: true });
    throw error;
  }
  const names = await readdir(directory);
  return Promise.all(names.sort().map(async (name) => ({ name, bytes: (await stat(join(directory, name))).size })));
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
  const problem = there
    ? `${directory} is not a directory`
    : `${dirname(directory)} is not there, or nothing can be made in it`;
  const wrong = (cause?: unknown) =>
    new ApplianceError('usage', problem, {
      left: 'nothing was written',
      hint: 'name a directory that is empty or not there yet, in one that is there',
      cause,
    });
  if (there) throw wrong();
  try {
    await mkdir(directory, { mode: 0o700 });
  } catch (error) {
    throw wrong(error);
  }
  return true;
}

/** Dumps as SQL; a single database is `db.sql`. Without a server that could turn it, a dump stays what it is. */
async function databases(
  { engine, servers }: ExportDeps,
  manifest: BackupManifest,
  restored: string,
  directory: string,
  signal: AbortSignal,
): Promise<void> {
  const dumps = manifest.components.filter(({ name }) => name.startsWith('database:'));
  const roles = manifest.components.filter(({ name }) => name.startsWith('roles:'));
  for (const { name, path } of roles)
    await moveIfThere(join(restored, path), join(directory, roles.length === 1 ? 'roles.sql' : `${plain(name)}.sql`));
  for (const { name, path, serverVersion } of dumps) {
    const from = join(restored, path);
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
