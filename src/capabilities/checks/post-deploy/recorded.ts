import { timestamp } from '../../../lib/clock.ts';
import { durationText } from '../../../lib/units.ts';
import { type Check, inconclusive } from '../check.ts';
import type { LiveSince, Look } from './looks.ts';
import type { FollowUp } from './store.ts';

/**
 * What the looks that were due have shown (S0-58 to S0-60, S1-92), as lines of a checklist. One that is still to come is
 * inconclusive and says when; so is one that nobody took, because no agent ran.
 * @param now milliseconds since 1970
 */
export function recordedChecks(
  { since }: LiveSince,
  looks: readonly Look[],
  records: readonly FollowUp[],
  now: () => number,
): Check[] {
  return looks.map(({ name, after, ids }) => ({
    id: `post-deploy.${name}`,
    group: 'post-deploy',
    requirement: ids,
    about: `look after ${durationText(after)}`,
    expected: 'taken in time, and all was well',
    hint: 'a running agent takes it: appliance schedule; now by hand: appliance schedule run post-deploy',
    look: async () => {
      const record = records.find(({ look }) => look === name);
      if (!record) {
        const left = since + after - now();
        return left > 0
          ? inconclusive(`due in ${durationText(left)}`, { hint: 'wait for it; a running agent takes it' })
          : inconclusive('it was not taken');
      }
      const open = record.findings.filter(({ verdict }) => verdict === record.verdict && verdict !== 'pass');
      const words = open.map(({ id, observed }) => `${id}: ${observed}`).join('; ');
      return {
        verdict: record.verdict,
        observed: `${timestamp(record.at)}${words === '' ? ': all passed' : `: ${words}`}`,
        samples: record.findings.length,
      };
    },
  }));
}
