import type { Config } from '../config/schema.ts';
import { allOn, type Colour, otherColour } from '../lib/colour.ts';
import type { Topology } from '../lib/topology.ts';
import type { PlannedStep } from '../operations/step.ts';
import type { Observed, ReleaseFacts } from './facts.ts';
import type { Steps } from './steps.ts';

export interface ShiftWish {
  readonly release: ReleaseFacts;
  readonly to: Colour;
  /** Where the release listens, or would listen, on either colour. */
  readonly topologies: Readonly<Record<Colour, Topology>>;
  readonly observed: Observed;
  readonly actor: string;
  readonly config: Config;
  /** A colour whose requests get the maintenance page until the traffic has shifted. */
  readonly closed?: Colour;
  /** Sequences that the release must pass; none for a rollback, which must not wait. */
  readonly smoke?: readonly string[];
}

/** The steps that shifting takes. */
export type ShiftSteps = Pick<Steps, 'waitHealthy' | 'configureEdge' | 'shiftTraffic' | 'recordLive' | 'smoke'>;

/** From a started colour to verified traffic on it: the part that every deploy and every rollback shares. */
export function shiftSteps(wish: ShiftWish, steps: ShiftSteps): PlannedStep[] {
  const { release, to, observed } = wish;
  const { live } = observed;
  return [
    ...proveSteps(wish, steps),
    steps.shiftTraffic.plan(
      {
        from: observed.weights ?? allOn(live?.colour ?? to),
        to: allOn(to),
        release: release.tag,
        path: wish.topologies[to].proofPath,
      },
      { title: `shift traffic to ${to} (${release.tag})`, cause: `${release.tag} is to serve`, pivot: true },
    ),
    liveStep(wish, steps),
    ...smokeSteps(wish, 'edge', steps),
  ];
}

/** The smoke tests of a release, where appliance.yaml names some. */
export function smokeSteps(
  { release, to, smoke = [] }: ShiftWish,
  through: 'colour' | 'edge',
  steps: Pick<ShiftSteps, 'smoke'>,
): PlannedStep[] {
  if (smoke.length === 0) return [];
  const words = through === 'edge' ? 'through the edge' : `on ${to}`;
  return [
    steps.smoke.plan(
      { release: release.id, tag: release.tag, colour: to, through, sequences: [...smoke] },
      {
        title: `smoke test ${release.tag} ${words}`,
        cause: through === 'edge' ? 'what users get is what counts' : 'no user gets an answer that was not tried',
        deadline: 900_000,
      },
    ),
  ];
}

/** What comes before the first request. */
export function proveSteps(wish: ShiftWish, steps: ShiftSteps): PlannedStep[] {
  const { release, to, observed, config } = wish;
  const other = otherColour(to);
  // While the other colour is empty, the edge is told where this release would listen there: the next release usually
  // has the same shape, and then its deploy needs no reload.
  const there = wish.closed === other ? null : (observed.colours[other].topology ?? wish.topologies[other]);
  const topologies = { ...wish.topologies, [other]: there };
  return [
    steps.waitHealthy.plan(
      { release: release.id, colour: to, timeout: config.deploy.healthTimeout },
      {
        title: `prove that ${to} is healthy and runs ${release.tag}`,
        cause: 'no traffic goes to a colour that has not proven itself',
        deadline: config.deploy.healthTimeout + 30_000,
      },
    ),
    ...smokeSteps(wish, 'colour', steps),
    steps.configureEdge.plan(
      { topologies },
      {
        title: `tell the edge where ${to} listens`,
        cause: 'addresses and routes belong to the release; unchanged ones need no reload',
      },
    ),
  ];
}

export function liveStep({ release, to, observed: { live }, actor }: ShiftWish, steps: ShiftSteps): PlannedStep {
  return steps.recordLive.plan(
    {
      release: release.id,
      colour: to,
      actor,
      previous: live && { release: live.release, colour: live.colour, since: live.since },
    },
    { title: `record ${release.tag} as live`, cause: 'status, rollback and recovery rely on it' },
  );
}
