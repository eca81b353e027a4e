import { open, realpath } from 'node:fs/promises';
import { join } from 'node:path';
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

/**
 * Looks at the manifest of a models directory.
 * @param before the last reading; its content is not read again where nothing can have changed
 * @param now nanoseconds since 1970
 */
export async function lookAt(directory: string, before: Reading | undefined, now: bigint): Promise<Look> {
  let real = directory;
  try {
    real = await realDirectory(directory);
    const path = join(real, manifestName);
    const file = await open(path, 'r');
    try {
      const stat = await file.stat({ bigint: true });
      if (!stat.isFile()) return { kind: 'odd', why: `${path} is no plain file` };
      if (stat.size > BigInt(largestManifest))
        return { kind: 'odd', why: `${path} is larger than ${largestManifest} bytes` };
      const meta = [real, stat.dev, stat.ino, stat.size, stat.mtimeNs, stat.ctimeNs].join(' ');
      if (before && !before.young && before.meta === meta) return { kind: 'read', reading: before };
      const bytes = await file.readFile();
      const after = await file.stat({ bigint: true });
      const still = after.size === stat.size && after.mtimeNs === stat.mtimeNs && after.ctimeNs === stat.ctimeNs;
      if (!still) return { kind: 'odd', why: `${path} is being written` };
      // Nobody can set this time back; one in the future is young as well.
      const young = now - stat.ctimeNs < coarse;
      return { kind: 'read', reading: { path, meta, digest: manifestDigest(bytes), bytes, young } };
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
