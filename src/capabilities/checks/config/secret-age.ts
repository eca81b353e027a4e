import { type Check, fail, inconclusive, pass } from '../check.ts';

const day = 86_400_000;
/** S0-17, S2-28 */
const oldest = 90 * day;

/**
 * Secrets are renewed every 90 days (S0-17, S2-28).
 * @param ages name of a secret → milliseconds since 1970 since when it has its value
 */
export function secretAgeCheck(ages: () => Promise<ReadonlyMap<string, number>>, now: () => number): Check {
  return {
    id: 'config.secret-age',
    group: 'config',
    requirement: ['S0-17', 'S2-28'],
    about: 'age of secrets',
    expected: 'each younger than 90 days',
    hint: 'renew it in the environment file, then deploy the live release again',
    look: async () => {
      const known = await ages();
      if (known.size === 0) return inconclusive('no secret is known');
      const inDays = (since: number) => Math.max(0, Math.floor((now() - since) / day));
      const old = [...known]
        .filter(([, since]) => now() - since > oldest)
        .map(([name, since]) => `${name} ${inDays(since)} days`);
      if (old.length > 0) return fail(old.join(', '), { samples: known.size });
      return pass(`the oldest of ${known.size} has ${inDays(Math.min(...known.values()))} days`, {
        samples: known.size,
      });
    },
  };
}
