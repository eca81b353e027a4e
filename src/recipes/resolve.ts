import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import type { NewRelease, ReleaseFiles, ReleaseRecord, ReleaseStore } from '../capabilities/releases/store.ts';
import { freezeProject, type ResolvedProject, resolveProject } from '../capabilities/stack/index.ts';
import { modelText } from '../capabilities/stack/model.ts';
import { secretValues } from '../config/environment.ts';
import type { Config } from '../config/schema.ts';
import type { Compose } from '../host/compose.ts';
import type { SourceRepository } from '../host/git.ts';
import { ApplianceError } from '../lib/errors.ts';
import { defineStep, type StepType } from '../operations/step.ts';

/** The environment file of the appliance, read anew for each release. */
interface Environment {
  readonly text: string | undefined;
  readonly values: Readonly<Record<string, string>>;
  readonly sha256: string;
}

export interface ResolveDeps {
  readonly config: Config;
  readonly repository: SourceRepository;
  readonly store: ReleaseStore;
  readonly compose: Compose;
  readonly readEnvironment: () => Promise<Environment>;
  /** Where bind mounts live that all releases share. */
  readonly persistentDirectory: string;
  /** Where a plan may look at a tag without making a release of it. */
  readonly scratchDirectory: string;
}

/** A tag as it would be deployed now. */
export interface Resolved {
  readonly commit: string;
  readonly project: ResolvedProject;
  readonly content: NewRelease['content'];
  readonly environment: Environment;
}

/** The step that makes a release out of a tag. */
export function createResolveStep(deps: ResolveDeps): StepType<{ tag: string; acceptMovedTag: boolean }> {
  return defineStep({
    action: 'resolve-release',
    args: z.object({ tag: z.string(), acceptMovedTag: z.boolean() }),
    apply: async ({ tag, acceptMovedTag }, { signal, progress }) => {
      const commit = await commitOf(deps, tag, acceptMovedTag, progress, signal);
      const release = await makeRelease(deps, tag, commit, signal);
      return `${release.id} from commit ${commit.slice(0, 12)}`;
    },
  });
}

/**
 * The commit that a tag names today.
 * @throws ApplianceError `tag_invalid`, `tag_not_found`, or `moved_tag` when a release was made from another commit
 */
export async function commitOf(
  deps: Pick<ResolveDeps, 'repository' | 'store'>,
  tag: string,
  acceptMovedTag: boolean,
  progress: (text: string) => void,
  signal: AbortSignal,
): Promise<string> {
  const unread = await deps.repository.fetch(signal);
  if (unread !== undefined) progress(`the repository cannot be read (${unread}); going on with the copy kept here`);
  const commit = await deps.repository.commitOf(tag, unread);
  const bundled = await deps.repository.bundled(tag);
  if (bundled !== undefined && bundled !== commit && !acceptMovedTag) {
    throw new ApplianceError(
      'moved_tag',
      `tag ${tag} names commit ${commit.slice(0, 12)} in the repository, but ${bundled.slice(0, 12)} in the bundle that was loaded`,
      {
        left: 'nothing was touched',
        hint: `to deploy what the repository has: appliance deploy ${tag} --accept-moved-tag`,
      },
    );
  }
  const known = deps.store.ofTag(tag);
  if (known && known.commit !== commit && !acceptMovedTag) {
    throw new ApplianceError(
      'moved_tag',
      `tag ${tag} now names commit ${commit.slice(0, 12)}, but the release was made from ${known.commit.slice(0, 12)}`,
      { left: 'nothing was touched', hint: `if that is intended: appliance deploy ${tag} --accept-moved-tag` },
    );
  }
  return commit;
}

/** Looks at a tag in a scratch directory and leaves nothing behind. */
export async function peek(deps: ResolveDeps, tag: string, commit: string, signal: AbortSignal): Promise<Resolved> {
  await mkdir(deps.scratchDirectory, { recursive: true, mode: 0o700 });
  const directory = await mkdtemp(join(deps.scratchDirectory, 'plan-'));
  try {
    return await resolveInto(deps, directory, tag, commit, signal);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

function makeRelease(deps: ResolveDeps, tag: string, commit: string, signal: AbortSignal): Promise<ReleaseRecord> {
  return deps.store.add(tag, commit, async (staging: ReleaseFiles) => {
    const { project, content, environment } = await resolveInto(deps, staging.source, tag, commit, signal);
    const { config, persistentDirectory } = deps;
    const frozen = await freezeProject({
      config,
      project,
      checkout: staging.source,
      directory: staging.directory,
      persistentDirectory,
    });
    return {
      content,
      environment: environment.values,
      model: (now, final) => modelText(frozen).replaceAll(now.directory, final.directory),
    };
  });
}

async function resolveInto(
  deps: ResolveDeps,
  checkout: string,
  tag: string,
  commit: string,
  signal: AbortSignal,
): Promise<Resolved> {
  const environment = await deps.readEnvironment();
  await deps.repository.export(commit, checkout, signal);
  const project = await resolveProject({
    config: deps.config,
    checkout,
    tag,
    envText: environment.text,
    composeResolve: (call) => deps.compose.resolve(call),
    secrets: secretValues(environment.values),
    signal,
  });
  const content: NewRelease['content'] = {
    schema: project.schema,
    services: project.services.map(({ name, role, replicas, imageRef, builtBy }) => ({
      name,
      role,
      replicas,
      image: imageRef,
      built: builtBy !== null,
    })),
    routes: project.routes,
    environment: { keys: Object.keys(environment.values).sort(), sha256: environment.sha256 },
    files: project.files,
    // Where the checkout happens to be is not part of what the release is.
    model: createHash('sha256').update(modelText(project.model).replaceAll(checkout, '.')).digest('hex'),
  };
  return { commit, project, content, environment };
}
