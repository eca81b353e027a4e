import { z } from 'zod';
import type { EdgeControl } from '../../host/nginx.ts';
import { allOn, colours } from '../../lib/colour.ts';
import { ApplianceError, messageOf } from '../../lib/errors.ts';
import { defineStep, type StepContext, type StepType } from '../../operations/step.ts';
import type { RolloutDeps, Side } from './hold-stage.ts';
import { describeWeights, sameWeights } from './weights.ts';

const side = z.object({ release: z.string(), tag: z.string(), colour: z.enum(colours) });
const argsSchema = z.object({
  /** Name of the policy, and its text as it is now. */
  policy: z.string(),
  rules: z.string(),
  candidate: side,
  baseline: side.nullable(),
  /** How a release that was gone back to is proven. `every` is milliseconds. */
  verify: z.object({ attempts: z.number().int().min(1), every: z.number().min(0) }),
});
export type BeginRolloutArgs = z.output<typeof argsSchema>;

/** What is asked of the edge. */
interface Edge {
  readonly control: Pick<EdgeControl, 'getWeights'>;
}

/**
 * Step type `begin-rollout`: freezes the policy. Taken back, which happens after the traffic has moved, it proves that the
 * release that was gone back to is healthy and has all of the traffic (S0-47); where it is not, a person is needed.
 */
export function beginRollout(edge: Edge, deps: RolloutDeps): StepType<BeginRolloutArgs> {
  return defineStep({
    action: 'begin-rollout',
    args: argsSchema,
    apply: async ({ policy, rules, candidate, baseline }, { operation, clock }) => {
      const about = { operation, policy, rules, candidate: candidate.tag, baseline: baseline?.tag ?? null };
      deps.store.begin(about, clock.now());
      return `policy ${policy}`;
    },
    undo: async ({ candidate, baseline, verify }, context) => {
      if (baseline === null || deps.store.stages(context.operation).length === 0) return;
      await proveBack(edge, deps, { candidate, baseline, verify }, context);
    },
  });
}

async function proveBack(
  edge: Edge,
  deps: RolloutDeps,
  { candidate, baseline, verify }: { candidate: Side; baseline: Side; verify: BeginRolloutArgs['verify'] },
  context: StepContext,
): Promise<void> {
  let last = '';
  for (let attempt = 1; attempt <= verify.attempts; attempt += 1) {
    context.progress(`proving that ${baseline.tag} serves, ${attempt} of ${verify.attempts}`);
    last = await objection(edge, deps, baseline, context);
    if (last === '') return;
    if (attempt < verify.attempts) await context.clock.sleep(verify.every, context.signal);
  }
  throw new ApplianceError(
    'manual_intervention',
    `traffic went back to ${baseline.tag}, but it is not sound after ${verify.attempts} looks: ${last}`,
    {
      left: `${candidate.tag} still runs on ${candidate.colour}`,
      hint: `look at it (appliance ps, appliance logs) and repair ${baseline.tag}`,
    },
  );
}

/** Why a release does not serve soundly; empty when it does. */
async function objection(
  { control }: Edge,
  { healthy }: RolloutDeps,
  baseline: Side,
  context: StepContext,
): Promise<string> {
  try {
    const weights = await control.getWeights(context.signal);
    if (!sameWeights(weights, allOn(baseline.colour))) return `the edge gives ${describeWeights(weights)}`;
    const { verdict, observed } = await healthy(baseline, context);
    return verdict === 'pass' ? '' : observed;
  } catch (error) {
    context.signal.throwIfAborted();
    return messageOf(error);
  }
}
