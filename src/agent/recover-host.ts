import { existsSync } from 'node:fs';
import { mkdir, readFile, rm } from 'node:fs/promises';
import { networkInterfaces } from 'node:os';
import { join, resolve } from 'node:path';
import semver from 'semver';
import { z } from 'zod';
import type { Recovered, RecoverOptions } from '../api/recovery.ts';
import { typedKey } from '../capabilities/backups/key.ts';
import { type BackupManifest, parseManifest } from '../capabilities/backups/manifest.ts';
import { Repository } from '../capabilities/backups/repository.ts';
import { findSnapshot } from '../capabilities/backups/snapshots.ts';
import { loadConfig } from '../config/index.ts';
import { copyFiles } from '../host/copy-files.ts';
import { Engine } from '../host/docker.ts';
import { exists, readJson, writeFileAtomic } from '../host/files.ts';
import { Restic } from '../host/restic.ts';
import { ApplianceError, messageOf } from '../lib/errors.ts';
import { type Paths, pathsFor } from '../lib/paths.ts';
import { formatBytes } from '../lib/units.ts';
import { Journal, type OperationRecord } from '../operations/journal.ts';
import { hostToken } from './backup-deps.ts';
import { takeWriterLock } from './in-process.ts';
import { placeHost } from './recover-files.ts';
import { recoveryPaths } from './recovery-paths.ts';
import { openStateForReading } from './state.ts';
import { version } from './version.ts';

const noteSchema = z.object({ id: z.string(), name: z.string(), placed: z.boolean() });
const tagsSchema = z.array(z.object({ tags: z.array(z.string()).nullish() }));
const limits = { cpus: 2, memory: 2 * 2 ** 30, timeout: 86_400_000 } as const;

/**
 * Makes a bare host the appliance of a snapshot, as far as files go (S4-38): configuration, secrets, state, releases, models,
 * certificates. Containers and databases follow as an operation. A run that was cut short goes on where it was.
 * @throws ApplianceError `backup_key`, `backup_not_found`, `backup_newer`, `backup_damaged`, `disk_full`; `usage` on a host
 *   that has an appliance already; `busy` while another recovery works, or what else writes there
 */
export async function recoverHost(options: RecoverOptions): Promise<Recovered> {
  const paths = pathsFor(options.root);
  const ended = await endedBefore(paths, options.snapshot);
  if (ended) return ended;
  const lock = await takeWriterLock(paths, 'appliance backup recover', null);
  try {
    return await bringFiles(options, paths);
  } finally {
    lock.release();
  }
}

async function bringFiles(options: RecoverOptions, paths: Paths): Promise<Recovered> {
  const { signal, onProgress } = options;
  const { note, directory } = recoveryPaths(paths);
  // Of two that began at the same time, the other may be done by now.
  const ended = await endedBefore(paths, options.snapshot);
  if (ended) return ended;
  const restic = resticOf(paths);
  await restic.sweep();
  const known = await readJson(note, noteSchema);
  const same = known && (options.snapshot === 'latest' || known.id.startsWith(options.snapshot));
  if (known?.placed && same) return { name: known.name, id: known.id, notes: await notesOf(paths) };
  const key = await readKey(options.keyFile);
  const { repository, name } = await openRepository(options, restic, key);
  const snapshot = findSnapshot(await repository.list(signal), same ? known.id : options.snapshot);
  const manifest = await repository.manifest(snapshot, signal);
  assertNotNewer(manifest);
  await mkdir(join(paths.lib, 'backups'), { recursive: true, mode: 0o700 });
  await writeFileAtomic(note, JSON.stringify({ id: manifest.id, name, placed: false }), 0o600);
  await rm(directory, { recursive: true, force: true });
  await mkdir(directory, { recursive: true, mode: 0o700 });
  onProgress(`bringing ${manifest.id} of ${name} out of the repository`);
  await repository.restore(
    { resticId: snapshot.resticId, include: ['/snapshot', '/models'], target: directory },
    { signal, progress: ({ share, total }) => onProgress(`${Math.floor(share * 100)} % of ${formatBytes(total)}`) },
  );
  await assertWhole(join(directory, 'snapshot'), manifest, signal);
  onProgress('putting configuration, state, releases and models in place');
  await placeHost(directory, paths, manifest);
  const own = join(paths.lib, 'backups/key');
  await writeFileAtomic(own, `${key}\n`, 0o600);
  await writeFileAtomic(note, JSON.stringify({ id: manifest.id, name, placed: true }), 0o600);
  return { name, id: manifest.id, notes: await notesOf(paths) };
}

/**
 * What a recovery has made of this host that was cut short when all was done but said: whatever writes here next ends it.
 * @param wanted `latest`, or the beginning of an id
 * @returns undefined where one is to begin or to go on
 * @throws ApplianceError `usage` where an appliance is that no recovery has begun
 */
