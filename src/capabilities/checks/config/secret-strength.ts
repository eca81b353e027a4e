import { type Check, fail, inconclusive, pass } from '../check.ts';
import { secretKey } from '../upkeep/secrets.ts';

type Values = Readonly<Record<string, string>>;

/** Characters that a key which signs must have (S1-8), and any other secret (chosen). */
const signingLength = 32;
const usualLength = 12;
/** Bits that a value must carry at least, by its own letters: `aaaaaaaaaaaa` is long and carries none. */
const leastBits = 36;

/** Keys that only sound like secrets: times, names of users, paths of files. */
const harmless =
  /_(?:SECONDS|TTL|MINUTES|HOURS|DAYS|FILE|PATH|DIR|USER|USERNAME|ID|ALGORITHM|HEADER|NAME|URL|ENABLED)$/i;

/** Keys of the environment whose values are secrets by their name, without connection strings. */
export function secretsOf(values: Values): [string, string][] {
  return Object.entries(values).filter(
    ([key, value]) =>
      value !== '' &&
      secretKey.test(key) &&
      !harmless.test(key) &&
      !/^(?:\d+|true|false)$/i.test(value) &&
      !/^[a-z][a-z0-9+.-]*:\/\//i.test(value),
  );
}

/** Secrets that sign have 32 characters or more, all others cannot be guessed (S1-8, S0-16). */
export function secretStrengthCheck(values: () => Promise<Values>): Check {
  return {
    id: 'config.secret-strength',
    group: 'config',
    requirement: ['S1-8', 'S0-16'],
    about: 'strength of secrets',
    expected: `keys that sign ${signingLength} characters, others ${usualLength}, not repeating`,
    hint: 'make new ones: openssl rand -hex 32',
    look: async () => {
      const secrets = secretsOf(await values());
      if (secrets.length === 0) return inconclusive('the environment file holds no secret that is known as one');
      const weak = secrets.flatMap(([key, value]) => {
        const why = weakness(key, value);
        return why === undefined ? [] : [`${key} ${why}`];
      });
      return weak.length > 0
        ? fail(weak.join('; '), { samples: secrets.length })
        : pass(`${secrets.length} looked at`, { samples: secrets.length });
    },
  };
}

/** Why a secret is weak; undefined for a good one. Pure; never repeats the value. */
export function weakness(key: string, value: string): string | undefined {
  const least = /JWT|SIGN|SECRET_KEY|ENCRYPTION/i.test(key) ? signingLength : usualLength;
  if (value.length < least) return `has ${value.length} characters instead of ${least}`;
  if (bitsOf(value) < leastBits) return 'repeats itself';
  return undefined;
}

/** Shannon's measure of a text over its own letters, in bits for all of it. */
export function bitsOf(text: string): number {
  const counts = new Map<string, number>();
  for (const letter of text) counts.set(letter, (counts.get(letter) ?? 0) + 1);
  let bits = 0;
  for (const amount of counts.values()) bits -= amount * Math.log2(amount / text.length);
  return bits;
}
