import type { ReleaseStore } from '../capabilities/releases/store.ts';
import { projectSchema, type StackRelease } from '../capabilities/stack/index.ts';
import { secretValues } from '../config/index.ts';
import { readJson } from '../host/files.ts';
import { ApplianceError } from '../lib/errors.ts';

/**
 * A release as the stack needs it, from its files.
 * @throws ApplianceError `state_corrupt` when they are gone
 */
export async function loadRelease(store: ReleaseStore, id: string): Promise<StackRelease> {
  const { tag } = store.get(id);
  const project = await readJson(store.files(id).model, projectSchema);
  if (!project) {
    throw new ApplianceError('state_corrupt', `the files of release ${id} are gone`, {
      hint: `deploy it again: appliance deploy ${tag}`,
    });
  }
  const images = (await store.images(id)) ?? {};
  const imageIds = Object.fromEntries(Object.entries(images).map(([service, image]) => [service, image.id]));
  return { id, tag, project, imageIds, secrets: secretValues(await store.environment(id)) };
}
