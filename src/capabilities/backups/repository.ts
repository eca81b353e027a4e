import { constants, existsSync } from 'node:fs';
import { access, mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Writable } from 'node:stream';
import { z } from 'zod';
import type { TaskMount } from '../../host/docker-task.ts';
import { isLocal, type Restic, type ResticRun, type ResticTarget } from '../../host/restic.ts';
import { ApplianceError, messageOf, systemCode } from '../../lib/errors.ts';
import { type BackupKind, type BackupManifest, parseManifest } from './manifest.ts';
import { eachRun, lastTry, messages, type Progress } from './restic-output.ts';
import {
  damagedTag,
  marksToCopy,
  type Proof,
  proofTag,
  protectedTag,
  readSnapshots,
  resticIdsOf,
  type Snapshot,
  tagsOf,
} from './snapshots.ts';

export interface RepositoryDeps {
  readonly restic: Restic;
  /** Name of the appliance; restic's `--host`. */
  readonly name: string;
  readonly target: ResticTarget;
  /** @throws ApplianceError `backup_key` where there is none */
  readonly key: () => Promise<string>;
}

export interface Stored {
  readonly resticId: string;
  /** Bytes read, and bytes that came into the repository. */
  readonly bytes: number;
  readonly added: number;
  readonly seconds: number;
  /** Its manifest as it was read back at once; null when that could not be done. */
  readonly manifest: string | null;
  /** The part of all data that was read back at once and is whole, as in `Repository.check`. */
  readonly readBack?: string | undefined;
}

/** What a check has found. */
export interface Checked {
  readonly whole: boolean;
  /** Packs that cannot be read back. */
  readonly brokenPacks: readonly string[];
}

const storedSchema = z.object({
  message_type: z.literal('summary'),
  snapshot_id: z.string(),
  total_bytes_processed: z.number(),
  data_added_packed: z.number(),
  total_duration: z.number(),
});
const checkedSchema = z.object({
  message_type: z.literal('summary'),
  num_errors: z.number(),
  broken_packs: z.array(z.string()).nullish(),
});
const lockSchema = z.object({ hostname: z.string() });
const entrySchema = z.object({ type: z.string(), path: z.string(), size: z.number().default(0) });
const sizeSchema = z.object({ total_size: z.number() });

/** Packs of 16 MiB that are repaired in one run. */
const packsAtOnce = 16;

/** Milliseconds that a target may take for its first answer; restic itself would try for a quarter of an hour. */
const patience = 60_000;
const again = 'run it again: appliance backup now';
const manifestPath = '/snapshot/manifest.json';

/** Runs in the image of restic; a manifest that cannot be read has no end. */
const manifestsScript = `for id; do
  printf '@begin %s\\n' "$id"
  restic --no-lock --repository-file=/run/restic/repository --password-file=/run/restic/password \\
    dump "$id" ${manifestPath} && printf '\\n@end %s\\n' "$id"
done
true`;

/** Runs in the image of restic; what could not be written as a whole is removed. */
const archiveScript = `set -euo pipefail
restic --no-lock --repository-file=/run/restic/repository --password-file=/run/restic/password \\
  dump --archive=tar "$1" /models | zstd --quiet --threads=0 -o /target/models.tar.zst
chmod 600 /target/models.tar.zst`;

interface Call {
  readonly signal: AbortSignal;
  readonly progress?: ((progress: Progress) => void) | undefined;
}

/** One repository of restic: the local one, or an off-site copy. */
export class Repository {
  readonly #deps: RepositoryDeps;

  constructor(deps: RepositoryDeps) {
    this.#deps = deps;
  }

  get target(): ResticTarget {
    return this.#deps.target;
  }

