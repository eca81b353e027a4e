import { createHash } from 'node:crypto';
import { type Route, routeSchema } from '../../lib/routes.ts';
import { formatBytes, formatDuration } from '../../lib/units.ts';
import type { Manifest, SealedImages } from './manifest.ts';

export interface Change {
  readonly area: 'image' | 'environment' | 'topology' | 'schema' | 'service' | 'volume' | 'core' | 'file' | 'commit';
  readonly name: string;
  readonly kind: 'added' | 'removed' | 'changed';
  readonly from: string | null;
  readonly to: string | null;
}

export interface ReleaseView {
  readonly manifest: Manifest;
  /** Undefined before the images are built. */
  readonly images: SealedImages | undefined;
  /** Key → sha256 of the value. */
  readonly environment: Readonly<Record<string, string>>;
}

const nothing: ReleaseView = {
  manifest: {
    format: 1,
    id: '',
    tag: '',
    commit: '',
    createdAt: '',
    schema: null,
    services: [],
    routes: [],
    environment: { keys: [], sha256: '' },
    files: {},
    model: '',
  },
  images: {},
  environment: {},
};

/**
 * What differs between two releases, for people. Environment values are never shown, only that they changed.
 * @param configured routes of appliance.yaml, which hold for releases that were recorded without theirs
 */
export function diffReleases(from: ReleaseView | null, to: ReleaseView, configured: readonly Route[]): Change[] {
  const old = from ?? nothing;
  return [
    ...entries('commit', { commit: short(old.manifest.commit) }, { commit: short(to.manifest.commit) }),
    ...entries('schema', { schema: schemaOf(old) }, { schema: schemaOf(to) }),
    ...entries('service', rolesOf(old), rolesOf(to)),
    ...entries('topology', replicasOf(old), replicasOf(to)),
    ...entries('topology', routesOf(old, configured), routesOf(to, configured)).map((change) => ({
      ...change,
      from: routeText(change.from),
      to: routeText(change.to),
    })),
    ...entries('image', imagesOf(old, to), imagesOf(to, old)),
    ...entries('environment', old.environment, to.environment).map((change) => ({ ...change, from: null, to: null })),
    ...entries('file', old.manifest.files, to.manifest.files).map((change) => ({
      ...change,
      from: short(change.from),
      to: short(change.to),
    })),
  ];
}

function entries(
  area: Change['area'],
  from: Readonly<Record<string, string | null>>,
  to: Readonly<Record<string, string | null>>,
): Change[] {
  return [...new Set([...Object.keys(from), ...Object.keys(to)])].sort().flatMap((name): Change[] => {
    const [a, b] = [from[name] ?? null, to[name] ?? null];
    if (a === b) return [];
    return [{ area, name, kind: a === null ? 'added' : b === null ? 'removed' : 'changed', from: a, to: b }];
  });
}

/**
 * Service → image. Before a release is built its image ids are not known. Then what they come from is compared: the name
 * of a pulled image, the commit of a built one; the same is no change.
 */
function imagesOf(view: ReleaseView, other: ReleaseView): Record<string, string> {
  const sameCommit = view.manifest.commit === other.manifest.commit;
  const imageOf = ({ name, built, image }: Manifest['services'][number]): string => {
    const id = shortId(view.images?.[name]?.id) ?? 'to be built';
    if (other.images?.[name] !== undefined && view.images?.[name] !== undefined) return id;
    if (built) return sameCommit ? 'built from the same commit' : id;
    return image;
  };
  return Object.fromEntries(view.manifest.services.map((service) => [service.name, imageOf(service)]));
}

const short = (hash: string | null): string | null => (hash ? hash.slice(0, 12) : null);
const shortId = (id: string | undefined): string | null => (id ? id.replace(/^sha256:/, '').slice(0, 12) : null);
const schemaOf = ({ manifest }: ReleaseView): string | null =>
  manifest.schema ? String(manifest.schema.version) : null;
const rolesOf = ({ manifest }: ReleaseView): Record<string, string> =>
  Object.fromEntries(manifest.services.map((s) => [s.name, s.role]));
const replicasOf = ({ manifest }: ReleaseView): Record<string, string> =>
  Object.fromEntries(manifest.services.filter((s) => s.role === 'app').map((s) => [s.name, `${s.replicas} ×`]));
const routesOf = ({ manifest }: ReleaseView, configured: readonly Route[]): Record<string, string> =>
  Object.fromEntries((manifest.routes ?? configured).map(({ path, ...route }) => [path, JSON.stringify(route)]));
const detailSchema = routeSchema.omit({ path: true });

/** `backend:8000, 1 min 00 s, 10.0 MiB` */
function routeText(json: string | null): string | null {
  if (json === null) return null;
  const { service, port, timeout, maxBody } = detailSchema.parse(JSON.parse(json));
  return `${service}:${port}, ${formatDuration(timeout)}, ${formatBytes(maxBody)}`;
}

/** Key → sha256 of the value: tells whether a value changed without telling the value. */
export function hashValues(environment: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(environment).map(([key, value]) => [key, createHash('sha256').update(value).digest('hex')]),
  );
}
