import { type ComposeModel, escapeDollar } from './model.ts';
import { type Project, type ProjectService, releaseImage } from './project.ts';
import { modelOf } from './transform.ts';

/** One image that a release needs. */
export interface ImagePlan {
  /** Services that run it. */
  readonly services: readonly string[];
  /** Our name for it, unique to the release. */
  readonly name: string;
  /** The service whose `build` makes it; null when it is pulled. */
  readonly builtBy: string | null;
  /** The name in the Compose file; what a pull asks for. */
  readonly ref: string;
}

/**
 * The images of a release, each once: services that share a build, or that name the image another one builds, share it.
 * @param releaseId part of our names, so that no later build can move them
 */
export function plannedImages(applianceName: string, releaseId: string, project: Project): ImagePlan[] {
  const groups = new Map<string, ProjectService[]>();
  for (const service of project.services) {
    if (service.role === 'ignore') continue;
    const key = service.builtBy === null ? `pull ${service.imageRef}` : `build ${service.builtBy}`;
    groups.set(key, [...(groups.get(key) ?? []), service]);
  }
  return [...groups.values()].flatMap((services) => {
    const [first] = services;
    if (!first) return [];
    return {
      services: services.map(({ name }) => name),
      name: releaseImage(applianceName, first.builtBy ?? first.name, releaseId),
      builtBy: first.builtBy,
      ref: first.imageRef,
    };
  });
}

/** The Compose model that builds or pulls images under the names we give them, and does nothing else. */
export function imagesModel(applianceName: string, project: Project, plans: readonly ImagePlan[]): ComposeModel {
  const services: ComposeModel['services'] = {};
  for (const { builtBy, name, ref, services: users } of plans) {
    if (builtBy === null) {
      const [user] = users;
      if (user !== undefined) services[user] = { image: escapeDollar(ref) };
      continue;
    }
    const { tags: _movable, ...build } = modelOf(project, { name: builtBy }).build ?? {};
    services[builtBy] = { image: name, build };
  }
  return {
    name: `${applianceName}-images`,
    services,
    ...(project.model.secrets === undefined ? {} : { secrets: project.model.secrets }),
  };
}
