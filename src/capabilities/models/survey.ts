import { constants } from 'node:fs';
import { lstat, open, readdir, realpath, stat } from 'node:fs/promises';
import { dirname, join, relative, sep } from 'node:path';
import { identityOf } from '../../host/copy-file.ts';
import { assertReachable, assertReadable, type Reader } from '../../host/readable.ts';
import { ApplianceError, systemCode } from '../../lib/errors.ts';
import { formatBytes } from '../../lib/units.ts';
import { largestManifest, manifestName } from './manifest.ts';

/** A file that a model consists of, as it was seen. */
export interface SourceFile {
  /** Below the directory, with slashes. */
  readonly path: string;
  /** Where it really lies: a link that stays inside of the directory is followed. */
  readonly from: string;
  readonly identity: string;
  readonly bytes: number;
  /** Where its bytes begin in `from`, when that is an archive. */
  readonly offset?: number;
}

const most = { files: 10_000, depth: 16 } as const;
/** A file of this size or more of which the disk holds less than an eighth is full of holes. */
const sparse = { bytes: 2 ** 26, share: 8 } as const;

/**
 * Lists the files of a directory that is to become a version, and refuses what cannot be one.
 * @param directory real path
 * @param uid who asks: nobody gets copied by a privileged process what he may not read himself
 * @param only paths that are looked at; all by default
 * @throws ApplianceError `model_invalid`, `not_permitted`
 */
export async function surveyDirectory(
  directory: string,
  uid: number,
  only?: ReadonlySet<string>,
): Promise<SourceFile[]> {
  assertReadable(await lstat(directory), directory, readerOf(uid));
  await assertReachable(directory, readerOf(uid));
  const files: SourceFile[] = [];
  await walk({ directory, uid, files, only }, '', 0);
  return files;
}

interface Walk {
  readonly directory: string;
  readonly uid: number;
  readonly files: SourceFile[];
  readonly only: ReadonlySet<string> | undefined;
}

async function walk(state: Walk, below: string, depth: number): Promise<void> {
  if (depth > most.depth) throw invalid(`${below} lies more than ${most.depth} directories deep`);
  const entries = await readdir(join(state.directory, below), { encoding: 'buffer' });
  for (const raw of entries.sort(Buffer.compare)) {
    const path = below === '' ? nameOf(raw, below) : `${below}/${nameOf(raw, below)}`;
    if (state.only && !state.only.has(path)) continue;
    const full = join(state.directory, path);
    const found = await lstat(full);
    if (found.isDirectory()) {
      assertReadable(found, full, readerOf(state.uid));
      await walk(state, path, depth + 1);
    } else {
      state.files.push(
        await surveyFile(state, path, found.isSymbolicLink() ? await follow(state.directory, path) : full),
      );
    }
    if (state.files.length > most.files) throw invalid(`it holds more than ${most.files} files`);
  }
}

/** @throws ApplianceError `model_invalid` for what cannot be shown, compared or packed everywhere */
function nameOf(raw: Buffer, below: string): string {
  const name = raw.toString('utf8');
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is refused
  if (Buffer.from(name).equals(raw) && !/[\u0000-\u001f\u007f]/.test(name)) return name;
  const shown = JSON.stringify(raw.toString('latin1'));
  throw invalid(`${below === '' ? '' : `${below}/`}${shown} is no name in UTF-8 without control characters`);
}

async function follow(directory: string, path: string): Promise<string> {
  try {
    const real = await realpath(join(directory, path));
    if (real.startsWith(directory + sep)) return real;
    throw invalid(`${path} is a link that leads out of the directory, to ${real}`);
  } catch (error) {
    if (['ENOENT', 'ELOOP'].includes(systemCode(error) ?? '')) throw invalid(`${path} is a link that leads nowhere`);
    throw error;
  }
}

