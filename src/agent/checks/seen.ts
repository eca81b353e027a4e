import { z } from 'zod';
import { type CheckSeen, checkSeenSchema } from '../../api/checks.ts';
import { checkGroups } from '../../capabilities/checks/check.ts';
import type { VerdictStore } from '../../capabilities/checks/verdict-store.ts';
import { timestamp } from '../../lib/clock.ts';

const kept = z.looseObject({ requirement: z.array(z.string()) });

/**
 * What each check said last, whoever ran it, in the order of the checklists. What another version of the program has kept
 * in a way that this one does not know is left out.
 */
export function seenChecks(store: Pick<VerdictStore, 'results'>): CheckSeen[] {
  const order = ({ group }: CheckSeen) => checkGroups.indexOf(group);
  return store
    .results()
    .flatMap(({ result, at }) => {
      const found = kept.safeParse(JSON.parse(result)).data;
      if (!found) return [];
      const requirement = found.requirement.join(', ');
      return checkSeenSchema.safeParse({ ...found, requirement, time: timestamp(at) }).data ?? [];
    })
    .sort((one, other) => order(one) - order(other));
}
