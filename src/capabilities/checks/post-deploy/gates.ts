import type { Finding } from '../../../lib/verdict.ts';
import { type Check, inconclusive } from '../check.ts';

/**
 * What a policy asks of a release while it is rolled out must go on holding: clean logs, errors and times to answer
 * (S1-54 to S1-57, S1-88). Each gate is a check of its own; all are measured together, once.
 * @param ids of the gates; @param measure judges them over the last hour at the most
 */
export function gateChecks(
  ids: readonly string[],
  measure: (signal: AbortSignal) => Promise<readonly Finding[]>,
): Check[] {
  let measured: Promise<readonly Finding[]> | undefined;
  return ids.map((id) => ({
    id: `post-deploy.gate.${id}`,
    group: 'post-deploy',
    requirement: [id],
    about: `gate ${id} of the policy`,
    expected: 'it still holds',
    hint: 'appliance logs; appliance rollback --plan shows the way back',
    deadline: 20_000,
    look: async (signal) => {
      measured ??= measure(signal);
      const found = (await measured).find((finding) => finding.id === id);
      if (!found) return inconclusive('nobody has measured it');
      const { id: _, ...seen } = found;
      return seen;
    },
  }));
}
