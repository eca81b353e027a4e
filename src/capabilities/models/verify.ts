import { constants } from 'node:fs';
import { access, lstat, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { copyFiles } from '../../host/copy-files.ts';
import { messageOf, systemCode } from '../../lib/errors.ts';
import type { Finding } from '../../lib/verdict.ts';
import type { Artefact, ModelVersion } from './registry-types.ts';

/**
 * Compares the files of a version with what was registered: present, plain, of their size and hash, and none beside
 * them (S3-7, S3-17). All bytes are read.
 * @returns one finding for each file that is wrong, or one that says that all are right
 */
export async function verifyVersion(
  version: ModelVersion,
  artefacts: readonly Artefact[],
  signal: AbortSignal,
): Promise<Finding[]> {
  const id = `${version.name}@${version.version}`;
  const hint = 'restore it from a backup or an archive, or promote another version';
  const wrong: Finding[] = [];
  const fail = (path: string, observed: string, expected: string) =>
    wrong.push({ id: `${id}/${path}`, verdict: 'fail', observed, expected, hint });

  const sound: Artefact[] = [];
  for (const artefact of artefacts) {
    const found = await lookAt(join(version.directory, artefact.path), artefact.bytes);
    if (found === null) sound.push(artefact);
    else fail(artefact.path, found, `a file of ${artefact.bytes} bytes`);
  }
  const jobs = sound.map(({ path, bytes }) => ({ from: join(version.directory, path), size: bytes }));
  const results = await copyFiles(jobs, signal);
  sound.forEach(({ path, sha256 }, index) => {
    const seen = results[index]?.sha256;
    if (seen !== sha256) fail(path, `hash ${seen?.slice(0, 12)}`, `hash ${sha256.slice(0, 12)}`);
  });
  const known = new Set(artefacts.map(({ path }) => path));
  for (const path of await filesOf(version.directory))
    if (!known.has(path)) fail(path, 'a file that was not registered', 'no such file');
  if (wrong.length > 0) return wrong;
  return [{ id, verdict: 'pass', observed: `${artefacts.length} files as registered`, samples: artefacts.length }];
}

/** @returns what is wrong with a file, before it is read */
async function lookAt(path: string, bytes: number): Promise<string | null> {
  try {
    const found = await lstat(path);
    if (!found.isFile()) return 'no plain file';
    if (found.size !== bytes) return `${found.size} bytes`;
    await access(path, constants.R_OK);
    return null;
  } catch (error) {
    return systemCode(error) === 'ENOENT' ? 'not there' : messageOf(error);
  }
}

async function filesOf(directory: string): Promise<string[]> {
  try {
    const entries = await readdir(directory, { recursive: true, withFileTypes: true });
    return entries
      .filter((entry) => !entry.isDirectory())
      .map(({ parentPath, name }) => join(parentPath, name).slice(directory.length + 1));
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return [];
    throw error;
  }
}
