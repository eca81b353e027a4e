import { checkGroupNames } from '../../api/check-groups.ts';
import type { CheckShape } from '../../api/checks.ts';
import { ApplianceError } from '../../lib/errors.ts';
import type { Order } from '../order.ts';

type Group = CheckShape['group'];

const abouts: Readonly<Record<string, string>> = {
  preflight: 'Looks at the host: room, memory, ports, clock, engine. Changes nothing.',
  config: 'Looks at the source, the images and the settings of the release. Changes nothing.',
  smoke: 'Sends the declared sequences of requests to the live release.',
  load: 'Sends load for minutes, as the policy asks for it. Users may notice that.',
  'post-deploy': 'Looks at the live release as it is some time after its deploy. Changes nothing.',
  security: 'Tries ciphers, headers and open ports of the live release.',
};

/** The checklist of a name; undefined when there is none. */
export function groupOf(name: string): Group | undefined {
  return checkGroupNames.find((group) => group === name.trim());
}

/** Orders about checklists. */
export const checkOrders = {
  run: (group: Group): Order => ({
    command: `appliance check ${group}`,
    happens: [abouts[group] ?? `Works through the checklist ${group}.`],
    severity: group === 'load' ? 'destructive' : 'mild',
    send: async (client, signal) => {
      for await (const event of client.stream('check', { groups: [group] }, signal)) {
        if (event.event !== 'report') continue;
        const { verdict, checks } = event.report;
        const all = (wanted: typeof verdict) => checks.filter((check) => check.verdict === wanted).length;
        const text = `${all('pass')} passed, ${all('fail')} failed, ${all('inconclusive')} inconclusive`;
        return { verdict, text };
      }
      throw new ApplianceError('agent_unreachable', 'the agent ended before the checks did', {
        hint: 'run them again',
      });
    },
  }),
} as const;
