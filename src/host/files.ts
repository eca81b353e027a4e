import { randomBytes } from 'node:crypto';
import { chmod, lchown, lstat, mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { z } from 'zod';
import { ApplianceError, messageOf, systemCode } from '../lib/errors.ts';

/** User and group that a file belongs to, by their numbers. */
export interface Owner {
  readonly uid: number;
  readonly gid: number;
}

/** Only root can give a file to somebody else. */
const mayGiveAway = (): boolean => process.geteuid?.() === 0;

/** Gives a file, a directory or a link itself to whom another one belongs. */
export async function giveLike(path: string, like: string): Promise<void> {
  if (!mayGiveAway()) return;
  const { uid, gid } = await lstat(like);
  await lchown(path, uid, gid);
}

/** The same for everything below two directories; what is not in both is left alone. */
export async function giveTreeLike(path: string, like: string): Promise<void> {
  if (!(await exists(path))) return;
  await giveLike(path, like);
  if (!(await lstat(like)).isDirectory()) return;
  for (const name of await readdir(like)) await giveTreeLike(join(path, name), join(like, name));
}

/**
 * Replaces a file so that a reader, or a crash, sees the old or the new content and nothing between: temporary file in
 * the same directory, fsync, rename, fsync of the directory (DESIGN §6).
 * @param mode permission bits, for example 0o600
 * @param owner whose it is to be; by default of this process
 */
export async function writeFileAtomic(
  path: string,
  content: string | Uint8Array,
  mode = 0o644,
  owner?: Owner,
): Promise<void> {
  const temporary = join(dirname(path), `.${randomBytes(6).toString('hex')}.tmp`); // removeTemporaryFiles knows it
  try {
    const file = await open(temporary, 'wx', mode);
    try {
      // First, because it takes bits of the mode away.
      if (owner && mayGiveAway()) await file.chown(owner.uid, owner.gid);
      await file.chmod(mode);
      await file.writeFile(content);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
  await syncDirectory(dirname(path));
}

/**
 * Removes the temporary files of writes that were cut short; some hold secrets. Nobody else may be writing there.
 * @param except names of directories, directly inside, that are left alone
 */
export async function removeTemporaryFiles(directory: string, except: readonly string[] = []): Promise<void> {
  for (const entry of await readdir(directory, { withFileTypes: true })) {
    const path = join(directory, entry.name);
    if (entry.isFile() && /^\.[0-9a-f]{12}\.tmp$/.test(entry.name)) await rm(path, { force: true });
    else if (entry.isDirectory() && !except.includes(entry.name)) await removeTemporaryFiles(path);
  }
}

/** Makes renames inside a directory durable. */
export async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

/** Creates a directory and its parents. @param mode permission bits of those created */
export async function ensureDirectory(path: string, mode = 0o755): Promise<void> {
  await mkdir(path, { recursive: true, mode });
}

/**
 * Makes a directory that is not there with the mode and the owner of another one; those above it like those above that.
 * @param top the first one that is made by itself, where it is not there
 */
export async function makeDirectoryLike(directory: string, like: string, top: string): Promise<void> {
  if (await exists(directory)) return;
  if (directory !== top) await makeDirectoryLike(dirname(directory), dirname(like), top);
  await ensureDirectory(directory);
  await giveLike(directory, like);
  await chmod(directory, (await lstat(like)).mode & 0o777);
}

/** The content of a file, or undefined when there is none. */
export async function readIfPresent(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}

/**
 * Reads a JSON file of our own.
 * @returns the parsed value, or undefined when there is no file
 * @throws ApplianceError `state_corrupt` when it is not JSON of the expected shape; it is never overwritten
 */
export async function readJson<T>(path: string, schema: z.ZodType<T>): Promise<T | undefined> {
  const text = await readIfPresent(path);
  if (text === undefined) return undefined;
  try {
    return schema.parse(JSON.parse(text));
  } catch (error) {
    throw new ApplianceError('state_corrupt', `${path} is damaged: ${messageOf(error)}`, {
      left: 'the file was left as it is',
      hint: `look at ${path}; restore it from a backup or remove it`,
      cause: error,
    });
  }
}

/** Whether there is an entry of that path, be it a link that leads nowhere. */
export async function exists(path: string): Promise<boolean> {
  try {
    await lstat(path);
    return true;
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return false;
    throw error;
  }
}
