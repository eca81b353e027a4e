import { randomBytes } from 'node:crypto';
import { chmod, mkdir, rename } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { exists, syncDirectory } from '../../host/files.ts';
import { ApplianceError } from '../../lib/errors.ts';
import { removeTree } from './add.ts';
import { modelFiles } from './layout.ts';
import type { ModelRegistry } from './registry.ts';
import type { Change, ModelVersion } from './registry-types.ts';
import { unwritable } from './unwritable.ts';

/**
 * Removes the files of an archived version. Its record stays: metrics, reports, history, and the hashes by which `add` knows
 * the same bytes again. One rename takes it out of sight; what a crash leaves after it is removed with all of staging.
 * @returns bytes that are free now; 0 when they were before
 * @throws ApplianceError `usage` for a version that is not archived; `not_permitted`
 */
export async function pruneVersion(registry: ModelRegistry, version: ModelVersion, change: Change): Promise<number> {
  if (version.state !== 'archived')
    throw new ApplianceError('usage', `${version.name}@${version.version} is not archived`, {
      left: 'nothing was removed',
      hint: `archive it first: appliance models archive ${version.name}@${version.version}`,
    });
  if (!(await exists(version.directory))) return 0;
  const { staging } = modelFiles(registry.directory);
  const away = join(staging, randomBytes(8).toString('hex'));
  try {
    await mkdir(staging, { recursive: true, mode: 0o700 });
    // Moving a directory changes its entry `..`, which its own mode must allow to whoever is not root.
    await chmod(version.directory, 0o755);
    await rename(version.directory, away);
  } catch (error) {
    throw unwritable(registry.directory, error) ?? error;
  }
  await syncDirectory(dirname(version.directory));
  registry.note(version, 'pruned', change);
  await removeTree(away);
  return version.bytes;
}
