import type { OperationResult } from '../../src/api/schema.ts';
import type { KillOrder } from './kill-order.ts';

/** Milliseconds into a step that takes less than it can be measured. */
const shortest = 2;

/** A point of an operation at which its agent dies. */
export interface DeathPoint {
  /** For the name of the test. */
  readonly name: string;
  readonly action: string;
  readonly state: KillOrder['state'];
  /** How far into the step, as a part of its usual duration; 0 for a boundary. */
  readonly part: number;
  /** The step that changes what users get has been begun. */
  readonly pivoted: boolean;
}

/**
 * Every point at which an agent can die in an operation: with its plan in the journal, and for each step when it is about
 * to begin, in its middle, when it is applied and when it is verified.
 * @param steps types of the steps, in order
 * @param middles parts of a step's duration at which to strike, where once in the middle is not enough
 */
export function everyDeath(
  steps: readonly string[],
  middles: Readonly<Record<string, readonly number[]>> = {},
): DeathPoint[] {
  const pivot = steps.indexOf('shift-traffic');
  const planned: DeathPoint[] = steps
    .slice(0, 1)
    .map((action) => ({ name: 'with its plan made', action, state: 'planned', part: 0, pivoted: false }));
  const inSteps = steps.flatMap((action, index): DeathPoint[] => {
    const about = { action, pivoted: pivot >= 0 && index >= pivot };
    const inside = (middles[action] ?? [0.5]).map((part) => ({
      ...about,
      name: `${Math.round(part * 100)} % into ${action}`,
      state: 'applying' as const,
      part,
    }));
    return [
      { ...about, name: `before ${action}`, state: 'applying', part: 0 },
      ...inside,
      { ...about, name: `after ${action}, not verified`, state: 'applied', part: 0 },
      { ...about, name: `after ${action}`, state: 'verified', part: 0 },
    ];
  });
  return [...planned, ...inSteps];
}

/** The order of a death point; its place inside the step comes from how long the step took on this machine. */
export function orderFor({ action, state, part }: DeathPoint, usual: OperationResult): KillOrder {
  const seconds = usual.steps.find(({ name }) => name === action)?.seconds ?? 0;
  return { action, state, after: part === 0 ? 0 : Math.max(shortest, Math.round(seconds * 1_000 * part)) };
}
