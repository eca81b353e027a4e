import type { BigIntStats } from 'node:fs';
import { open, readlink, realpath, stat } from 'node:fs/promises';
import { isAbsolute, join, relative } from 'node:path';
import { systemCode } from '../../../lib/errors.ts';
import { largestManifest, manifestDigest, manifestName } from '../manifest.ts';

/**
 * By what a manifest is recognised. Times alone are not enough (measured): a rename that preserves times gave equal
 * mtime, size and inode, and rewrites within a millisecond are common. So: where it really lies, which inode it is, its
 * size, both times in nanoseconds, and the hash of its content.
 */
export interface Reading {
  readonly path: string;
  /** Signature of the metadata; equal text: nothing has touched it, unless it is young. */
  readonly meta: string;
  /** What two calls of the system tell of it, for the many looks at which nothing has changed. */
  readonly glance: string;
  readonly digest: string;
  readonly bytes: Buffer;
  /**
   * So young that a further write may have left no trace in its times (coarse clocks of network file systems): its
   * content is read again, whatever the metadata says.
   */
  readonly young: boolean;
}

/** What was found: a manifest, none, or something that is none. */
export type Look =
  | { readonly kind: 'read'; readonly reading: Reading }
  | { readonly kind: 'absent' | 'odd'; readonly why: string };

/** The coarsest clock of a file system that is reckoned with, in nanoseconds (FAT, NFS: two seconds). */
const coarse = 2_500_000_000n;

/** The directory of the model in force: `current` where there is one, else the directory itself, as applications do. */
async function realDirectory(directory: string): Promise<string> {
  try {
    return await realpath(join(directory, 'current'));
  } catch (error) {
    if (systemCode(error) !== 'ENOENT') throw error;
    return await realpath(directory);
  }
}

const glanceOf = (link: string, { dev, ino, size, mtimeNs, ctimeNs }: BigIntStats): string =>
  [link, dev, ino, size, mtimeNs, ctimeNs].join(' ');

/** What `current` says; empty where there is none, a dot where it is no link. */
async function linkOf(directory: string): Promise<string> {
  try {
    return await readlink(join(directory, 'current'));
  } catch (error) {
    return systemCode(error) === 'ENOENT' ? '' : '.';
  }
}

/** Why containers, which mount the directory alone and elsewhere, cannot follow `current`; null where they can. */
async function strayOf(directory: string, link: string, real: string): Promise<string | null> {
  if (isAbsolute(link)) return `current names the absolute path ${link}, which is another one inside of containers`;
  const inside = relative(await realpath(directory), real);
  const leads = inside === '..' || inside.startsWith('../');
  return leads ? `current leads out of the models directory, to ${real}` : null;
}

/** @returns undefined where a longer look must tell */
async function glanceAt(directory: string, link: string): Promise<string | undefined> {
  const path = join(directory, link === '' ? '' : 'current', manifestName);
  try {
    return glanceOf(link, await stat(path, { bigint: true }));
  } catch {
    return undefined;
  }
}

/**
 * Looks at the manifest of a models directory.
 * @param before the last reading; its content is not read again where nothing can have changed
 * @param now nanoseconds since 1970
 */
export async function lookAt(directory: string, before: Reading | undefined, now: bigint): Promise<Look> {
  let real = directory;
  try {
    const link = await linkOf(directory);
    if (before && !before.young && (await glanceAt(directory, link)) === before.glance)
      return { kind: 'read', reading: before };
    real = await realDirectory(directory);
    const astray = await strayOf(directory, link, real);
    if (astray !== null) return { kind: 'odd', why: astray };
    const path = join(real, manifestName);
    const file = await open(path, 'r');
    try {
      const found = await file.stat({ bigint: true });
      if (!found.isFile()) return { kind: 'odd', why: `${path} is no plain file` };
      if (found.size > BigInt(largestManifest))
        return { kind: 'odd', why: `${path} is larger than ${largestManifest} bytes` };
      const meta = [real, found.dev, found.ino, found.size, found.mtimeNs, found.ctimeNs].join(' ');
      const bytes = await file.readFile();
      const after = await file.stat({ bigint: true });
      const still = after.size === found.size && after.mtimeNs === found.mtimeNs && after.ctimeNs === found.ctimeNs;
      if (!still) return { kind: 'odd', why: `${path} is being written` };
      // Nobody can set this time back; one in the future is young as well.
      const young = now - found.ctimeNs < coarse;
      const glance = glanceOf(link, found);
      return { kind: 'read', reading: { path, meta, glance, digest: manifestDigest(bytes), bytes, young } };
    } finally {
      await file.close();
    }
  } catch (error) {
    const code = systemCode(error);
    if (code === 'ENOENT' || code === 'ENOTDIR')
      return { kind: 'absent', why: `there is no ${manifestName} in ${real}` };
    return { kind: 'odd', why: `${manifestName} in ${real} cannot be read: ${code ?? 'unknown error'}` };
  }
}