async function endedBefore(paths: Paths, wanted: string): Promise<Recovered | undefined> {
  if (await exists(recoveryPaths(paths).note)) return undefined;
  const [state, config] = [existsSync(paths.state), existsSync(paths.config)];
  if (!state && !config) return undefined;
  const last = state && config ? lastOperation(paths) : undefined;
  if (last?.kind === 'recover' && last.target && (wanted === 'latest' || last.target.startsWith(wanted)))
    return { name: (await loadConfig(paths.config)).name, id: last.target, notes: await notesOf(paths) };
  throw new ApplianceError('usage', `this host has an appliance already, in ${paths.lib} and ${paths.etc}`, {
    left: 'nothing was touched',
    hint: 'put data of a snapshot back into it: appliance backup restore ID; to begin anew: ./install.sh --uninstall --purge',
  });
}

function lastOperation(paths: Paths): OperationRecord | undefined {
  const database = openStateForReading(paths);
  try {
    return new Journal(database).recent(1)[0];
  } finally {
    database.close();
  }
}

async function readKey(file: string): Promise<string> {
  try {
    return typedKey((await readFile(file, 'utf8')).trim());
  } catch (error) {
    if (error instanceof ApplianceError) throw error;
    throw new ApplianceError('backup_key', `the key file cannot be read: ${messageOf(error)}`, {
      left: 'nothing was touched',
      hint: 'write the recovery key, as the recovery sheet has it, into a file of mode 0600 and name that',
      cause: error,
    });
  }
}

/** Until the name of the appliance is known, the containers of a recovery carry that of its directory. */
function resticOf(paths: Paths): Restic {
  const token = hostToken(paths);
  return new Restic({
    engine: new Engine(),
    appliance: `recovery-${token}`,
    host: token,
    scratch: join(paths.run, 'restic-recovery'),
    cache: join(paths.lib, 'backups/cache'),
    limits,
  });
}

/** The repository, for the one appliance that it holds or that was named. */
async function openRepository(
  { repository: at, name: wanted, signal }: RecoverOptions,
  restic: Restic,
  key: string,
): Promise<{ readonly repository: Repository; readonly name: string }> {
  const target = { name: 'the repository', target: at.includes(':') ? at : resolve(at) };
  const lines: string[] = [];
  await restic.run({
    repository: target,
    key,
    args: ['snapshots', '--json'],
    what: 'list the snapshots',
    signal,
    readOnly: true,
    onLine: (line) => lines.push(line),
  });
  const tags = tagsSchema.parse(JSON.parse(lines.join('\n'))).flatMap((one) => one.tags ?? []);
  const names = [...new Set(tags.filter((tag) => tag.startsWith('appliance:')).map((tag) => tag.slice(10)))];
  const [only, second] = names;
  const name = wanted ?? (second === undefined ? only : undefined);
  if (name === undefined || !names.includes(name))
    throw new ApplianceError(
      'backup_not_found',
      only === undefined
        ? 'the repository holds no snapshot of an appliance'
        : `the repository holds snapshots of ${names.sort().join(', ')}`,
      {
        left: 'nothing was touched',
        hint: only === undefined ? 'look whether it is the right one' : `say whose: --name ${only}`,
      },
    );
  return { repository: new Repository({ restic, name, target, key: async () => key }), name };
}

function assertNotNewer({ id, appliance }: BackupManifest): void {
  if (!semver.valid(version) || !semver.valid(appliance.version) || !semver.gt(appliance.version, version)) return;
  throw new ApplianceError(
    'backup_newer',
    `snapshot ${id} was made by appliance ${appliance.version}; this is ${version}`,
    {
      left: 'nothing was touched',
      hint: `install appliance ${appliance.version} or newer, then run the command again`,
    },
  );
}

async function assertWhole(snapshot: string, about: BackupManifest, signal: AbortSignal): Promise<void> {
  const manifest = parseManifest(await readFile(join(snapshot, 'manifest.json'), 'utf8'));
  const files = manifest.components.filter(({ sha256, path }) => sha256 !== null && !path.startsWith('/'));
  const results = await copyFiles(
    files.map(({ path, bytes }) => ({ from: join(snapshot, path), size: bytes })),
    signal,
  );
  const wrong = files.filter(({ sha256 }, index) => results[index]?.sha256 !== sha256).map(({ path }) => path);
  if (wrong.length === 0 && manifest.id === about.id) return;
  throw new ApplianceError('backup_damaged', `not as they were when the snapshot was made: ${wrong.join(', ')}`, {
    left: 'nothing runs on this host yet',
    hint: 'choose another snapshot: add --snapshot ID',
  });
}

/** What a new host may have otherwise than the old one. */
async function notesOf(paths: Paths): Promise<string[]> {
  const { edge, source } = await loadConfig(paths.config);
  const own = new Set(Object.values(networkInterfaces()).flatMap((all) => (all ?? []).map(({ address }) => address)));
  const foreign = [edge.http, edge.https].filter((listen) => {
    const address = listen.includes(':') ? listen.slice(0, listen.lastIndexOf(':')).replace(/^\[|\]$/g, '') : '';
    return (
      address !== '' && address !== '0.0.0.0' && address !== '::' && !address.startsWith('127.') && !own.has(address)
    );
  });
  return [
    ...(foreign.length === 0
      ? []
      : [`this host has no address for ${foreign.join(' and ')}: change edge in ${paths.config}, then run it again`]),
    ...(source.repository.startsWith('/') && !existsSync(source.repository)
      ? [`${source.repository} is not on this host: the next deploy needs it (source.repository in ${paths.config})`]
      : []),
  ];
}
