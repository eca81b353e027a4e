import { z } from 'zod';
import { ApplianceError } from '../../../lib/errors.ts';
import { defineStep, type StepContext } from '../../../operations/step.ts';
import { type ImagePlan, imagesModel, plannedImages } from '../images.ts';
import { modelText } from '../model.ts';
import { type StackDeps, type StackRelease, writeModel } from './deps.ts';

/**
 * Builds what the release builds and pulls what is not on the host, each under a name that belongs to the release.
 * What is there already is left alone, so a build that was cut short goes on where it stopped.
 */
export function buildImages(deps: StackDeps) {
  const plansOf = (release: StackRelease) => plannedImages(deps.name, release.id, release.project);
  return defineStep({
    action: 'build-images',
    args: z.object({ release: z.string() }),
    async apply({ release: id }, context) {
      const release = await deps.release(id);
      const plans = plansOf(release);
      const missing = await missingImages(deps, release, plans, context);
      const builds = missing.filter(({ builtBy }) => builtBy !== null);
      const pulls = await notOnHost(deps, missing);
      if (builds.length > 0 || pulls.length > 0) await obtain(deps, release, { builds, pulls, all: missing }, context);
      await nameAll(deps, missing);
      await seal(deps, release, plans);
      return builds.length + pulls.length === 0
        ? 'all images were there'
        : `built ${builds.length}, pulled ${pulls.length}, found ${plans.length - builds.length - pulls.length}`;
    },
    async verify({ release: id }) {
      const release = await deps.release(id);
      const plans = plansOf(release);
      const problems: string[] = [];
      for (const { name, services } of plans) {
        const image = await deps.engine.image(name);
        if (!image) problems.push(`${name} is missing`);
        for (const service of services)
          if (image && release.imageIds[service] !== image.id) problems.push(`${name} is not the image of ${service}`);
      }
      return {
        id: 'images',
        verdict: problems.length === 0 ? 'pass' : 'fail',
        observed: problems.length === 0 ? `${plans.length} images` : problems.join('; '),
        samples: plans.length,
      };
    },
  });
}

/**
 * Images that are not there under the release's own name, or that somebody has given that name since, and that no bundle
 * has brought.
 */
async function missingImages(
  deps: StackDeps,
  release: StackRelease,
  plans: readonly ImagePlan[],
  { progress }: StepContext,
): Promise<ImagePlan[]> {
  const missing: ImagePlan[] = [];
  for (const plan of plans) {
    const [service = ''] = plan.services;
    const sealed = release.imageIds[service];
    const named = await deps.engine.image(plan.name);
    if (named && (sealed === undefined || sealed === named.id)) continue;
    // The name is gone or moved; the image may still be there under its id.
    if (sealed !== undefined && (await deps.engine.image(sealed))) await deps.engine.tagImage(sealed, plan.name);
    else if (await fromBundle(deps, release, plan))
      progress(`the image of ${plan.services[0]} is the one of the bundle`);
    else missing.push(plan);
  }
  return missing;
}

/** @returns whether a bundle has brought the image; it has the release's name then */
async function fromBundle(deps: StackDeps, release: StackRelease, plan: ImagePlan): Promise<boolean> {
  const bundled = deps.bundled?.(release, plan);
  if (bundled === undefined || !(await deps.engine.image(bundled))) return false;
  await deps.engine.tagImage(bundled, plan.name);
  return true;
}

async function notOnHost(deps: StackDeps, plans: readonly ImagePlan[]): Promise<ImagePlan[]> {
  const absent: ImagePlan[] = [];
  for (const plan of plans) if (plan.builtBy === null && !(await deps.engine.image(plan.ref))) absent.push(plan);
  return absent;
}

interface Wanted {
  readonly builds: readonly ImagePlan[];
  readonly pulls: readonly ImagePlan[];
  readonly all: readonly ImagePlan[];
}

async function obtain(
  deps: StackDeps,
  release: StackRelease,
  { builds, pulls, all }: Wanted,
  context: StepContext,
): Promise<void> {
  const model = imagesModel(deps.name, release.project, all);
  const planned = { projectName: `${deps.name}-images`, text: modelText(model) };
  await deps.compose.endOrphans(planned.projectName, deps.modelDirectory);
  const call = {
    ...(await writeModel(deps, 'images.json', planned, context, release.secrets)),
    timeout: deps.timeouts.build,
  };
  const names = (plans: readonly ImagePlan[]) => plans.map(({ builtBy, services }) => builtBy ?? services[0] ?? '');
  if (pulls.length > 0) await deps.compose.pull({ ...call, services: names(pulls) });
  // Bases that the builds name as images of other services are there by now.
  if (builds.length > 0) await deps.compose.build({ ...call, services: names(builds) });
}

/** Gives pulled images a name of ours too, so that nobody's prune takes a rollback target. */
async function nameAll(deps: StackDeps, plans: readonly ImagePlan[]): Promise<void> {
  for (const { builtBy, ref, name } of plans) if (builtBy === null) await deps.engine.tagImage(ref, name);
}

async function seal(deps: StackDeps, release: StackRelease, plans: readonly ImagePlan[]): Promise<void> {
  const images: Record<string, { ref: string; id: string; bytes: number }> = {};
  for (const { name, services, builtBy, ref } of plans) {
    const image = await deps.engine.image(name);
    if (!image) throw new ApplianceError('build_failed', `the build of ${name} ended well, but there is no such image`);
    for (const service of services)
      images[service] = { ref: builtBy === null ? ref : name, id: image.id, bytes: image.bytes };
  }
  await deps.sealImages(release.id, images);
}