  /** Whether a repository is there. */
  async exists(signal: AbortSignal): Promise<boolean> {
    const { target } = this.#deps;
    if (isLocal(target)) return existsSync(join(target.target, 'config'));
    const args = ['cat', 'config'];
    const request = { args, what: 'look for the repository', signal, answers: [10], readOnly: true, timeout: patience };
    const exit = await this.#run(request).catch((error: unknown) => {
      if (!(error instanceof ApplianceError) || error.code !== 'timeout') throw error;
      const why = lastTry(error.cause) ?? 'nothing came';
      throw new ApplianceError(
        'backup_target',
        `the target ${target.name} does not answer as it should for ${patience / 1_000} s: ${why}`,
        {
          left: 'the snapshots before it are untouched',
          hint: 'look at the network and at its credentials; the next run sends what is missing',
        },
      );
    });
    return exit === 0;
  }

  /**
   * Makes the repository where there is none.
   * @param make whether the directory itself may be made: not that of a disk which may just not be mounted
   * @param like where its way to cut files into pieces is taken from, so that copies are deduplicated
   * @throws ApplianceError `backup_target` for a directory that is not there or is not empty
   */
  async ensure(signal: AbortSignal, { make, like }: { make: boolean; like?: Repository }): Promise<void> {
    const { target } = this.#deps;
    if (isLocal(target)) {
      if (make) await mkdir(target.target, { recursive: true, mode: 0o700 });
      else if (!existsSync(target.target))
        throw new ApplianceError('backup_target', `the directory ${target.target} of ${target.name} is not there`, {
          left: 'the snapshots before are untouched',
          hint: `mount its disk, or make it: sudo mkdir -p ${target.target}`,
        });
    }
    if (await this.exists(signal)) return;
    // What an init that was cut short has left would refuse the next one.
    if (isLocal(target) && existsSync(join(target.target, 'keys')))
      await rm(join(target.target, 'keys'), { recursive: true, force: true });
    await this.#run({
      args: ['init', '--repository-version=2', ...(like ? ['--copy-chunker-params'] : [])],
      what: 'make the repository',
      signal,
      ...(like ? { from: like.target.target } : {}),
    });
  }

  /** Whether a key opens it. */
  async opens(key: string, signal: AbortSignal): Promise<boolean> {
    const args = ['cat', 'config'];
    return (await this.#run({ args, what: 'try the key', signal, key, answers: [12], readOnly: true })) === 0;
  }

  /** Snapshots of this appliance, the newest first; none where there is no repository yet. */
  async list(signal: AbortSignal): Promise<Snapshot[]> {
    if (!(await this.exists(signal))) return [];
    const args = ['snapshots', '--json', '--tag', `appliance:${this.#deps.name}`];
    return readSnapshots(await this.#text({ args, what: 'list the snapshots', signal, readOnly: true }));
  }

  /**
   * Stores mounted directories as one snapshot, and reads its manifest back in the same container, and a part of all data
   * where that is asked for. Unchanged files are known by size, mtime, ctime and inode.
   * @param about.readData as in `check`
   * @throws ApplianceError `backup_failed` when a file could not be read; no snapshot is left of it then. All of `Restic.run`
   */
  async store(
    about: { id: string; kind: BackupKind; protect: boolean; time: number; readData?: string | undefined },
    mounts: readonly TaskMount[],
    { signal, progress, readAll, exclude }: Call & { readonly readAll: boolean; readonly exclude: readonly string[] },
  ): Promise<Stored> {
    const { name } = this.#deps;
    const { readData } = about;
    const paths = ['/snapshot', ...(mounts.some(({ to }) => to === '/models') ? ['/models'] : [])];
    let stored: z.output<typeof storedSchema> | undefined;
    let complete = false;
    const manifest: string[] = [];
    const onMessage = messages(progress, (message) => {
      stored = storedSchema.safeParse(message).data ?? stored;
    });
    const tags = tagsOf({ name, ...about });
    const request = {
      args: [
        ...['backup', '--json', '--host', name, '--time', resticTime(about.time)],
        ...tags.flatMap((tag) => ['--tag', tag]),
        ...(readAll ? ['--force'] : []),
        ...exclude.flatMap((path) => ['--exclude', path]),
        ...paths,
      ],
      // Without locks: one of a dead run would make this go back to the beginning. Only a success counts.
      after: [
        { args: ['dump', '--tag', `backup:${about.id}`, 'latest', manifestPath], readOnly: true },
        ...(readData === undefined ? [] : [{ args: checkArguments(readData), readOnly: true }]),
      ],
      what: 'store the snapshot',
      signal,
      mounts,
      prompt: ['pre-deploy', 'pre-migration', 'safety'].includes(about.kind),
      onLine: eachRun([onMessage, (line) => manifest.push(line)], () => {
        complete = true;
      }),
    };
    let whole = true;
    await this.#run(request).catch(async (error: unknown) => {
      signal.throwIfAborted();
      // It was stored; whoever proves it says why it cannot be read.
      whole = false;
      if (stored && complete) return;
      if (stored) await this.forget([stored.snapshot_id], signal);
      throw error;
    });
    if (!stored) throw new ApplianceError('backup_failed', 'restic did not say what it has stored', { hint: again });
    return {
      resticId: stored.snapshot_id,
      bytes: stored.total_bytes_processed,
      added: stored.data_added_packed,
      seconds: stored.total_duration,
      manifest: whole ? manifest.join('\n') : null,
      readBack: whole ? readData : undefined,
    };
  }

  /**
   * What is in directories of a snapshot.
   * @param directories absolute; only they are listed, unless `deep` asks for everything below them
   */
  async entries(
    resticId: string,
    directories: readonly string[],
    { deep, signal }: { readonly deep: boolean; readonly signal: AbortSignal },
  ): Promise<{ readonly type: string; readonly path: string; readonly size: number }[]> {
    const args = ['ls', '--json', ...(deep ? ['--recursive'] : []), resticId, ...directories];
    const text = await this.#text({ args, what: 'list what is in the snapshot', signal, readOnly: true });
    return text
      .split('\n')
      .flatMap((line) => (line === '' ? [] : (entrySchema.safeParse(JSON.parse(line)).data ?? [])));
  }

  /** Text of one file in a snapshot. */
  file(resticId: string, path: string, signal: AbortSignal): Promise<string> {
    return this.#text({ args: ['dump', resticId, path], what: `read ${path}`, signal, readOnly: true });
  }

  /** Writes one file of a snapshot, or a directory of it as a tar archive, to a stream; restic proves what it reads. */
  async dump(resticId: string, path: string, stdout: Writable, signal: AbortSignal): Promise<void> {
    const args = ['dump', '--archive=tar', resticId, path];
    await this.#run({ args, what: `read ${path}`, signal, stdout, readOnly: true });
  }

  /** Writes the models of a snapshot as `models.tar.zst` into a directory of this host. */
  async archiveModels(resticId: string, directory: string, signal: AbortSignal): Promise<void> {
    await this.#run({
      program: ['bash', '-c', archiveScript, 'bash', resticId],
      args: [],
      what: 'archive the models',
      signal,
      mounts: [{ from: directory, to: '/target', writable: true }],
      readOnly: true,
    });
  }

  /** @throws ApplianceError `backup_newer`, `backup_damaged` */
  async manifest({ resticId }: Pick<Snapshot, 'resticId'>, signal: AbortSignal): Promise<BackupManifest> {
    return parseManifest(await this.file(resticId, manifestPath, signal));
  }

  /** Texts of the manifests of some snapshots by restic's ids, all in one container; those that cannot be read are left out. */
  async manifestTexts(resticIds: readonly string[], signal: AbortSignal): Promise<ReadonlyMap<string, string>> {
    const texts = new Map<string, string>();
    let lines: string[] = [];
    const onLine = (line: string): void => {
      const [, what, id] = /^@(begin|end) ([0-9a-f]+)$/.exec(line) ?? [];
      if (id === undefined) lines.push(line);
      else if (what === 'begin') lines = [];
      else texts.set(id, lines.join('\n'));
    };
    const program = ['bash', '-c', manifestsScript, 'bash', ...resticIds];
    if (resticIds.length > 0)
      await this.#run({ program, args: [], what: 'read the manifests', signal, onLine, readOnly: true });
    return texts;
  }

  /**
   * Restores paths of a snapshot below a directory.
   * @param wish.include paths in the snapshot, `/snapshot/databases` or `/models/versions/a/1`
   * @param wish.target absolute path of a directory
   */
  async restore(
    { resticId, include, target }: { resticId: string; include: readonly string[]; target: string },
    { signal, progress }: Call,
  ): Promise<void> {
    await this.#run({
      args: ['restore', '--json', resticId, '--target=/target', ...include.flatMap((path) => ['--include', path])],
      what: 'restore the snapshot',
      signal,
      mounts: [{ from: target, to: '/target', writable: true }],
      readOnly: true,
      onLine: messages(progress, () => undefined),
    });
  }

  /**
   * Proves the repository.
   * @param readData what is read back: `3/14` a part, `5%`, `all`; undefined: structure only
   * @throws ApplianceError all of `Restic.run` where no check was made
   */
  async check({ readData, signal }: { readData?: string | undefined; signal: AbortSignal }): Promise<Checked> {
    let found: z.output<typeof checkedSchema> | undefined;
    const onLine = messages(undefined, (message) => {
      found = checkedSchema.safeParse(message).data ?? found;
    });
    try {
      await this.#run({ args: checkArguments(readData), what: 'check the repository', signal, onLine });
      return { whole: true, brokenPacks: [] };
    } catch (error) {
      if (!found || found.num_errors === 0) throw error;
      return { whole: false, brokenPacks: found.broken_packs ?? [] };
    }
  }

  /**
   * Makes a damaged repository usable: the index is built anew from what is there, broken packs are taken out of it. What
   * they held comes back with the next snapshot that reads everything, as far as the sources still have it.
   */
  async repair(brokenPacks: readonly string[], signal: AbortSignal): Promise<void> {
    await this.#run({ args: ['repair', 'index'], what: 'build the index anew', signal });
    // restic copies what it takes out to its working directory, which is small.
    for (let from = 0; from < brokenPacks.length; from += packsAtOnce) {
      const packs = brokenPacks.slice(from, from + packsAtOnce);
      await this.#run({ args: ['repair', 'packs', ...packs], what: 'take out broken packs', signal });
    }
  }

  /**
   * Leaves out of snapshots what is lost for good and marks them as damaged, so that the repository passes its checks again.
   * To be run once all that the sources still have is stored anew. The originals go last: after a crash it is done anew.
   */
  async giveUpLost(signal: AbortSignal): Promise<void> {
    const before = new Set((await this.list(signal)).flatMap(resticIdsOf));
    await this.#run({ args: ['repair', 'snapshots'], what: 'give up what is lost', signal });
    const changed = (await this.list(signal)).map(resticIdsOf).filter((ids) => ids.some((id) => !before.has(id)));
    const made = changed.flat().filter((id) => !before.has(id));
    if (made.length === 0) return;
    await this.#tag(made, ['--add', damagedTag], signal);
    await this.forget(
      changed.flat().filter((id) => before.has(id)),
      signal,
    );
  }

  /** Forgets snapshots, with all copies of them. */
  async forgetAll(snapshots: readonly Snapshot[], signal: AbortSignal): Promise<void> {
    await this.forget(snapshots.flatMap(resticIdsOf), signal);
  }

  async forget(resticIds: readonly string[], signal: AbortSignal): Promise<void> {
    if (resticIds.length > 0) await this.#run({ args: ['forget', ...resticIds], what: 'forget snapshots', signal });
  }

  /** Gives back the space that no snapshot needs. */
  async prune(signal: AbortSignal): Promise<void> {
    await this.#run({ args: ['prune', '--max-unused=5%'], what: 'give space back', signal });
  }

  async markProven(snapshot: Snapshot, proof: Proof, signal: AbortSignal): Promise<void> {
    await this.#tag(resticIdsOf(snapshot), ['--add', proofTag(proof)], signal);
  }

  async protect(snapshot: Snapshot, on: boolean, signal: AbortSignal): Promise<void> {
    await this.#tag(resticIdsOf(snapshot), [on ? '--add' : '--remove', protectedTag], signal);
  }

  /**
   * Brings snapshots that it lacks over from another repository of this host, and marks those that it has as their
   * originals are marked: what was proven or protected after it was copied (S1-48).
   * @returns how many were copied, and how it stands then, the newest first
   */
  async copyFrom(
    source: Repository,
    signal: AbortSignal,
  ): Promise<{ readonly copied: number; readonly snapshots: readonly Snapshot[] }> {
    const originals = await source.list(signal);
    const before = await this.list(signal);
    const there = new Map(before.map((one) => [one.id, one]));
    const missing = originals.filter(({ id }) => !there.has(id));
    if (missing.length > 0)
      await this.#run({
        args: ['copy', ...missing.map(({ resticId }) => resticId)],
        what: 'copy snapshots',
        signal,
        from: source.target.target,
      });
    const changes = marksToCopy(originals, there);
    for (const { change, resticIds } of changes) await this.#tag(resticIds, change, signal);
    const changed = missing.length > 0 || changes.length > 0;
    return { copied: missing.length, snapshots: changed ? await this.list(signal) : before };
  }

  /** Bytes that it takes. */
  async size(signal: AbortSignal): Promise<number> {
    const text = await this.#text({
      args: ['stats', '--json', '--mode=raw-data'],
      what: 'measure',
      signal,
      readOnly: true,
    });
    return sizeSchema.parse(JSON.parse(text)).total_size;
  }

  /** Removes locks of runs that are over, if all that are there belong to such. @returns whether nothing is in the way */
  async #unlockDead(signal: AbortSignal): Promise<boolean> {
    const { restic } = this.#deps;
    const ids = (await this.#text({ args: ['list', 'locks', '--quiet'], what: 'list locks', signal, readOnly: true }))
      .split('\n')
      .filter((line) => /^[0-9a-f]{64}$/.test(line));
    for (const id of ids) {
      const text = await this.#text({ args: ['cat', 'lock', id], what: 'read a lock', signal, readOnly: true });
      if (!(await restic.isDead(lockSchema.parse(JSON.parse(text)).hostname))) return false;
    }
    if (ids.length > 0) await this.#run({ args: ['unlock', '--remove-all'], what: 'remove dead locks', signal });
    return true;
  }

  async #tag(resticIds: readonly string[], change: readonly string[], signal: AbortSignal): Promise<void> {
    await this.#run({ args: ['tag', ...change, ...resticIds], what: 'mark the snapshot', signal });
  }

  async #text(request: Omit<ResticRun, 'repository' | 'key' | 'onLine' | 'program'>): Promise<string> {
    const lines: string[] = [];
    await this.#run({ ...request, onLine: (line) => lines.push(line) });
    return lines.join('\n');
  }

  /** Runs restic; where a lock of a dead run of ours is in the way, it is removed first. */
  async #run(request: Omit<ResticRun, 'repository' | 'key'> & { readonly key?: string }): Promise<number> {
    const { restic, target, key } = this.#deps;
    if (!request.readOnly && isLocal(target)) await assertWritable(target);
    const run = async () => restic.run({ ...request, repository: target, key: request.key ?? (await key()) });
    try {
      return await run();
    } catch (error) {
      if (!(error instanceof ApplianceError) || error.code !== 'backup_locked') throw error;
      // Whoever held it may let go of it while its lock is being read.
      const free = await this.#unlockDead(request.signal).catch(() => false);
      request.signal.throwIfAborted();
      if (!free) throw error;
      return run();
    }
  }
}

