import { messageOf, systemCode } from '../../../lib/errors.ts';
import { type Check, fail, inconclusive, pass } from '../check.ts';

/** The domains of the edge have addresses (S0-4). @param resolve addresses of a name */
export function dnsCheck(domains: readonly string[], resolve: (name: string) => Promise<readonly string[]>): Check {
  const names = domains
    .filter((domain) => !/^(localhost|[\d.]+|\[.*\])$/.test(domain))
    .map((name) => name.replace(/^\*\./, ''));
  return {
    id: 'preflight.dns',
    group: 'preflight',
    requirement: ['S0-4'],
    about: 'names',
    expected: 'every domain of the edge has an address',
    hint: 'add an A record that points to this host, or correct edge.domains in appliance.yaml',
    deadline: 5_000,
    look: async () => {
      if (names.length === 0) return pass('the edge answers to local names alone');
      const answers = await Promise.all(
        names.map(async (name) =>
          resolve(name).then(
            (addresses) => ({ name, said: addresses.join(', '), state: 'known' as const }),
            (error: unknown) => ({
              name,
              said: systemCode(error) ?? messageOf(error),
              state: ['ENOTFOUND', 'ENODATA'].includes(systemCode(error) ?? '')
                ? ('unknown' as const)
                : ('silent' as const),
            }),
          ),
        ),
      );
      const observed = answers.map(({ name, said }) => `${name}: ${said}`).join('; ');
      if (answers.some(({ state }) => state === 'unknown')) return fail(observed);
      return answers.some(({ state }) => state === 'silent')
        ? inconclusive(`no name server answers: ${observed}`, { hint: 'look at /etc/resolv.conf' })
        : pass(observed);
    },
  };
}
