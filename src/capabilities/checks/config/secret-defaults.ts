import { type Check, fail, inconclusive, pass } from '../check.ts';
import { secretsOf } from './secret-strength.ts';

type Values = Readonly<Record<string, string>>;

/** Words that stand in examples and in nobody's production. */
const defaults =
  /^(?:admin|root|postgres|redis|user|guest|test|demo|letmein|qwerty|password\d*|passw0rd|secret\d*|default|example|12345\d*)$|change[-_ ]?(?:me|this|it|in)|your[-_ ](?:secret|password|key|token)|placeholder|replace[-_ ]?me|insert[-_ ]|to[-_ ]?do|super[-_ ]?secret|^(.)\1*$/i;

/** No secret has a value that everybody knows, or the one of the example file (S1-8, S1-15). */
export function secretDefaultsCheck(
  values: () => Promise<Values>,
  example: (signal: AbortSignal) => Promise<Values>,
): Check {
  return {
    id: 'config.secret-defaults',
    group: 'config',
    requirement: ['S1-8', 'S1-15'],
    about: 'secrets with a default value',
    expected: 'none',
    hint: 'give each a value of its own: openssl rand -hex 32',
    look: async (signal) => {
      const [secrets, known] = await Promise.all([values().then(secretsOf), example(signal).catch((): Values => ({}))]);
      if (secrets.length === 0) return inconclusive('the environment file holds no secret that is known as one');
      const found = secrets.filter(([key, value]) => isDefault(key, value) || known[key] === value).map(([key]) => key);
      return found.length > 0
        ? fail(found.join(', '), { samples: secrets.length })
        : pass(`${secrets.length} looked at`, { samples: secrets.length });
    },
  };
}

/** Whether a value is one that stands in examples. Pure. */
export function isDefault(key: string, value: string): boolean {
  return defaults.test(value) || value.toLowerCase() === key.toLowerCase();
}