async function surveyFile({ uid }: Walk, path: string, from: string): Promise<SourceFile> {
  const found = await lstat(from, { bigint: true });
  if (!found.isFile()) throw invalid(`${path} is ${kindOf(found)}`);
  assertReadable({ uid: Number(found.uid), mode: Number(found.mode) }, from, readerOf(uid));
  const bytes = Number(found.size);
  const stored = Number(found.blocks) * 512;
  if (bytes >= sparse.bytes && stored < bytes / sparse.share) {
    throw invalid(`${path} is full of holes: of its ${formatBytes(bytes)} the disk holds ${formatBytes(stored)}`);
  }
  return { path, from, identity: identityOf(found), bytes };
}

function kindOf(found: {
  isDirectory(): boolean;
  isFIFO(): boolean;
  isSocket(): boolean;
  isBlockDevice(): boolean;
}): string {
  if (found.isDirectory()) return 'a link to a directory';
  if (found.isFIFO()) return 'a pipe';
  if (found.isSocket()) return 'a socket';
  return found.isBlockDevice() ? 'a block device' : 'a device';
}

/**
 * Reads a small file of a source.
 * @param largest bytes
 * @returns undefined when there is none
 * @throws ApplianceError `model_invalid` when it is larger
 */
export async function readSmall(file: SourceFile | undefined, largest: number): Promise<Buffer | undefined> {
  if (file === undefined) return undefined;
  if (file.bytes > largest) {
    throw invalid(`${file.path} has ${formatBytes(file.bytes)}; at most ${formatBytes(largest)} are read`);
  }
  const handle = await open(file.from, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    const data = Buffer.alloc(largest + 1);
    const wanted = file.offset === undefined ? data.length : file.bytes;
    const { bytesRead } = await handle.read(data, 0, wanted, file.offset ?? 0);
    if (bytesRead > largest) throw invalid(`${file.path} grows while it is read`);
    return data.subarray(0, bytesRead);
  } finally {
    await handle.close();
  }
}

/** @throws ApplianceError `model_invalid` when there is none */
export async function readManifestOf(files: readonly SourceFile[]): Promise<Buffer> {
  const bytes = await readSmall(
    files.find(({ path }) => path === manifestName),
    largestManifest,
  );
  if (bytes === undefined) throw invalid(`there is no ${manifestName} in it`);
  return bytes;
}

/**
 * @param path as the caller wrote it
 * @returns its real path
 * @throws ApplianceError `model_invalid` when it is no directory
 */
export async function realDirectory(path: string): Promise<string> {
  try {
    const real = await realpath(path);
    if ((await stat(real)).isDirectory()) return real;
    throw invalid(`${path} is no directory`);
  } catch (error) {
    if (['ENOENT', 'ENOTDIR', 'ELOOP'].includes(systemCode(error) ?? ''))
      throw invalid(`there is no directory ${path}`);
    throw error;
  }
}

/** Whether one path lies in the other, or is the same. Both are real. */
export function inside(path: string, directory: string): boolean {
  const way = relative(directory, path);
  return way === '' || !(way === '..' || way.startsWith(`..${sep}`));
}

/** As `surveyDirectory` asks of directories, for one plain file. @param path real path */
export async function assertReadableFile(path: string, uid: number): Promise<void> {
  const found = await lstat(path, { bigint: true });
  if (!found.isFile()) throw invalid(`${path} is ${kindOf(found)}`);
  assertReadable({ uid: Number(found.uid), mode: Number(found.mode) }, path, readerOf(uid));
  await assertReachable(dirname(path), readerOf(uid));
}

function readerOf(uid: number): Reader {
  return { uid, left: 'nothing was registered' };
}

export function invalid(why: string): ApplianceError {
  return new ApplianceError('model_invalid', `this cannot become a version of a model: ${why}`, {
    left: 'nothing was registered',
    hint: 'a version is a directory of plain files with a manifest.json; see the guide about models',
  });
}

/** @throws ApplianceError `model_invalid` when there is nothing at that path */
export async function isDirectory(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory();
  } catch (error) {
    if (['ENOENT', 'ENOTDIR', 'ELOOP'].includes(systemCode(error) ?? '')) throw invalid(`there is nothing at ${path}`);
    throw error;
  }
}
