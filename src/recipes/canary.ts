import { z } from 'zod';
import { allOn, type Colour, otherColour, type Weights } from '../lib/colour.ts';
import { durationText } from '../lib/units.ts';
import type { PlannedStep } from '../operations/step.ts';
import { liveStep, proveSteps, type ShiftSteps, type ShiftWish, smokeSteps } from './shift.ts';
import type { Side, Steps } from './steps.ts';

/** What a planner needs of a policy. Times are milliseconds; `ids` name the demands that a value comes from. */
export interface RolloutPolicy {
  readonly name: string;
  /** The whole policy as text, for the journal. */
  readonly rules: string;
  /** Shares of traffic, rising; none: straight to all of it. */
  readonly stages: readonly RolloutStage[];
  /** Copies of requests before the first share. Left out: none. */
  readonly shadow?: { readonly share: number; readonly for: number; readonly every: number } & Ids;
  /** How long a release that has all traffic is watched. */
  readonly bake: Omit<RolloutStage, 'weight'> | null;
  /** How often, and how far apart, the old release is asked after a rollback. */
  readonly verifyRollback: { readonly attempts: number; readonly every: number };
  /** How long requests in flight may take before the old colour is stopped. */
  readonly drain: number | null;
}

interface RolloutStage {
  /** Share of the new release, 1 to 100. */
  readonly weight: number;
  readonly for: number;
  readonly every: number;
  readonly minRequests: number;
  /** How much longer than `for` it may stay inconclusive. */
  readonly patience: number;
  readonly ids: readonly string[];
}

type Ids = Pick<RolloutStage, 'ids'>;

type RolloutSteps = ShiftSteps & Pick<Steps, 'beginRollout' | 'holdStage' | 'shadowTraffic'>;

/**
 * A step may be held for ever by `pause`; this only ends what nobody came back for. Two weeks, in milliseconds: timers of
 * Node.js end at 24.8 days.
 */
const longestHold = 14 * 86_400_000;

/** From a started colour to a release that its policy has passed: shares that rise, each watched, then all of it. Pure. */
export function canarySteps(
  wish: ShiftWish,
  baseline: Side,
  policy: RolloutPolicy,
  steps: RolloutSteps,
): PlannedStep[] {
  const { release, to, observed } = wish;
  const candidate = { release: release.id, tag: release.tag, colour: to };
  const back = allOn(baseline.colour);
  const last = { ...(policy.stages.at(-1) ?? direct), weight: 100 };
  const stages = [...policy.stages.slice(0, -1), last];
  const hold = (position: number, kind: 'stage' | 'bake', stage: RolloutStage, title: string, cause: string) =>
    steps.holdStage.plan(
      {
        position,
        kind,
        candidate,
        baseline,
        weight: stage.weight,
        duration: stage.for,
        every: stage.every,
        patience: stage.patience,
        minRequests: stage.minRequests,
      },
      { title: `${title}${idsOf(stage)}`, cause, deadline: longestHold },
    );
  // Stages are counted from where the copies, if there are any, end.
  const { shadow } = policy;
  const first = shadow ? 1 : 0;
  // A stage that is not held is none that anybody could see, pause or pass: it is not counted.
  let held = first;
  let from: Weights = observed.weights ?? back;
  const rollout = stages.flatMap((stage, position) => {
    const share = shareOf(to, stage.weight);
    const shift = steps.shiftTraffic.plan(
      { from, to: share, release: release.tag, path: wish.topologies[to].proofPath, back },
      {
        title: `give ${stage.weight} % to ${to} (${release.tag})`,
        cause: position === 0 ? `${release.tag} is to serve` : 'the stage before has passed',
        pivot: true,
      },
    );
    from = share;
    return [
      shift,
      ...(stage.weight === 100 ? [liveStep(wish, steps), ...smokeSteps(wish, 'edge', steps)] : []),
      ...(stage.for > 0
        ? [hold(held++, 'stage', stage, `hold ${stage.weight} % for ${durationText(stage.for)}`, watched)]
        : []),
    ];
  });
  const { bake } = policy;
  return [
    ...proveSteps(wish, steps),
    steps.beginRollout.plan(
      { policy: policy.name, rules: policy.rules, candidate, baseline, verify: policy.verifyRollback },
      {
        title: `hold ${baseline.tag} ready, policy ${policy.name}`,
        cause: 'a failed analysis goes back to it by itself, and proves that it serves (S0-47)',
        deadline: policy.verifyRollback.attempts * (policy.verifyRollback.every + 10_000) + 60_000,
      },
    ),
    ...(shadow
      ? [
          steps.shadowTraffic.plan(
            {
              position: 0,
              candidate,
              baseline,
              topology: wish.topologies[to],
              share: shadow.share,
              duration: shadow.for,
              every: shadow.every,
            },
            {
              title: `copy ${shadow.share} % of the requests to ${to} for ${durationText(shadow.for)}${idsOf(shadow)}`,
              cause: 'answers are compared before anybody gets one of them',
              // A crash from here on is no reason to begin anew.
              pivot: true,
              deadline: longestHold,
            },
          ),
        ]
      : []),
    ...rollout,
    ...(bake
      ? [
          hold(
            held,
            'bake',
            { ...bake, weight: 100 },
            `watch ${to} for ${durationText(bake.for)}`,
            'some failures show only under all of the traffic',
          ),
        ]
      : []),
  ];
}

/** Milliseconds that a planned step lasts at least because a policy says so; null for every other step. */
export function holdTime({ action, args }: Pick<PlannedStep, 'action' | 'args'>): number | null {
  if (action !== 'hold-stage' && action !== 'shadow-traffic') return null;
  const held = z.object({ duration: z.number() }).safeParse(args);
  return held.success ? held.data.duration : null;
}

const watched = 'all gates must pass; a trigger takes it back at once';

/** All traffic at once, as without a policy. */
const direct: RolloutStage = { weight: 100, for: 0, every: 1_000, minRequests: 0, patience: 0, ids: [] };

function shareOf(colour: Colour, weight: number): Weights {
  const other = otherColour(colour);
  const shares = { [colour]: weight, [other]: 100 - weight };
  return { blue: shares.blue ?? 0, green: shares.green ?? 0 };
}

function idsOf({ ids }: Ids): string {
  return ids.length === 0 ? '' : ` (${ids.join(', ')})`;
}
