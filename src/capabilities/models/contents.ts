import { messageOf } from '../../lib/errors.ts';
import { type Manifest, manifestName } from './manifest.ts';
import type { Artefact, ModelMetadata } from './registry-types.ts';
import { invalid } from './survey.ts';

/** Numbers of a model beside its files (S1-61). */
export const metricsName = 'metrics.json';
/** Largest file of metrics that is read, in bytes, and the most numbers that are kept. */
export const largestMetrics = 2 ** 20;
const mostMetrics = 500;

/**
 * Compares what was copied with what the manifest names (S0-13, S2-4, S3-7). Files that it does not name are fine.
 * @throws ApplianceError `model_invalid` for the first difference
 */
export function compareWithManifest(manifest: Manifest, artefacts: readonly Artefact[]): void {
  const found = new Map(artefacts.map((artefact) => [artefact.path, artefact]));
  for (const [path, { sha256, bytes }] of Object.entries(manifest.files)) {
    const artefact = found.get(path);
    if (!artefact) throw invalid(`${manifestName} names ${path}, which is not there`);
    if (bytes !== undefined && bytes !== artefact.bytes)
      throw invalid(`${path} has ${artefact.bytes} bytes; ${manifestName} says ${bytes}`);
    if (sha256 !== artefact.sha256) throw invalid(`${path} does not have the hash that ${manifestName} names`);
  }
}

/** @throws ApplianceError `model_invalid` when it is no JSON object */
export function readMetrics(bytes: Buffer | undefined): Record<string, number> {
  if (bytes === undefined) return {};
  try {
    const value: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
    if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new SyntaxError('it is no object');
    return Object.fromEntries([...numbersIn(value, '', 0)].slice(0, mostMetrics));
  } catch (error) {
    throw invalid(`${metricsName} cannot be used: ${messageOf(error)}`);
  }
}

/** `{latency_ms: {p50: 4}}` is the number `latency_ms.p50`. */
function* numbersIn(value: object, prefix: string, depth: number): Generator<[string, number]> {
  for (const [key, inner] of Object.entries(value)) {
    const name = prefix === '' ? key : `${prefix}.${key}`;
    if (name.length > 200 || depth > 8) continue;
    if (typeof inner === 'number') yield [name, inner];
    else if (typeof inner === 'object' && inner !== null && !Array.isArray(inner))
      yield* numbersIn(inner, name, depth + 1);
  }
}

export function metadataOf(manifest: Manifest): ModelMetadata {
  return {
    features: manifest.features ?? [],
    libraries: manifest.libraries ?? {},
    algorithm: typeof manifest.algorithm === 'string' ? manifest.algorithm : null,
    trainedAt: manifest.created_at ?? null,
  };
}
