import { count } from '../../../lib/text.ts';
import { type Check, fail, pass } from '../check.ts';

/** Enough processors (S1-3). @param has how many this host has; @param wants what the policy asks for */
export function cpuCheck(has: () => number, wants: { readonly id: string; readonly atLeast: number }): Check {
  return {
    id: 'preflight.cpu',
    group: 'preflight',
    requirement: [wants.id],
    about: 'processors',
    expected: `at least ${wants.atLeast}`,
    hint: 'give the host more processors',
    look: async () => {
      const found = has();
      return (found >= wants.atLeast ? pass : fail)(count(found, 'processor'));
    },
  };
}
