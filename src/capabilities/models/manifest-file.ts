import { lstat, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ApplianceError, systemCode } from '../../lib/errors.ts';
import { largestManifest, type Manifest, manifestDigest, manifestName, parseManifest } from './manifest.ts';

/**
 * Reads the manifest of a directory.
 * @throws ApplianceError `model_invalid` when there is none that can be used
 */
export async function readManifest(
  directory: string,
): Promise<{ readonly path: string; readonly digest: string; readonly manifest: Manifest }> {
  const path = join(directory, manifestName);
  try {
    const stat = await lstat(path);
    if (!stat.isFile() || stat.size > largestManifest)
      throw new ApplianceError('model_invalid', `${path} is no plain file of at most ${largestManifest} bytes`);
    const bytes = await readFile(path);
    return { path, digest: manifestDigest(bytes), manifest: parseManifest(bytes) };
  } catch (error) {
    if (error instanceof ApplianceError) throw error;
    throw new ApplianceError('model_invalid', `${path} cannot be read: ${systemCode(error) ?? 'unknown error'}`, {
      hint: 'a model directory holds a manifest.json that names its files and their hashes',
      cause: error,
    });
  }
}
