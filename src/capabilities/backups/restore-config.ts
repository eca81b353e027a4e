import { createHash } from 'node:crypto';
import { lstat, mkdir, readdir, readFile, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { readIfPresent, writeFileAtomic } from '../../host/files.ts';
import { systemCode } from '../../lib/errors.ts';

/** A file of the configuration: where it lies in the snapshot, and where it belongs. */
export interface ConfigFile {
  readonly from: string;
  readonly to: string;
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
      found.push({ from: join(snapshot, part, path), to: join(to, path) });
  const environment = join(snapshot, 'config/environment');
  const known = targets.environment;
  if (known !== undefined && !found.some(({ to }) => to === known) && (await isFile(environment)))
    found.push({ from: environment, to: known });
  return found.sort((a, b) => (a.to < b.to ? -1 : 1));
}

/** Which of them would change. */
async function changedFiles(files: readonly ConfigFile[]): Promise<ConfigFile[]> {
  const changed: ConfigFile[] = [];
  for (const file of files) {
    const [now, then] = await Promise.all([bytesOf(file.to), bytesOf(file.from)]);
    if (then !== undefined && (now === undefined || !now.equals(then))) changed.push(file);
  }
  return changed;
}

/**
 * Replaces each file in one rename. What it was before is kept below `before`, by a name made of its path; a file that
 * was not there is noted.
 */
export async function placeConfig(files: readonly ConfigFile[], before: string): Promise<void> {
  await mkdir(before, { recursive: true, mode: 0o700 });
  for (const { from, to } of await changedFiles(files)) {
    const kept = join(before, keptName(to));
    const now = await bytesOf(to);
    const taken = (await readIfPresent(`${kept}.json`)) !== undefined;
    if (!taken) {
      if (now) await writeFileAtomic(kept, now, 0o600);
      await writeFileAtomic(
        `${kept}.json`,
        JSON.stringify({ there: now !== undefined, mode: await modeOf(to) }),
        0o600,
      );
    }
    await mkdir(dirname(to), { recursive: true, mode: 0o755 });
    await writeFileAtomic(to, await readFile(from), (await modeOf(from)) ?? 0o600);
  }
}

/** Takes `placeConfig` back, however far it came. */
export async function unplaceConfig(files: readonly ConfigFile[], before: string): Promise<void> {
  for (const { to } of files) {
    const kept = join(before, keptName(to));
    const note = await readIfPresent(`${kept}.json`);
    if (note === undefined) continue;
    const now = await bytesOf(kept);
    if (now) await writeFileAtomic(to, now, modeIn(note));
    else await rm(to, { force: true });
  }
}

const keptName = (path: string): string => createHash('sha256').update(path).digest('hex').slice(0, 32);

function modeIn(note: string): number {
  const parsed: unknown = JSON.parse(note);
  return typeof parsed === 'object' && parsed !== null && 'mode' in parsed && typeof parsed.mode === 'number'
    ? parsed.mode
    : 0o600;
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

async function bytesOf(path: string): Promise<Buffer | undefined> {
  try {
    return await readFile(path);
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}

async function modeOf(path: string): Promise<number | undefined> {
  const found = await lstat(path).catch(() => undefined);
  return found && found.mode & 0o777;
}

async function isFile(path: string): Promise<boolean> {
  return (await lstat(path).catch(() => undefined))?.isFile() ?? false;
}
