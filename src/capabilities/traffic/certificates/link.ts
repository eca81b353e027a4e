import { readlink, rename, rm, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { ensureDirectory, exists, readIfPresent, syncDirectory } from '../../../host/files.ts';
import { readPair } from '../../../host/handshake.ts';
import { certificateDirectory, currentLink, serialText } from '../../../lib/certificates.ts';
import { ApplianceError, systemCode } from '../../../lib/errors.ts';
import type { Paths } from '../../../lib/paths.ts';

type EdgePaths = Pick<Paths, 'edge'>;

/** What the edge makes for itself when it starts (nginx/entrypoint.sh); seen from the directory of a set. */
const ownPair = '../self-signed';

/** Where the link of a set leads: a version, or `ownPair`; undefined where there is none. */
export async function target(paths: EdgePaths, set: string): Promise<string | undefined> {
  try {
    return await readlink(join(certificateDirectory(paths, set), currentLink));
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}

/** Makes another version the one in force: one rename, so key and chain change together, and a crash leaves one of both. */
export async function switchTo(paths: EdgePaths, set: string, version: string): Promise<void> {
  const directory = certificateDirectory(paths, set);
  const next = join(directory, `${currentLink}.tmp`);
  await rm(next, { force: true });
  await symlink(version, next);
  await rename(next, join(directory, currentLink));
  await syncDirectory(directory);
}

/** Where a set that has lost its version goes: back to an older one, else to what the edge has made for itself. */
export async function fallbackOf(paths: EdgePaths, set: string, version: string | null): Promise<string> {
  const there = version !== null && (await exists(join(certificateDirectory(paths, set), version, 'key.pem')));
  return there ? version : ownPair;
}

/** Gives nginx something to start with for each set that has nothing yet. */
export async function ensureTargets(paths: EdgePaths, sets: readonly string[]): Promise<void> {
  for (const set of sets) {
    if (await exists(join(certificateDirectory(paths, set), currentLink, 'key.pem'))) continue;
    if (!(await exists(join(certificateDirectory(paths, set), ownPair, 'key.pem')))) continue;
    await ensureDirectory(certificateDirectory(paths, set));
    await switchTo(paths, set, ownPair);
  }
}

/**
 * The certificate of a version, once it is known to be whole.
 * @throws ApplianceError `certificate_invalid` when key and chain do not belong together or are not there
 */
export async function serialOf(paths: EdgePaths, set: string, version: string): Promise<string> {
  const directory = join(certificateDirectory(paths, set), version);
  const [chain, key] = [
    await readIfPresent(join(directory, 'chain.pem')),
    await readIfPresent(join(directory, 'key.pem')),
  ];
  if (chain !== undefined && key !== undefined) return serialText(readPair(chain, key).serialNumber);
  throw new ApplianceError('certificate_invalid', `there is no certificate ${set}/${version}`, {
    left: 'the edge goes on with the one that it has',
    hint: `get a new one: appliance certs issue ${set}`,
  });
}
