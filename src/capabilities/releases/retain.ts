import { z } from 'zod';
import type { Engine } from '../../host/docker.ts';
import { formatBytes } from '../../lib/units.ts';
import { defineStep } from '../../operations/step.ts';
import { decideRetention, type RetentionCandidate } from './retention.ts';
import type { ReleaseState } from './state.ts';
import type { ReleaseStore } from './store.ts';

export interface RetainDeps {
  readonly store: ReleaseStore;
  readonly engine: Pick<Engine, 'images' | 'removeImage'>;
  /** Names that images bear for the sake of a release: `appliance.local/<name>/*`. */
  readonly imagePattern: string;
  /** Whether a bundle has brought the image of that name for a tag. */
  readonly isBundled: (name: string, tag: string) => boolean;
  /** What each of some releases is. */
  readonly standings: (ids: readonly string[]) => Promise<(id: string) => { readonly state: ReleaseState }>;
  readonly limits: { readonly releases: number; readonly bytes: number };
}

/**
 * Removes the images of releases that retention lets go. Only names that belong to such a release are removed; an image
 * that another release or a container shares stays, because the engine refuses or it keeps its other names.
 */
export function retain(deps: RetainDeps) {
  return defineStep({
    action: 'retain',
    args: z.object({}),
    apply: async (_, { progress }) => {
      const decisions = decideRetention(await candidates(deps), deps.limits);
      let freed = 0;
      for (const { id, tag } of decisions.filter(({ keep }) => !keep)) {
        progress(`removing the images of ${tag}`);
        freed += await removeImages(deps, (name) => name.endsWith(`:${id}`));
        // Another release of the tag may still be made from them.
        if (decisions.some((other) => other.keep && other.tag === tag)) continue;
        freed += await removeImages(deps, (name) => deps.isBundled(name, tag));
      }
      await forgetUnused(deps);
      const gone = decisions.filter(({ keep }) => !keep).map(({ tag }) => tag);
      return gone.length === 0
        ? 'nothing to remove'
        : `removed the images of ${gone.join(', ')} (up to ${formatBytes(freed)})`;
    },
  });
}

async function candidates({ store, standings }: RetainDeps): Promise<RetentionCandidate[]> {
  const releases = store.all();
  const standing = await standings(releases.map(({ id }) => id));
  return Promise.all(
    releases.map(async ({ id, tag, pinned, deployedAt }) => {
      const images = (await store.images(id)) ?? {};
      const unique = new Map(Object.values(images).map((image) => [image.id, image.bytes]));
      const bytes = [...unique.values()].reduce((sum, size) => sum + size, 0);
      return { id, tag, pinned, deployedAt, bytes, state: standing(id).state };
    }),
  );
}

async function removeImages({ engine, imagePattern }: RetainDeps, chosen: (name: string) => boolean): Promise<number> {
  let freed = 0;
  for (const { tags, bytes } of await engine.images(imagePattern)) {
    for (const name of tags.filter(chosen)) {
      if (await engine.removeImage(name)) freed += bytes;
    }
  }
  return freed;
}

/** Releases that were resolved but never deployed, except the newest of each tag. */
async function forgetUnused({ store }: RetainDeps): Promise<void> {
  for (const release of store.all()) {
    if (release.deployedAt === null && !release.pinned && store.ofTag(release.tag)?.id !== release.id)
      await store.forget(release.id);
  }
}
