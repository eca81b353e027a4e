import { createHash } from 'node:crypto';
import { type Manifest, manifestSchema } from './manifest.ts';

const contentSchema = manifestSchema.omit({ format: true, id: true, createdAt: true });

/**
 * What a release is, as one value: a hash over its tag, commit and everything it is made of, whenever and wherever that was
 * put together. Approvals and sign-offs belong to it.
 * @returns `sha256:` and 64 hex digits
 */
export function releaseDigest(release: Omit<Manifest, 'format' | 'id' | 'createdAt'>): string {
  const content = contentSchema.parse(JSON.parse(JSON.stringify(release)));
  return `sha256:${createHash('sha256').update(inOrder(content)).digest('hex')}`;
}

/** JSON with the keys of every object in their order. */
function inOrder(value: unknown): string {
  return JSON.stringify(value, (_, inner: unknown) =>
    typeof inner === 'object' && inner !== null && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)))
      : inner,
  );
}
