import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { ApplianceError, messageOf } from '../../lib/errors.ts';
import { versionDirectory } from './layout.ts';
import { manifestDigest, manifestName } from './manifest.ts';

/** A version as steps know it. */
export const modelSideSchema = z.object({ id: z.number(), name: z.string(), version: z.string(), sha256: z.string() });
export type ModelSide = z.output<typeof modelSideSchema>;

export const sideText = ({ name, version }: Pick<ModelSide, 'name' | 'version'>): string => `${name}@${version}`;

/** The manifest of a version is the one that was registered. @throws ApplianceError `model_invalid` */
export async function assertWhole(directory: string, side: ModelSide): Promise<void> {
  const path = join(versionDirectory(directory, side.name, side.version), manifestName);
  let found: string;
  try {
    found = manifestDigest(await readFile(path));
  } catch (error) {
    found = messageOf(error);
  }
  if (found === side.sha256) return;
  throw new ApplianceError('model_invalid', `${path} is not what was registered: ${found.slice(0, 200)}`, {
    left: 'the model in force stays as it is',
    hint: `compare all of its files: appliance models verify ${sideText(side)}`,
  });
}
