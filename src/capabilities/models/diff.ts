import { formatBytes } from '../../lib/units.ts';
import type { Artefact, ModelVersion } from './registry-types.ts';

export interface ModelChange {
  readonly area: 'metric' | 'feature' | 'library' | 'file' | 'size' | 'algorithm';
  readonly name: string;
  readonly kind: 'added' | 'removed' | 'changed';
  readonly from: string | null;
  readonly to: string | null;
}

type Compared = Pick<ModelVersion, 'metrics' | 'metadata' | 'bytes'> & { readonly artefacts: readonly Artefact[] };

/** What differs between two versions: metrics, features, libraries, algorithm, files and sizes. Pure. */
export function diffVersions(from: Compared, to: Compared): ModelChange[] {
  const features = (version: Compared) => Object.fromEntries(version.metadata.features.map((name) => [name, 'used']));
  const files = (version: Compared) =>
    Object.fromEntries(
      version.artefacts.map(({ path, sha256, bytes }) => [path, `${sha256.slice(0, 12)}, ${formatBytes(bytes)}`]),
    );
  const numbers = ({ metrics }: Compared) =>
    Object.fromEntries(Object.entries(metrics).map(([name, value]) => [name, String(value)]));
  const rest = (version: Compared) =>
    version.metadata.algorithm === null ? {} : { algorithm: version.metadata.algorithm };
  return [
    ...changes('metric', numbers(from), numbers(to)),
    ...changes('feature', features(from), features(to)),
    ...changes('library', from.metadata.libraries, to.metadata.libraries),
    ...changes('algorithm', rest(from), rest(to)),
    ...changes('file', files(from), files(to)),
    ...changes('size', { all: formatBytes(from.bytes) }, { all: formatBytes(to.bytes) }),
  ];
}

type Named = Readonly<Record<string, string>>;

function changes(area: ModelChange['area'], from: Named, to: Named): ModelChange[] {
  const names = [...new Set([...Object.keys(from), ...Object.keys(to)])].sort();
  return names.flatMap((name): ModelChange[] => {
    const [before = null, after = null] = [from[name], to[name]];
    if (before === after) return [];
    const kind = before === null ? 'added' : after === null ? 'removed' : 'changed';
    return [{ area, name, kind, from: before, to: after }];
  });
}
