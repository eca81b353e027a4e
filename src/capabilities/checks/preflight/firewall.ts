import type { FirewallState } from '../../../host/firewall.ts';
import { type Check, fail, inconclusive, pass } from '../check.ts';

/**
 * What nobody allowed does not come in (S0-4). What the engine publishes goes round such rules, so only loopback is no
 * matter of a firewall.
 * @param listens where the edge and monitoring are published
 */
export function firewallCheck(
  state: (signal: AbortSignal) => Promise<FirewallState>,
  listens: readonly string[],
): Check {
  return {
    id: 'preflight.firewall',
    group: 'preflight',
    requirement: ['S0-4'],
    about: 'firewall',
    expected: 'packets that no rule allows are dropped',
    hint: 'for example: ufw default deny incoming, ufw allow ssh, ufw enable; the ports of the edge pass it, because the engine publishes them',
    look: async (signal) => {
      if (listens.every((listen) => /^(127\.|\[::1\])/.test(listen)))
        return pass('everything is published on the loopback address alone');
      const { filters, said } = await state(signal);
      if (filters === null) return inconclusive(`the rules cannot be read: ${said}`, { hint: 'run it as root' });
      return filters ? pass(`${said} drops what no rule allows`) : fail(`${said} lets everything in`);
    },
  };
}
