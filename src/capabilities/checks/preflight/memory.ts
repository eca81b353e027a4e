import { formatBytes } from '../../../lib/units.ts';
import { type Check, fail, pass } from '../check.ts';

/** Enough memory (S1-3). @param has bytes that this host has; @param wants bytes that the policy asks for */
export function memoryCheck(has: () => number, wants: { readonly id: string; readonly atLeast: number }): Check {
  return {
    id: 'preflight.memory',
    group: 'preflight',
    requirement: [wants.id],
    about: 'memory',
    expected: `at least ${formatBytes(wants.atLeast)}`,
    hint: 'give the host more memory',
    look: async () => {
      const found = has();
      return (found >= wants.atLeast ? pass : fail)(formatBytes(found));
    },
  };
}
