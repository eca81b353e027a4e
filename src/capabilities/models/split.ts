import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { readIfPresent, syncDirectory, writeFileAtomic } from '../../host/files.ts';
import { checkLabel } from './layout.ts';
import { readPointer } from './pointer.ts';

/** A second version, and the share of the requests that it answers beside the one in force (S3-25). */
const splitSchema = z.object({
  name: z.string(),
  version: z.string(),
  /** Of its manifest. */
  sha256: z.string(),
  /** Above 0 and below 1. */
  weight: z.number().gt(0).lt(1),
});
export type Split = z.output<typeof splitSchema>;

/** Beside `current`; the application reads it. */
const splitName = 'candidate.json';

/**
 * The split that is in force.
 * @returns null without one; also where the file names what `current` names, or says nothing that could be done: applications
 *   give such a candidate no requests either. So each of the two can be changed alone, and every state between is a whole one.
 */
export async function readSplit(directory: string): Promise<Split | null> {
  let said: unknown;
  try {
    said = JSON.parse((await readIfPresent(join(directory, splitName))) ?? 'null');
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
  }
  const { data } = splitSchema.safeParse(said);
  if (!data) return null;
  const pointer = await readPointer(directory);
  return pointer?.name === data.name && pointer.version === data.version ? null : data;
}

/**
 * Begins, changes or ends a split with one rename or removal. @param split null ends it
 * @throws ApplianceError `disk_full`, `model_invalid` for labels that are none
 */
export async function writeSplit(directory: string, split: Split | null): Promise<void> {
  const path = join(directory, splitName);
  if (split) {
    const { name, version, sha256, weight } = splitSchema.parse(split);
    const labels = { name: checkLabel('name of a model', name), version: checkLabel('version', version) };
    return writeFileAtomic(path, `${JSON.stringify({ ...labels, sha256, weight })}\n`);
  }
  await rm(path, { force: true });
  await syncDirectory(directory);
}
