import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { type FileHandle, link, lstat, open, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { ApplianceError, systemCode } from '../lib/errors.ts';
import { exists } from './files.ts';

/** A file that somebody asks for. */
export interface NewFile {
  /** It must not exist; the directory that it lies in must. */
  readonly path: string;
  /** User id of who asks: the file becomes theirs, and lies in a directory of theirs. */
  readonly uid: number;
}

/**
 * Writes a file for whoever asked for it. It appears when it is complete, and never in the place of another one.
 * @param write gets the empty file, readable by this process alone
 * @returns what `write` returns
 * @throws ApplianceError `usage` where there is such a file already, or no such directory; `not_permitted` for a directory of
 *   somebody else; and what `write` throws; nothing is left then
 */
export async function writeNewFile<T>(wish: NewFile, write: (file: FileHandle) => Promise<T>): Promise<T> {
  const { path, uid } = wish;
  const parent = await openDirectory(dirname(path));
  try {
    const { uid: owner, gid } = await parent.stat();
    if (uid !== 0 && uid !== process.getuid?.() && uid !== owner) throw notYours(dirname(path));
    // Through the open directory: nobody can put another one in its place meanwhile.
    const inParent = (name: string) => join('/proc/self/fd', String(parent.fd), name);
    const final = inParent(basename(path));
    if (await exists(final)) throw taken(path);
    const partial = inParent(`.${randomBytes(6).toString('hex')}.tmp`);
    try {
      const file = await open(partial, 'wx+', 0o600);
      let result: T;
      try {
        result = await write(file);
        await giveAway(file, uid, uid === 0 ? 0 : gid);
        await file.sync();
      } finally {
        await file.close();
      }
      await publish(partial, final, path);
      await parent.sync();
      return result;
    } finally {
      await rm(partial, { force: true });
    }
  } finally {
    await parent.close();
  }
}

async function openDirectory(path: string): Promise<FileHandle> {
  try {
    return await open(path, constants.O_RDONLY | constants.O_DIRECTORY);
  } catch (error) {
    if (!['ENOENT', 'ENOTDIR', 'ELOOP'].includes(systemCode(error) ?? '')) throw error;
    throw new ApplianceError('usage', `there is no directory ${path}`, {
      left: 'nothing was written',
      hint: 'name a file in a directory that is there',
      cause: error,
    });
  }
}

/** A disk that knows no owners, as many that are carried around, keeps the file as it makes all of its files. */
async function giveAway(file: FileHandle, uid: number, gid: number): Promise<void> {
  try {
    await file.chmod(0o644);
    if (process.getuid?.() === 0) await file.chown(uid, gid);
  } catch (error) {
    if (!['EPERM', 'ENOTSUP', 'EINVAL'].includes(systemCode(error) ?? '')) throw error;
  }
}

async function publish(partial: string, final: string, path: string): Promise<void> {
  try {
    await link(partial, final);
  } catch (error) {
    const code = systemCode(error);
    if (code === 'EEXIST') throw taken(path);
    // A file system without links: FAT, for one.
    if (!['EPERM', 'ENOTSUP', 'ENOSYS', 'EMLINK'].includes(code ?? '')) throw error;
    if (await lstat(final).catch(() => undefined)) throw taken(path);
    await rename(partial, final);
  }
}

function taken(path: string): ApplianceError {
  return new ApplianceError('usage', `${path} exists`, { left: 'it is untouched', hint: 'name another file' });
}

function notYours(directory: string): ApplianceError {
  return new ApplianceError('not_permitted', `${directory} is not your directory`, {
    left: 'nothing was written',
    hint: 'write into a directory of your own, or use sudo',
  });
}
