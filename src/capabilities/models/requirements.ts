import { matchesGlob } from 'node:path';
import type { Policy } from '../../config/policy.ts';
import type { Finding } from '../../lib/verdict.ts';
import type { Manifest } from './manifest.ts';
import { manifestName } from './manifest.ts';
import type { Artefact, ModelMetadata } from './registry-types.ts';

/** What a version shows of itself before it is registered. */
export interface Offered {
  readonly manifest: Manifest;
  readonly artefacts: readonly Artefact[];
  readonly metadata: ModelMetadata;
  readonly metrics: Readonly<Record<string, number>>;
}

/**
 * Whether a version has what a policy asks of its files and metadata (S1-31, S2-4, S3-6, S3-15). Pure.
 * @returns one finding for each demand
 */
export function checkRequirements({ files, metadata }: Policy['models'], offered: Offered): Finding[] {
  const { artefacts } = offered;
  const has = (pattern: string) => artefacts.some(({ path }) => path === pattern || matchesGlob(path, pattern));
  const known: Readonly<Record<(typeof metadata)[number]['has'], boolean>> = {
    features: offered.metadata.features.length > 0,
    libraries: Object.keys(offered.metadata.libraries).length > 0,
    metrics: Object.keys(offered.metrics).length > 0,
    checksums: artefacts.every(({ path }) => path === manifestName || Object.hasOwn(offered.manifest.files, path)),
  };
  return [
    ...files.map(({ id, names, atLeast }): Finding => {
      const missing = names.filter((name) => !has(name));
      const enough = artefacts.length >= atLeast;
      return {
        id,
        verdict: missing.length === 0 && enough ? 'pass' : 'fail',
        observed: missing.length > 0 ? `without ${missing.join(', ')}` : `${artefacts.length} files`,
        expected: [...names, ...(atLeast > 0 ? [`at least ${atLeast} files`] : [])].join(', '),
        samples: artefacts.length,
      };
    }),
    ...metadata.map(
      ({ id, has: what }): Finding => ({
        id,
        verdict: known[what] ? 'pass' : 'fail',
        observed: known[what] ? `${what} are there` : `without ${what}`,
        expected: what,
      }),
    ),
  ];
}
