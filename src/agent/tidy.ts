import { readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { removeTemporaryFiles } from '../host/files.ts';
import { systemCode } from '../lib/errors.ts';
import type { Appliance } from './appliance.ts';

/** Directories below lib that hold what others write: sources, data of applications, repositories, plans that are being looked at. */
const ofOthers = ['source.git', 'persistent', 'releases', 'scratch', 'backups'];
/** Milliseconds after which nobody looks at a plan any more. */
const longestPlan = 3_600_000;

/** Removes what a process that was killed in the middle of writing has left. Only the one writer may call it, before it writes. */
export async function tidy({
  paths,
  store,
  clock,
  models,
  backups,
  drills,
}: Pick<Appliance, 'paths' | 'store' | 'clock' | 'models' | 'backups' | 'drills'>): Promise<void> {
  await store.sweep();
  await models.sweep();
  await backups.prepare();
  await drills.sweep();
  await removeTemporaryFiles(paths.lib, ofOthers);
  for (const { id } of store.all()) {
    await orAbsent(removeTemporaryFiles(store.files(id).directory, ['source']));
  }
  const scratch = join(paths.lib, 'scratch');
  for (const name of (await orAbsent(readdir(scratch))) ?? []) {
    const seen = await orAbsent(stat(join(scratch, name)));
    if (seen && clock.now() - seen.mtimeMs > longestPlan)
      await rm(join(scratch, name), { recursive: true, force: true });
  }
}

async function orAbsent<T>(work: Promise<T>): Promise<T | undefined> {
  try {
    return await work;
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}
