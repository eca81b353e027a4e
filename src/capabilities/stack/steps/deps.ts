import { join } from 'node:path';
import type { Compose, ComposeCall } from '../../../host/compose.ts';
import { withoutSecrets } from '../../../host/compose-errors.ts';
import type { Engine } from '../../../host/docker.ts';
import { ensureDirectory, writeFileAtomic } from '../../../host/files.ts';
import type { Colour } from '../../../lib/colour.ts';
import type { DrainWish } from '../../../lib/drain.ts';
import type { StepContext } from '../../../operations/step.ts';
import type { PlannedProject } from '../colour-model.ts';
import type { ImagePlan } from '../images.ts';
import type { Project } from '../project.ts';
import type { Subnets } from '../subnets.ts';

/** The part of the engine that the stack uses. */
export type StackEngine = Pick<
  Engine,
  | 'containers'
  | 'inspect'
  | 'image'
  | 'tagImage'
  | 'start'
  | 'unpause'
  | 'connect'
  | 'disconnect'
  | 'restart'
  | 'stop'
  | 'remove'
  | 'exec'
  | 'logs'
  | 'volumes'
  | 'removeVolume'
>;

/** What a step needs to know of a release. */
export interface StackRelease {
  readonly id: string;
  readonly tag: string;
  /** Frozen, with its paths where the release lies now. */
  readonly project: Project;
  /** Service → image id; empty before the images are built. */
  readonly imageIds: Readonly<Record<string, string>>;
  /** Values that no error may show. */
  readonly secrets: readonly string[];
}

/** Service → image as it was built or pulled. */
export type BuiltImages = Readonly<
  Record<string, { readonly ref: string; readonly id: string; readonly bytes: number }>
>;

/** What the steps of the stack act on. */
export interface StackDeps {
  /** Name of the appliance. */
  readonly name: string;
  readonly compose: Compose;
  readonly engine: StackEngine;
  /** Private directory for the Compose models that are in force. */
  readonly modelDirectory: string;
  /** Milliseconds. */
  readonly timeouts: {
    readonly build: number;
    readonly migrate: number;
    /** For the core to become healthy. */
    readonly core: number;
    /** For a service of a colour that others wait for. */
    readonly health: number;
  };
  release(id: string): Promise<StackRelease>;
  /** The name that an image bears if a bundle has brought it. Absent: there are no bundles. */
  readonly bundled?: ((release: StackRelease, plan: ImagePlan) => string) | undefined;
  /** Remembers that the migration of a release has come to a good end. */
  migrated(release: StackRelease): void;
  /** Remembers the images of a release. */
  sealImages(id: string, images: BuiltImages): Promise<void>;
  /**
   * The core project as a release wants it.
   * @param release null before the first deploy: the edge alone
   */
  core(release: string | null): Promise<PlannedProject>;
  subnets(): Promise<Subnets>;
  /**
   * Lets a colour finish what it is answering, then stops it, and remembers who was still connected. Absent: whoever is
   * stopped gets the whole limit to finish by itself.
   * @returns what became of the requests, for people
   */
  readonly drain?: ((wish: DrainWish, context: StepContext) => Promise<string>) | undefined;
  /** The release and colour that users get, as recorded; null before the first deploy. */
  live(): { readonly release: string; readonly colour: Colour } | null;
}

/** Writes a model of ours and says how to call Compose with it. The file holds secrets: mode 0600. */
export async function writeModel(
  deps: StackDeps,
  file: string,
  planned: Pick<PlannedProject, 'projectName' | 'text'>,
  context: StepContext,
  secrets: readonly string[],
): Promise<ComposeCall> {
  await ensureDirectory(deps.modelDirectory, 0o700);
  const path = join(deps.modelDirectory, file);
  await writeFileAtomic(path, planned.text, 0o600);
  return {
    projectName: planned.projectName,
    directory: deps.modelDirectory,
    files: [path],
    envFile: 'none',
    signal: context.signal,
    onLine: (line) => context.progress(withoutSecrets(line.trim(), secrets)),
    secrets,
  };
}

/** Flags of every `up`: nothing is built or pulled behind a release's back, nothing foreign is left in the project. */
export const upFlags = ['--no-build', '--pull=never', '--remove-orphans'] as const;

/** Flags of an `up` of some services of a project. */
export const stageFlags = ['--no-build', '--pull=never'] as const;

/** Flags of an `up` that leaves alone what runs. */
export const startMissingFlags = ['--no-build', '--pull=never', '--no-recreate'] as const;
