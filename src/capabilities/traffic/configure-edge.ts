import { z } from 'zod';
import { ensureDirectory, readIfPresent, writeFileAtomic } from '../../host/files.ts';
import { defineStep, type StepContext, type StepType } from '../../operations/step.ts';
import { changed, forget, install, reload, restore, runningGeneration, settle } from './configuration.ts';
import type { TrafficParts } from './deps.ts';
import { generationOf, renderEdge } from './render.ts';
import { type Topologies, topologiesSchema } from './topologies.ts';

export interface ConfigureEdgeArgs {
  readonly topologies: Topologies;
}

const argsSchema: z.ZodType<ConfigureEdgeArgs> = z.object({ topologies: topologiesSchema });

/** Step type `configure-edge`: tells nginx where the colours listen, by a reload where that changed, else not at all. */
export function configureEdgeStep(parts: TrafficParts): StepType<ConfigureEdgeArgs> {
  return defineStep({
    action: 'configure-edge',
    args: argsSchema,
    apply: (args, context) => apply(parts, args, context),
    undo: (args, context) => undo(parts, args, context),
  });
}

async function apply(parts: TrafficParts, args: ConfigureEdgeArgs, context: StepContext): Promise<string> {
  const done = await configure(parts, args, context);
  await recordReleases(parts, args, context.signal);
  return done;
}

/**
 * The file first, as with the weights. Never undone: only the tag of a colour without traffic can be wrong then, and the
 * next deploy to it writes it anew.
 */
async function recordReleases(
  parts: TrafficParts,
  { topologies }: ConfigureEdgeArgs,
  signal: AbortSignal,
): Promise<void> {
  const releases = { blue: topologies.blue?.release ?? null, green: topologies.green?.release ?? null };
  await ensureDirectory(parts.files.stateDirectory);
  await writeFileAtomic(parts.files.releases, `${JSON.stringify(releases)}\n`, 0o644);
  await parts.control.setReleases(releases, signal);
}

/** Makes nginx serve the configuration of these topologies; a reload where it is another. @returns a line about it */
export async function configure(
  parts: TrafficParts,
  { topologies }: ConfigureEdgeArgs,
  context: StepContext,
): Promise<string> {
  const { files } = parts;
  const { signal } = context;
  const wanted = renderEdge(parts.config, topologies);
  const generation = generationOf(wanted) ?? '';
  const installed = (await readIfPresent(files.conf)) === wanted;
  // "pending" tells a change that was cut short, whose undo still needs the previous text, from no change at all.
  const cutShort = installed && (await readIfPresent(files.pending))?.trim() === generation;
  // What an earlier change has kept for its undo is not this one's.
  if (!cutShort) await forget(parts);
  const running = await runningGeneration(parts, signal);
  if (!installed) await install(parts, wanted, signal);
  else if (running === generation && !cutShort) return 'unchanged, no reload';
  context.progress('waiting until nginx answers with the new configuration');
  try {
    await reload(parts, generation, signal);
  } catch (error) {
    // nginx goes on with the old one; so must a later start.
    if (!signal.aborted) await restore(parts);
    throw error;
  }
  await settle(parts);
  return `nginx serves generation ${generation}`;
}

async function undo(parts: TrafficParts, { topologies }: ConfigureEdgeArgs, { signal }: StepContext): Promise<void> {
  const { files } = parts;
  // Nothing was installed, or all of it is taken back: an edge that does not answer need not be waited for. A candidate
  // that was just being tested goes all the same.
  if (!(await changed(parts))) return forget(parts);
  if ((await readIfPresent(files.conf)) === renderEdge(parts.config, topologies)) await restore(parts);
  const generation = generationOf((await readIfPresent(files.conf)) ?? '');
  const running = await runningGeneration(parts, signal);
  // An edge that does not run reads the restored file when it starts.
  if (generation !== undefined && running !== undefined && running !== generation)
    await reload(parts, generation, signal);
  await forget(parts);
}
