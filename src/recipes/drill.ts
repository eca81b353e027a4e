import type { Colour } from '../lib/colour.ts';
import type { PlannedStep } from '../operations/step.ts';
import type { Steps } from './steps.ts';

/** Milliseconds from the stop to the receipt of the alert (S1-42). */
const drillLimit = 60_000;

export interface DrillFacts {
  readonly service: string;
  /** The live colour. */
  readonly colour: Colour;
  /** Milliseconds for a container to become healthy again. */
  readonly healthTimeout: number;
}

/**
 * The drill of S1-42: stop a service, prove that somebody is told within a minute, start it again. It has no pivot:
 * however it ends, also by a crash, the stop is taken back.
 */
export function planDrill({ service, colour, healthTimeout }: DrillFacts, steps: Steps): PlannedStep[] {
  const target = { service, colour, timeout: healthTimeout };
  return [
    steps.checkAlerting.plan(
      { service },
      { title: 'check that somebody would be told', cause: 'a drill that cannot succeed must not stop anything' },
    ),
    steps.stopService.plan(target, {
      title: `stop ${service} on ${colour}`,
      cause: 'the drill (S1-42)',
      deadline: healthTimeout + 60_000,
    }),
    steps.awaitReceipt.plan(
      { service, limit: drillLimit },
      { title: 'wait until the alert has been received', cause: 'within a minute (S1-42)', deadline: 2 * drillLimit },
    ),
    steps.startService.plan(target, {
      title: `start ${service} again`,
      cause: 'the drill is over',
      deadline: healthTimeout + 60_000,
    }),
  ];
}
