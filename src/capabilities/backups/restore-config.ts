import { createHash } from 'node:crypto';
import { lstat, mkdir, readdir, readFile, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import { ensureDirectory, exists, makeDirectoryLike, readJson, writeFileAtomic } from '../../host/files.ts';
import { systemCode } from '../../lib/errors.ts';
import { placing } from './in-the-way.ts';

/** A file of the configuration: where it lies in the snapshot, and where it belongs. */
export interface ConfigFile {
  readonly from: string;
  readonly to: string;
  /** The same of the directory that was copied with it; null for a file that was copied alone. */
  readonly tree: { readonly from: string; readonly to: string } | null;
}

/** What a file is, beside its path. */
interface State {
  readonly bytes: Buffer;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
}

export interface ConfigTargets {
  readonly etc: string;
  /** The environment file that appliance.yaml names; it may lie anywhere. */
  readonly environment: string | undefined;
  readonly modelKeys: string;
  readonly certificates: string;
  /** What the certificate authority has issued, and the account there. */
  readonly acme: string;
}

/** Which files of a staged snapshot are configuration, and where they belong. */
export async function configFiles(snapshot: string, targets: ConfigTargets): Promise<ConfigFile[]> {
  const trees: readonly (readonly [string, string])[] = [
    ['config/etc', targets.etc],
    ['config/model-keys', targets.modelKeys],
    ['certificates/edge', targets.certificates],
    ['certificates/acme', targets.acme],
  ];
  const found: ConfigFile[] = [];
  for (const [part, to] of trees)
    for (const path of await filesBelow(join(snapshot, part)))
      found.push({ from: join(snapshot, part, path), to: join(to, path), tree: { from: join(snapshot, part), to } });
  const environment = join(snapshot, 'config/environment');
  const known = targets.environment;
  if (known !== undefined && !found.some(({ to }) => to === known) && (await isFile(environment)))
    found.push({ from: environment, to: known, tree: null });
  return found.sort((a, b) => (a.to < b.to ? -1 : 1));
}

/**
 * Replaces each file that is not as in the snapshot in one rename, with its mode and owner. What it was before is kept below
 * `before`, by a name made of its path; a file that was not there is noted.
 * @throws ApplianceError `restore_failed` with the path, where something is in the way
 */
export async function placeConfig(files: readonly ConfigFile[], before: string): Promise<void> {
  await mkdir(before, { recursive: true, mode: 0o700 });
  for (const file of files) await placing(file.to, () => place(file, join(before, keptName(file.to))));
}

async function place({ from, to, tree }: ConfigFile, kept: string): Promise<void> {
  const [now, then] = await Promise.all([stateOf(to), stateOf(from)]);
  if (!then || same(now, then)) return;
  if (!(await exists(`${kept}.json`))) {
    if (now) await writeFileAtomic(kept, now.bytes, 0o600);
    await writeFileAtomic(`${kept}.json`, JSON.stringify(noteOf(now)), 0o600);
  }
  if (tree) await makeDirectoryLike(dirname(to), dirname(from), tree.to);
  else await ensureDirectory(dirname(to));
  await writeFileAtomic(to, then.bytes, then.mode, then);
}

/** Takes `placeConfig` back, however far it came. What is as it was before is not written: it may be what cannot be. */
export async function unplaceConfig(files: readonly ConfigFile[], before: string): Promise<void> {
  for (const { to } of files) {
    const kept = join(before, keptName(to));
    const note = await readJson(`${kept}.json`, noteSchema);
    if (!note) continue;
    const bytes = note.there ? await readFile(kept) : undefined;
    await placing(to, async () => {
      if (!bytes) await rm(to, { force: true });
      else if (!same(await stateOf(to).catch(() => undefined), { ...note, bytes }))
        await writeFileAtomic(to, bytes, note.mode, note);
    });
  }
}

const keptName = (path: string): string => createHash('sha256').update(path).digest('hex').slice(0, 32);

const noteSchema = z.object({
  there: z.boolean(),
  mode: z.number().default(0o600),
  uid: z.number().default(0),
  gid: z.number().default(0),
});

function noteOf(now: State | undefined): z.input<typeof noteSchema> {
  return now ? { there: true, mode: now.mode, uid: now.uid, gid: now.gid } : { there: false };
}

function same(now: State | undefined, then: State): boolean {
  return (
    now?.bytes.equals(then.bytes) === true && now.mode === then.mode && now.uid === then.uid && now.gid === then.gid
  );
}

async function filesBelow(directory: string): Promise<string[]> {
  try {
    const entries = await readdir(directory, { recursive: true, withFileTypes: true });
    return entries
      .filter((entry) => entry.isFile())
      .map(({ parentPath, name }) => join(parentPath, name).slice(directory.length + 1));
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return [];
    throw error;
  }
}

async function stateOf(path: string): Promise<State | undefined> {
  try {
    const [bytes, { mode, uid, gid }] = await Promise.all([readFile(path), stat(path)]);
    return { bytes, mode: mode & 0o777, uid, gid };
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}

async function isFile(path: string): Promise<boolean> {
  return (await lstat(path).catch(() => undefined))?.isFile() ?? false;
}
