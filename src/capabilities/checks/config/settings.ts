import type { KeyDemand, PolicyDemands } from '../../../config/policy-demands.ts';
import { type Check, fail, inconclusive, type Observation, pass } from '../check.ts';

type Values = Readonly<Record<string, string>>;

/** The values of all keys that match. */
function matching(values: Values, pattern: RegExp): [string, string][] {
  return Object.entries(values).filter(([key, value]) => pattern.test(key) && value !== '');
}

/** Only production domains may call the API from another page (S1-10). */
export function corsCheck(values: () => Promise<Values>): Check {
  return {
    id: 'config.cors',
    group: 'config',
    requirement: ['S1-10'],
    about: 'origins that may call the API (CORS)',
    expected: 'https origins of production alone',
    hint: 'list them with https:// and without *, localhost and addresses of your own network',
    look: async () => {
      const origins = matching(await values(), /CORS|ALLOWED_ORIGINS/i).flatMap(([, value]) =>
        value.split(/[\s,;[\]"']+/).filter((one) => one !== ''),
      );
      if (origins.length === 0) return pass("the platform's own pages alone");
      const bad = origins.filter((origin) => !isProductionOrigin(origin));
      return bad.length > 0
        ? fail(bad.join(', '), { samples: origins.length })
        : pass(origins.join(', '), { samples: origins.length });
    },
  };
}

/** Whether an origin can be one of production. Pure. */
export function isProductionOrigin(origin: string): boolean {
  if (!/^https:\/\/[a-z0-9.-]+(?::\d+)?$/i.test(origin)) return false;
  const host = new URL(origin).hostname;
  return !/^(?:localhost|127\.|10\.|192\.168\.|172\.(?:1[6-9]|2\d|3[01])\.|0\.0\.0\.0)|\.(?:local|localhost|test|internal|example)$/i.test(
    host,
  );
}

/** Logs say what happens, without the contents of requests (S1-11, S0-7). */
export function logLevelCheck(values: () => Promise<Values>): Check {
  return {
    id: 'config.log-level',
    group: 'config',
    requirement: ['S1-11', 'S0-7'],
    about: 'log level',
    expected: 'INFO or less talkative',
    hint: 'set LOG_LEVEL=INFO: below it, logs may hold what users sent',
    look: async () => {
      const levels = matching(await values(), /(?:^|_)LOG_?LEVEL$/i);
      if (levels.length === 0) return inconclusive('no key LOG_LEVEL is set');
      const loud = levels.filter(([, value]) => /^(?:debug|trace|verbose|all|silly|notset)$/i.test(value));
      const words = (list: typeof levels) => list.map(([key, value]) => `${key}=${value}`).join(', ');
      return loud.length > 0 ? fail(words(loud)) : pass(words(levels));
    },
  };
}

/** Where users come from a directory, its server and base are named (S1-12). */
export function ldapCheck(values: () => Promise<Values>): Check {
  return {
    id: 'config.ldap',
    group: 'config',
    requirement: ['S1-12'],
    about: 'LDAP',
    expected: 'server and base DN, where it is used',
    hint: 'set LDAP_SERVER (ldaps://…) and LDAP_BASE_DN',
    look: async () => {
      const all = await values();
      const used =
        matching(all, /^LDAP_/i).length > 0 ||
        Object.entries(all).some(([key, value]) => /AUTH/i.test(key) && /^ldap$/i.test(value));
      if (!used) return pass('it is not used');
      const [server] = matching(all, /^LDAP_(?:SERVER|URL|URI|HOST)/i);
      const [base] = matching(all, /^LDAP_(?:BASE|SEARCH_BASE)/i);
      const missing = [...(server ? [] : ['its server']), ...(base ? [] : ['its base DN'])];
      if (missing.length > 0) return fail(`${missing.join(' and ')} not set`);
      if (server && /^ldap:\/\//i.test(server[1]))
        return fail(`${server[0]} begins with ldap://, which sends passwords in the clear`);
      return pass('server and base DN are set');
    },
  };
}

/** Redis asks for a password, and speaks TLS where the policy wants it (S2-31, S0-7). */
export function redisCheck(values: () => Promise<Values>, demand: PolicyDemands['redis']): Check {
  const tls = demand?.tls === true;
  return {
    id: 'config.redis',
    group: 'config',
    requirement: [...new Set([...(demand ? [demand.id] : []), 'S2-31'])],
    about: 'Redis',
    expected: tls ? 'a password, and TLS (rediss://)' : 'a password',
    hint: tls
      ? 'give redis a certificate (tls-port) and write rediss:// into the URL'
      : 'write redis://:PASSWORD@HOST into the URL, and requirepass into its configuration',
    look: async () => {
      const urls = Object.entries(await values()).filter(([, value]) => /^rediss?:\/\//i.test(value));
      if (urls.length === 0) return pass('no key names one');
      return redisVerdict(urls, tls);
    },
  };
}

function redisVerdict(urls: readonly (readonly [string, string])[], tls: boolean): Observation {
  const open = urls
    .filter(([, url]) => !/^rediss?:\/\/[^/@\s]*:[^/@\s]+@/i.test(url))
    .map(([key]) => `${key} has no password`);
  const plain = tls ? urls.filter(([, url]) => !/^rediss:/i.test(url)).map(([key]) => `${key} does not use TLS`) : [];
  const bad = [...open, ...plain];
  return bad.length > 0
    ? fail(bad.join('; '), { samples: urls.length })
    : pass(urls.map(([key]) => key).join(', '), { samples: urls.length });
}

/** The keys that a policy asks for are set (S0-7, S1-8, S1-9, S1-11, S1-13). */
export function keysCheck(values: () => Promise<Values>, demands: readonly KeyDemand[]): Check {
  return {
    id: 'config.keys',
    group: 'config',
    requirement: [...new Set(demands.map(({ id }) => id))],
    about: 'keys of the environment',
    expected: `${demands.length} that the policy asks for`,
    hint: 'set them in source.envFile',
    look: async () => {
      const all = await values();
      const asked = demands.filter(
        ({ where }) => where === undefined || Object.keys(all).some((key) => key.startsWith(where)),
      );
      const bad = asked.flatMap(({ id, key, or, equals }) => {
        const found = [key, ...or].find((name) => (all[name] ?? '') !== '');
        if (found === undefined) return [`${[key, ...or].join(' or ')} is not set (${id})`];
        return equals === undefined || all[found]?.toLowerCase() === equals.toLowerCase()
          ? []
          : [`${found} is not ${equals} (${id})`];
      });
      return bad.length > 0
        ? fail(bad.join('; '), { samples: asked.length })
        : pass(`${asked.length} set`, { samples: asked.length });
    },
  };
}
