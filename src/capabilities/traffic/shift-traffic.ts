import { z } from 'zod';
import { nothingListens, weightsSchema } from '../../host/nginx.ts';
import { colours, type Weights } from '../../lib/colour.ts';
import { ApplianceError, asApplianceError } from '../../lib/errors.ts';
import { proofPath } from '../../lib/routes.ts';
import type { Finding } from '../../lib/verdict.ts';
import { defineStep, type StepContext, type StepType } from '../../operations/step.ts';
import { awaitArrival, awaitPreview } from './arrival.ts';
import type { TrafficParts } from './deps.ts';
import { describeWeights, moveMarker, sameWeights, saveWeights } from './weights.ts';

export interface ShiftTrafficArgs {
  readonly from: Weights;
  readonly to: Weights;
  /** Tag that every answer carries when `to` gives everything to one colour. */
  readonly release: string;
  /** A path that the release answers when it is healthy. Default: one by the routes and probes of appliance.yaml. */
  readonly path?: string | undefined;
  /** What undo goes back to, where that is not `from`: every stage of a rollout goes back to its beginning at once. */
  readonly back?: Weights | undefined;
}

const argsSchema: z.ZodType<ShiftTrafficArgs> = z.object({
  from: weightsSchema,
  to: weightsSchema,
  release: z.string(),
  path: z.string().optional(),
  back: weightsSchema.optional(),
});

/** Milliseconds for the proof that the answers come from the release. */
const arrivalTimeout = 10_000;
/** Milliseconds for the proof that the edge reaches a colour before it gets traffic. */
const previewTimeout = 5_000;
/** How often, and how far apart in milliseconds, undo tries to reach an edge that does not answer. */
const undoAttempts = 5;
const undoPause = 500;

/** Step type `shift-traffic`: changes which colour new requests get, without a reload, and proves it by requests. */
export function shiftTrafficStep(parts: TrafficParts): StepType<ShiftTrafficArgs> {
  return defineStep({
    action: 'shift-traffic',
    args: argsSchema,
    apply: (args, context) => apply(parts, args, context),
    verify: (args, context) => verify(parts, args, context),
    undo: (args, context) => undo(parts, args, context),
  });
}

async function apply(parts: TrafficParts, args: ShiftTrafficArgs, context: StepContext): Promise<string> {
  const { from, to, release } = args;
  const { signal } = context;
  await assertReachable(parts, args, context);
  // The file first: an edge that restarts between the two lines comes up with the new weights, not the old ones.
  await saveWeights(parts, to);
  try {
    const held = await parts.control.setWeights(to, signal);
    if (!sameWeights(held, to)) {
      throw new ApplianceError(
        'edge_unreachable',
        `the edge holds ${describeWeights(held)} after ${describeWeights(to)} was set`,
      );
    }
  } catch (error) {
    signal.throwIfAborted();
    await saveWeights(parts, from);
    throw unchanged(error, from);
  }
  await moveMarker(parts, to);
  if (!isWhole(to)) return describeWeights(to);
  context.progress(`waiting for answers of ${release}`);
  const objection = await awaitArrival({ ...proofOf(parts, args), within: arrivalTimeout }, signal);
  if (objection !== undefined) {
    throw new ApplianceError('step_failed', `after the shift not every answer comes from ${release}: ${objection}`, {
      hint: 'look at the log of the edge: appliance logs edge',
    });
  }
  return `${describeWeights(to)}, proven by answers of ${release}`;
}

/** What is asked for as proof that the release answers. */
function proofOf({ config, clock }: TrafficParts, { release, path }: ShiftTrafficArgs) {
  const apps = Object.entries(config.services)
    .filter(([, { role }]) => role === 'app')
    .map(([name, { probe }]) => ({ name, probe: probe ?? null }));
  return { config, clock, release, path: path ?? proofPath(config.routes, apps) };
}

/**
 * Asks for the colour through the edge while nobody else gets it: healthy containers are no proof that the edge has a
 * route to them (S0-27).
 */
async function assertReachable(
  parts: TrafficParts,
  args: ShiftTrafficArgs,
  { signal, progress }: StepContext,
): Promise<void> {
  const { from, to, release, back } = args;
  // A stage of a rollout gives its release more than it had in the beginning; any other shift gives it everything.
  const colour = colours.find((known) => (back ? to[known] > back[known] : to[known] === 100));
  if (colour === undefined || sameWeights(await weightsHeld(parts, from, signal), to)) return;
  progress(`asking ${colour} through the edge`);
  const objection = await awaitPreview({ ...proofOf(parts, args), colour, within: previewTimeout }, signal);
  if (objection === undefined) return;
  throw new ApplianceError('step_failed', `the edge does not get answers of ${release} from ${colour}: ${objection}`, {
    left: `no request was sent there; traffic stays at ${describeWeights(from)}`,
    hint: 'compare routes in appliance.yaml with where the services of the release listen, and deploy it again; look at the log of the edge: appliance logs edge; after a change of edge.http or edge.https: appliance up --core',
  });
}

async function weightsHeld(parts: TrafficParts, from: Weights, signal: AbortSignal): Promise<Weights | null> {
  try {
    return await parts.control.getWeights(signal);
  } catch (error) {
    signal.throwIfAborted();
    throw unchanged(error, from);
  }
}

function unchanged(error: unknown, from: Weights): ApplianceError {
  const { code, message, hint } = asApplianceError(error);
  return new ApplianceError(code, message, { left: `traffic stays at ${describeWeights(from)}`, hint, cause: error });
}

async function verify(parts: TrafficParts, { to }: ShiftTrafficArgs, { signal }: StepContext): Promise<Finding> {
  const held = await parts.control.getWeights(signal);
  return {
    id: 'traffic-weights',
    verdict: sameWeights(held, to) ? 'pass' : 'fail',
    observed: describeWeights(held),
    expected: describeWeights(to),
  };
}

async function undo(parts: TrafficParts, args: ShiftTrafficArgs, { clock, signal }: StepContext): Promise<void> {
  const target = args.back ?? args.from;
  await saveWeights(parts, target);
  // Before the dictionary: where the marker changes, it decides, whether nginx can be reached or not.
  await moveMarker(parts, target);
  for (let attempt = 1; ; attempt += 1) {
    try {
      await parts.control.setWeights(target, signal);
      return;
    } catch (error) {
      // An edge that does not run reads the file when it starts.
      if (nothingListens(error)) return;
      if (attempt >= undoAttempts) throw error;
      await clock.sleep(undoPause, signal);
    }
  }
}

function isWhole(weights: Weights): boolean {
  return weights.blue === 100 || weights.green === 100;
}
