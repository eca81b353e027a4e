import type { PolicyAlert, PolicyRule } from '../../../config/policy.ts';
import { limitNames } from '../../../config/policy.ts';

type Bound = number | readonly [number, number];

/** The limit of a condition: exactly one, as the checks of a policy have made sure. */
export interface Limit {
  readonly word: (typeof limitNames)[number];
  readonly bound: Bound;
}

/** @throws RangeError for a condition without a limit, which no checked policy has */
export function limitOf(condition: PolicyRule | PolicyAlert): Limit {
  for (const word of limitNames) {
    const bound = condition[word];
    if (bound !== undefined) return { word, bound };
  }
  throw new RangeError(`condition ${condition.id} has no limit`);
}

/** The one number that matters most of a limit: of an interval its lower end. */
export function edgeOf({ bound }: Limit): number {
  return typeof bound === 'number' ? bound : bound[0];
}

/** What is known of a value: where it lies, and the best single guess. */
export interface Range {
  readonly low: number;
  readonly high: number;
  readonly estimate: number;
}

/** Whether a limit holds for a value; null while its range reaches over the limit. */
export function holds({ word, bound }: Limit, { low, high, estimate }: Range): boolean | null {
  if (typeof bound !== 'number') {
    const [from, to] = bound;
    if (high < from || low > to) return false;
    return low >= from && estimate <= to ? true : estimate < from || estimate > to || low < from ? null : true;
  }
  const [yes, no] = {
    above: [low > bound, high <= bound],
    atLeast: [low >= bound, high < bound],
    below: [high < bound, low >= bound],
    atMost: [high <= bound, low > bound],
    between: [false, false],
  }[word];
  return yes ? true : no ? false : null;
}
