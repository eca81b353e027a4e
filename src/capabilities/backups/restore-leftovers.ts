import { readdir, rm, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import { systemCode } from '../../lib/errors.ts';
import { modelStagingName } from './restore-models.ts';
import { stagingOf } from './restore-stage.ts';

/** What a restore has put in place. */
export interface RestoredParts {
  /** Services whose databases were loaded by commands of their own. */
  readonly declared: readonly string[];
  readonly models: boolean;
  readonly config: boolean;
}

/** Directories of an operation in which it keeps what it replaces, until the proof. */
export const keptIn = { config: 'before', databases: 'before-databases' } as const;

/**
 * Removes what earlier restores have left that ended with a person to decide: what they had staged, and what they had set
 * aside of the parts that are now proven to be restored. The rest of it stays; it may be the only copy.
 */
export async function clearEarlier(
  { directory, models }: { readonly directory: string; readonly models: string },
  parts: RestoredParts,
  { operation }: { readonly operation: string },
): Promise<void> {
  for (const earlier of await others(directory, operation)) {
    const at = (...path: readonly string[]): string => join(stagingOf(directory, earlier), ...path);
    const kept = parts.declared.flatMap((service) => [service, `${service}.begun`]);
    const obsolete = [
      at('snapshot'),
      ...(parts.config ? [at(keptIn.config)] : []),
      ...kept.map((name) => at(keptIn.databases, name)),
    ];
    for (const path of obsolete) await rm(path, { recursive: true, force: true });
    for (const path of [at(keptIn.databases), at()]) await removeEmpty(path);
  }
  const staged = join(models, modelStagingName);
  for (const earlier of parts.models ? await others(staged, operation) : [])
    await rm(join(staged, earlier), { recursive: true, force: true });
}

async function others(directory: string, operation: string): Promise<string[]> {
  const names = await readdir(directory).catch(unlessAbsent);
  return (names ?? []).filter((name) => name !== operation);
}

async function removeEmpty(directory: string): Promise<void> {
  await rmdir(directory).catch(unlessAbsent);
}

function unlessAbsent(error: unknown): undefined {
  if (!['ENOENT', 'ENOTEMPTY'].includes(systemCode(error) ?? '')) throw error;
}
