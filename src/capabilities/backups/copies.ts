import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { chmod, lstat, mkdir, readdir, readlink, rm, symlink } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { pipeline } from 'node:stream/promises';
import Sqlite from 'better-sqlite3';
import { giveLike } from '../../host/files.ts';
import { ApplianceError, asApplianceError, systemCode } from '../../lib/errors.ts';

/** How often something that is written meanwhile is copied again. */
const tries = 5;

interface Copied {
  readonly bytes: number;
  /** Of a file; null for a directory. */
  readonly sha256: string | null;
}

/**
 * Copies a live SQLite database as one consistent file, whoever writes it meanwhile: VACUUM INTO reads one state of it,
 * its write-ahead log included. Copying the file alone would lose what stands in the log.
 * @returns undefined where there is no such database
 * @throws ApplianceError `state_corrupt` when the source, or the copy, is damaged; `disk_full`
 */
export async function copyDatabase(from: string, to: string): Promise<Copied | undefined> {
  await mkdir(dirname(to), { recursive: true, mode: 0o700 });
  await rm(to, { force: true });
  if (!(await stateOf(from))) return undefined;
  try {
    const source = new Sqlite(from, { readonly: true, fileMustExist: true, timeout: 30_000 });
    try {
      source.prepare('VACUUM INTO ?').run(to);
    } finally {
      source.close();
    }
    const copy = new Sqlite(to, { readonly: true });
    try {
      const verdict: unknown = copy.pragma('integrity_check', { simple: true });
      if (verdict !== 'ok') throw new Error(`integrity_check says ${String(verdict).slice(0, 200)}`);
    } finally {
      copy.close();
    }
    return await hashFile(to);
  } catch (error) {
    await rm(to, { force: true });
    const told = asApplianceError(error);
    if (told.code !== 'internal') throw told;
    throw new ApplianceError('state_corrupt', `${from} cannot be backed up: ${told.message}`, {
      left: 'it was left as it is; the snapshots before are untouched',
      hint: 'bring it back from a snapshot: appliance backup list, then appliance backup restore ID',
      cause: error,
    });
  }
}

/**
 * Copies files and directories with their owners, modes and links. What is changed while it is copied is copied again.
 * @param except names of entries, at any depth, that are left out
 * @returns undefined where the source does not exist
 * @throws ApplianceError `backup_failed` when it keeps changing; `disk_full`
 */
export async function copyTree(from: string, to: string, except: readonly string[] = []): Promise<Copied | undefined> {
  for (let attempt = 1; ; attempt += 1) {
    await rm(to, { recursive: true, force: true });
    if (!(await stateOf(from))) return undefined;
    try {
      const before = await signature(from, except);
      const copied = await copyEntry(from, to, except);
      if ((await signature(from, except)) === before) return copied;
    } catch (error) {
      // It was removed under the hand.
      if (systemCode(error) !== 'ENOENT') throw asApplianceError(error);
    }
    if (attempt === tries)
      throw new ApplianceError('backup_failed', `${from} was changed each of ${tries} times that it was copied`, {
        left: 'no snapshot was made; the snapshots before it are untouched',
        hint: 'find out what writes there, and run it again: appliance backup now',
      });
  }
}

/**
 * What tells whether anything below a path was changed: names, types, sizes, inodes and times in nanoseconds. mtime alone
 * is not enough: a file may be replaced by an older one of the same size.
 */
export async function signature(path: string, except: readonly string[] = []): Promise<string> {
  const hash = createHash('sha256');
  for await (const line of walk(path, path, except)) hash.update(line);
  return hash.digest('hex');
}

async function* walk(root: string, path: string, except: readonly string[]): AsyncGenerator<string> {
  const state = await stateOf(path);
  if (!state) return;
  const { mode, ino, size, mtimeNs, ctimeNs } = state;
  // The size and times of a directory tell of names that are left out; its entries are listed anyway.
  const own = state.isDirectory() ? '' : `${size} ${mtimeNs} ${ctimeNs}`;
  yield `${relative(root, path)}\0${mode} ${ino} ${own}\n`;
  if (!state.isDirectory()) return;
  const names = (await entriesOf(path)).filter((name) => !except.includes(name)).sort();
  for (const name of names) yield* walk(root, join(path, name), except);
}

async function copyEntry(from: string, to: string, except: readonly string[]): Promise<Copied> {
  const state = await lstat(from);
  if (state.isSymbolicLink()) {
    await symlink(await readlink(from), to);
    await giveLike(to, from);
    return { bytes: 0, sha256: null };
  }
  if (state.isFile()) {
    await mkdir(dirname(to), { recursive: true, mode: 0o700 });
    await pipeline(createReadStream(from), createWriteStream(to, { mode: state.mode & 0o777, flush: true }));
    await giveLike(to, from);
    await chmod(to, state.mode & 0o777);
    return hashFile(to);
  }
  // Sockets and pipes hold nothing.
  if (!state.isDirectory()) return { bytes: 0, sha256: null };
  await mkdir(to, { recursive: true, mode: state.mode & 0o777 });
  await giveLike(to, from);
  await chmod(to, state.mode & 0o777);
  let bytes = 0;
  for (const name of await readdir(from))
    if (!except.includes(name)) bytes += (await copyEntry(join(from, name), join(to, name), except)).bytes;
  return { bytes, sha256: null };
}

async function hashFile(path: string): Promise<{ bytes: number; sha256: string }> {
  const hash = createHash('sha256');
  let bytes = 0;
  for await (const chunk of createReadStream(path)) {
    hash.update(chunk);
    bytes += chunk.length;
  }
  return { bytes, sha256: hash.digest('hex') };
}

/** Bytes of all files below a path; 0 where there is none. */
export async function treeBytes(path: string, except: readonly string[] = []): Promise<number> {
  const state = await stateOf(path);
  if (!state) return 0;
  if (!state.isDirectory()) return Number(state.size);
  let bytes = 0;
  for (const name of await entriesOf(path))
    if (!except.includes(name)) bytes += await treeBytes(join(path, name), except);
  return bytes;
}

/** Names in a directory; none where it was removed meanwhile. */
async function entriesOf(path: string): Promise<string[]> {
  try {
    return await readdir(path);
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return [];
    throw error;
  }
}

async function stateOf(path: string) {
  try {
    return await lstat(path, { bigint: true });
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}
