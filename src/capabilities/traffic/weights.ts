import { existsSync } from 'node:fs';
import { rename, rm } from 'node:fs/promises';
import { ensureDirectory, readJson, syncDirectory, writeFileAtomic } from '../../host/files.ts';
import { weightsSchema } from '../../host/nginx.ts';
import { allOn, colours, otherColour, type Weights } from '../../lib/colour.ts';
import { ApplianceError, systemCode } from '../../lib/errors.ts';
import type { TrafficParts } from './deps.ts';

/**
 * What requests get: from the running nginx, else from the files that it will read when it starts.
 * @returns null before the first shift
 * @throws ApplianceError `state_corrupt` when nginx does not run and the file is damaged
 */
export async function currentWeights({ control, files }: TrafficParts): Promise<Weights | null> {
  try {
    return await control.getWeights();
  } catch (error) {
    if (!(error instanceof ApplianceError)) throw error;
    for (const colour of colours) if (existsSync(files.markers[colour])) return allOn(colour);
    return (await readJson(files.weights, weightsSchema)) ?? null;
  }
}

/** Writes the weights that the traffic script reads after a start. */
export async function saveWeights({ files }: TrafficParts, weights: Weights): Promise<void> {
  await ensureDirectory(files.stateDirectory);
  // Workers of nginx read it as another user.
  await writeFileAtomic(files.weights, `${JSON.stringify({ blue: weights.blue, green: weights.green })}\n`, 0o644);
}

/**
 * Moves the marker that nginx looks for: this is the instant at which traffic shifts from one whole colour to the
 * other. There is one file with two names, so at no time do both exist; a request that looks between its two names
 * finds neither and asks the script, which knows the new weights by then.
 */
export async function moveMarker({ files }: TrafficParts, weights: Weights): Promise<void> {
  const { markers, stateDirectory } = files;
  const whole = colours.find((colour) => weights[colour] === 100);
  if (whole === undefined) {
    for (const colour of colours) await rm(markers[colour], { force: true });
  } else {
    const moved = await renameIfPresent(markers[otherColour(whole)], markers[whole]);
    if (!moved && !existsSync(markers[whole])) await writeFileAtomic(markers[whole], '');
  }
  await syncDirectory(stateDirectory);
}

async function renameIfPresent(from: string, to: string): Promise<boolean> {
  try {
    await rename(from, to);
    return true;
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return false;
    throw error;
  }
}

export function sameWeights(a: Weights | null, b: Weights): boolean {
  return a !== null && a.blue === b.blue && a.green === b.green;
}

/** `blue 100 % · green 0 %` */
export function describeWeights(weights: Weights | null): string {
  return weights ? `blue ${weights.blue} % · green ${weights.green} %` : 'no weights';
}
