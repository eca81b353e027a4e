import { execFileSync } from 'node:child_process';
import type { OperationResult } from '../../src/api/schema.ts';
import type { KillOrder } from './kill-order.ts';

/** Milliseconds into a step that takes less than it can be measured. */
const shortest = 2;

/** A point of an operation at which its agent dies. */
export interface DeathPoint {
  /** For the name of the test. */
  readonly name: string;
  readonly action: string;
  /** Place of the step in the plan; set where the plan has several of its type. */
  readonly position?: number;
  readonly state: KillOrder['state'];
  /** How far into the step, as a part of its usual duration; 0 for a boundary. */
  readonly part: number;
  /** The step that changes what users get has been begun. */
  readonly pivoted: boolean;
}

/** Of so many deaths one is died in a run. */
const oneOf = 3;
/** By the commit: three of them in a row hardly miss one, and a run that is repeated dies the same deaths. */
const which = Number.parseInt(commit().slice(-6), 16) % oneOf;

/**
 * What a run goes through of all points: a third, another one for another commit. All of them with
 * APPLIANCE_TEST_DEATHS=all, which is `./test.sh --thorough`.
 */
export function inThisRun<Point>(points: readonly Point[]): Point[] {
  if (process.env.APPLIANCE_TEST_DEATHS === 'all') return [...points];
  return points.filter((_, index) => index % oneOf === which);
}

function commit(): string {
  try {
    return execFileSync('git', ['rev-parse', 'HEAD'], {
      cwd: import.meta.dirname,
      encoding: 'utf8',
      stdio: 'pipe',
    }).trim();
  } catch {
    return '0';
  }
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
    const { step, ...which } = nameStep(steps, index);
    const about = { ...which, pivoted: pivot >= 0 && index >= pivot };
    const inside = (middles[action] ?? [0.5]).map((part) => ({
      ...about,
      name: `${Math.round(part * 100)} % into ${step}`,
      state: 'applying' as const,
      part,
    }));
    return [
      { ...about, name: `before ${step}`, state: 'applying', part: 0 },
      ...inside,
      { ...about, name: `after ${step}, not verified`, state: 'applied', part: 0 },
      { ...about, name: `after ${step}`, state: 'verified', part: 0 },
    ];
  });
  return [...planned, ...inSteps];
}

/**
 * Every point at which an agent can die while it takes an operation back: for each step that has an undo when that is
 * about to begin, in its middle, and when it is done. Last step first, as the runner goes.
 * @param begun types of the steps that were begun, in order
 * @param undone types of steps that are taken back by doing something
 */
export function everyDeathGoingBack(begun: readonly string[], undone: readonly string[]): DeathPoint[] {
  const pivoted = begun.includes('shift-traffic');
  return begun
    .flatMap((action, index): DeathPoint[] => {
      if (!undone.includes(action)) return [];
      const { step, ...which } = nameStep(begun, index);
      const about = { ...which, pivoted };
      return [
        { ...about, name: `with ${step} taken back`, state: 'undone', part: 0 },
        { ...about, name: `while ${step} is taken back`, state: 'undoing', part: 0.5 },
        { ...about, name: `before ${step} is taken back`, state: 'undoing', part: 0 },
      ];
    })
    .reverse();
}

/** What a step is called, and how it is told from others of its type. */
function nameStep(steps: readonly string[], index: number): { step: string; action: string; position?: number } {
  const action = steps[index] ?? '';
  if (steps.indexOf(action) === steps.lastIndexOf(action)) return { step: action, action };
  const nth = steps.slice(0, index + 1).filter((other) => other === action).length;
  return { step: `${action} ${nth}`, action, position: index };
}

/**
 * The order of a death point; its place inside the step comes from how long the step took on this machine.
 * @param usual an operation that nobody has killed; for a way back, with the seconds that each step takes to be undone
 */
export function orderFor(
  { action, position, state, part }: DeathPoint,
  usual: Pick<OperationResult, 'steps'>,
): KillOrder {
  const step = position === undefined ? usual.steps.find(({ name }) => name === action) : usual.steps[position];
  const seconds = step?.seconds ?? 0;
  const after = part === 0 ? 0 : Math.max(shortest, Math.round(seconds * 1_000 * part));
  return { action, ...(position === undefined ? {} : { position }), state, after };
}
