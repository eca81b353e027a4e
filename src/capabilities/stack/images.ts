import { createHash } from 'node:crypto';
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

/** What an image of a release is made from. */
export interface ImageOrigin {
  readonly tag: string;
  readonly commit: string;
  /** Directory of the release's files, to which the paths of a build lead. */
  readonly directory: string;
  readonly project: Project;
}

/**
 * By what an image of a release is known to a release of the same commit on another host, whose id is another one because
 * its environment is: the tag, and a hash of the commit and of the name in the Compose file, or of service and build as
 * Compose resolves it. A build that gets another argument from the environment there is another image.
 */
export function imageKey({ tag, commit, directory, project }: ImageOrigin, { builtBy, ref }: ImagePlan): string {
  const { tags: _movable, ...build } = builtBy === null ? {} : (modelOf(project, { name: builtBy }).build ?? {});
  const from =
    builtBy === null ? `pull ${ref}` : `build ${builtBy} ${JSON.stringify(build).replaceAll(directory, '.')}`;
  const hash = createHash('sha256').update(`${commit}\n${from}`).digest('hex');
  return `${tag}.${hash.slice(0, 20)}`;
}

/** Our name for an image that a bundle has brought. */
export function bundledImage(applianceName: string, key: string): string {
  return `appliance.local/${applianceName}/bundled:${key}`;
}

/** Whether a name is one that `bundledImage` has given for a tag, and not for one that begins like it. */
export function isBundled(name: string, applianceName: string, tag: string): boolean {
  const start = bundledImage(applianceName, `${tag}.`);
  return name.startsWith(start) && /^[0-9a-f]{20}$/.test(name.slice(start.length));
}
