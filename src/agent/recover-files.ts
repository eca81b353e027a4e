import { cp, lstat, mkdir, readdir, readFile, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { BackupManifest } from '../capabilities/backups/manifest.ts';
import { loadConfig } from '../config/index.ts';
import { exists, giveTreeLike, readIfPresent, writeFileAtomic } from '../host/files.ts';
import { openDatabase } from '../host/sqlite.ts';
import { timestamp } from '../lib/clock.ts';
import { ApplianceError } from '../lib/errors.ts';
import type { Paths } from '../lib/paths.ts';
import { stateModules } from './state.ts';

/**
 * Puts the files of a snapshot where this host has them. Nothing else uses them yet, so it is simply done again after a
 * crash. What belongs to the old host alone is left out: pinned images and networks of the core are chosen anew.
 * @param from directory with the restored `snapshot` and `models`
 */
export async function placeHost(from: string, paths: Paths, manifest: BackupManifest): Promise<void> {
  const snapshot = join(from, 'snapshot');
  const old = await oldPaths(snapshot, manifest, paths);
  await copyText(join(snapshot, 'config/etc'), paths.etc, (text) => text.replaceAll(old.etc, `${paths.etc}/`));
  const config = await loadConfig(paths.config);
  if (config.source.envFile) await copyFileIfThere(join(snapshot, 'config/environment'), config.source.envFile);
  const persistent = join(paths.lib, 'persistent');
  const models = join(persistent, config.models?.directory ?? './models');
  await copyTree(join(snapshot, 'persistent'), persistent);
  await copyTree(join(from, 'models'), models);
  await copyFileIfThere(join(snapshot, 'sqlite/registry.db'), join(models, 'registry.db'), 0o644);
  await copyTree(join(snapshot, 'audit'), join(paths.lib, 'audit'));
  await copyTree(join(snapshot, 'config/model-keys'), join(paths.lib, 'model-keys'));
  await copyTree(join(snapshot, 'certificates/edge'), join(paths.edge, 'certs'));
  await copyTree(join(snapshot, 'certificates/acme'), join(paths.lib, 'certificates'));
  await copyTree(join(snapshot, 'releases'), paths.releases);
  for (const id of await readdir(paths.releases).catch(() => [])) {
    const model = join(paths.releases, id, 'model.json');
    const text = await readIfPresent(model);
    if (text !== undefined && old.lib !== paths.lib)
      await writeFileAtomic(model, text.replaceAll(`${old.lib}/`, `${paths.lib}/`), 0o600);
  }
  await placeState(join(snapshot, 'sqlite/state.db'), paths);
}

/** Where the appliance lived: its releases name their own files by absolute paths. */
async function oldPaths(
  snapshot: string,
  { release }: BackupManifest,
  paths: Paths,
): Promise<{ readonly lib: string; readonly etc: string }> {
  const text = release && (await readIfPresent(join(snapshot, 'releases', release.id, 'model.json')));
  const lib = release && text ? text.split(`/releases/${release.id}`, 1)[0]?.split('"').at(-1) : undefined;
  if (lib === undefined || lib === paths.lib || !lib.startsWith('/')) return { lib: paths.lib, etc: `${paths.etc}/` };
  return { lib, etc: lib === '/var/lib/appliance' ? '/etc/appliance/' : `${dirname(lib)}/etc/` };
}

/** The state of the appliance; what was running when it was copied will never end, and is noted as failed. */
async function placeState(from: string, paths: Paths): Promise<void> {
  if (!(await exists(from)))
    throw new ApplianceError('backup_damaged', 'the snapshot holds no state of an appliance', {
      left: 'nothing runs on this host yet',
      hint: 'choose another snapshot: add --snapshot ID',
    });
  const waiting = `${paths.state}.recovered`;
  for (const end of ['', '-wal', '-shm']) await rm(`${waiting}${end}`, { force: true });
  await cp(from, waiting);
  const database = openDatabase(waiting, stateModules);
  database
    .prepare("UPDATE operations SET result = 'failed', ended_at = ? WHERE result = 'running'")
    .run(Date.parse(timestamp(Date.now())));
  database.pragma('wal_checkpoint(TRUNCATE)');
  database.close();
  for (const end of ['-wal', '-shm']) {
    await rm(`${waiting}${end}`, { force: true });
    await rm(`${paths.state}${end}`, { force: true });
  }
  await rename(waiting, paths.state);
}

async function copyTree(from: string, to: string): Promise<void> {
  if (!(await exists(from))) return;
  await mkdir(dirname(to), { recursive: true, mode: 0o755 });
  await cp(from, to, { recursive: true, force: true, preserveTimestamps: true, verbatimSymlinks: true });
  // Applications write there as whoever they are.
  await giveTreeLike(to, from);
}

async function copyFileIfThere(from: string, to: string, mode?: number): Promise<void> {
  if (!(await exists(from))) return;
  await mkdir(dirname(to), { recursive: true, mode: 0o755 });
  const then = await lstat(from);
  await writeFileAtomic(to, await readFile(from), mode ?? then.mode & 0o777, then);
}

/** Copies configuration files, of which those that are text may name old places. */
async function copyText(from: string, to: string, change: (text: string) => string): Promise<void> {
  await copyTree(from, to);
  const file = join(to, 'appliance.yaml');
  const text = await readIfPresent(file);
  if (text === undefined)
    throw new ApplianceError('backup_damaged', 'the snapshot holds no appliance.yaml', {
      left: 'nothing runs on this host yet',
      hint: 'choose another snapshot: add --snapshot ID',
    });
  await writeFileAtomic(file, change(text));
}
