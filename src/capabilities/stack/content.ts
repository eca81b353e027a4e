import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { lstat, readdir, readlink } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';

/**
 * SHA-256 of a file, or of a directory with the names, kinds, executable bits and contents of all that is in it.
 * Links are hashed as links: what they point to is not ours.
 */
export async function contentHash(path: string): Promise<string> {
  const stat = await lstat(path);
  const hash = createHash('sha256');
  if (stat.isSymbolicLink()) return hash.update(`link ${await readlink(path)}`).digest('hex');
  if (stat.isDirectory()) {
    for (const name of (await readdir(path)).sort()) {
      const inner = join(path, name);
      const mode = (await lstat(inner)).mode & 0o111 ? 'x' : '-';
      hash.update(`${mode} ${await contentHash(inner)} ${name}\0`);
    }
    return hash.digest('hex');
  }
  if (!stat.isFile()) return hash.update('special').digest('hex');
  await pipeline(createReadStream(path), hash);
  return hash.digest('hex');
}
