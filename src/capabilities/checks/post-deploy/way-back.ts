import { durationText } from '../../../lib/units.ts';
import { type Check, fail, inconclusive, pass } from '../check.ts';

/** Milliseconds after which a rollback proves nothing any more; the number is chosen. */
const longest = 90 * 86_400_000;

export interface WayBack {
  /** The release before, and what of it is left; undefined before the second deploy. */
  readonly previous: { readonly tag: string; readonly state: 'live' | 'warm' | 'kept' | 'gone' } | undefined;
  /** When a rollback last ended well, in milliseconds since 1970. */
  readonly rolledBack: number | null;
}

/** The release before could come back, and a rollback was proven (S2-41, S2-17). */
export function wayBackCheck(wayBack: () => Promise<WayBack>, now: () => number): Check {
  return {
    id: 'post-deploy.way-back',
    group: 'post-deploy',
    requirement: ['S2-41'],
    about: 'the way back',
    expected: 'the release before is kept, and a rollback was proven within 90 days',
    hint: 'rehearse it in a quiet hour: appliance rollback, then appliance deploy TAG',
    look: async () => {
      const { previous, rolledBack } = await wayBack();
      if (!previous) return inconclusive('this is the first release');
      if (previous.state === 'gone')
        return fail(`the images of ${previous.tag} are gone`, { hint: 'raise retention.releases in appliance.yaml' });
      const there = `${previous.tag} is ${previous.state}`;
      const age = rolledBack === null ? null : Math.max(0, now() - rolledBack);
      if (age === null || age > longest) return inconclusive(`${there}; no rollback was proven lately`);
      return pass(`${there}, a rollback was proven ${durationText(age)} ago`);
    },
  };
}