/** @param readData as in `Repository.check` */
function checkArguments(readData: string | undefined): string[] {
  const read = readData === undefined ? [] : readData === 'all' ? ['--read-data'] : [`--read-data-subset=${readData}`];
  return ['check', '--json', ...read];
}

/** A disk that was mounted read-only: restic would try to write to it for a quarter of an hour. */
async function assertWritable({ name, target }: ResticTarget): Promise<void> {
  try {
    await access(target, constants.W_OK);
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return;
    const why = systemCode(error) === 'EROFS' ? 'its file system is read-only' : messageOf(error);
    throw new ApplianceError('backup_target', `the target ${name} cannot be written: ${why}`, {
      left: 'the snapshots before it are untouched',
      hint: `mount it for writing and give it to root, then run the command again; it is ${target}`,
    });
  }
}

/** @returns the error that tells of a check that a repository has not passed */
export function damagedRepository(target: string, { brokenPacks }: Checked): ApplianceError {
  const what = brokenPacks.length > 0 ? `: ${brokenPacks.length} of its packs cannot be read back` : '';
  return new ApplianceError('backup_damaged', `the repository ${target} does not pass its check${what}`, {
    left: 'nothing of it was removed',
    hint: 'appliance backup now repairs it and stores again what the sources still have; look for the cause: the disk, its cables, the memory',
  });
}

/** `2026-11-21 02:00:00`: restic reads it in the zone of its container, which is UTC. */
function resticTime(ms: number): string {
  return new Date(ms).toISOString().slice(0, 19).replace('T', ' ');
}
