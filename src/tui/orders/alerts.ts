import { parseDuration } from '../../lib/units.ts';
import type { Order } from '../order.ts';
import { done, word } from './word.ts';

/** Orders about alerts, and about who did what. */
export const alertOrders = {
  ack: (id: string, name: string, comment: string): Order => ({
    command: `appliance alerts ack ${word(id)}${comment === '' ? '' : ` --comment ${word(comment)}`}`,
    happens: [`You look after ${name}: for four hours it is neither repeated nor escalated.`],
    severity: 'mild',
    send: async (client, signal) => {
      await client.ask('alertsAck', { alert: id, duration: parseDuration('4h'), comment }, signal);
      return done(`${name} is acknowledged for four hours`);
    },
  }),
  /** @param duration as a person writes it; @throws ApplianceError `usage` */
  silence: (matchers: readonly string[], duration: string): Order => {
    const milliseconds = parseDuration(duration);
    return {
      command: `appliance alerts silence ${matchers.map(word).join(' ')} --for ${duration}`,
      happens: [`Nobody is told of alerts with ${matchers.join(' and ')} for ${duration}, of new ones neither.`],
      severity: 'destructive',
      send: async (client, signal) => {
        const silence = await client.ask(
          'alertsSilence',
          { matchers: [...matchers], duration: milliseconds, comment: '' },
          signal,
        );
        return done(`silenced until ${silence.until}; appliance alerts unsilence ${silence.id} ends it`);
      },
    };
  },
  unsilence: (id: string): Order => ({
    command: `appliance alerts unsilence ${word(id)}`,
    happens: ['People are told again.'],
    severity: 'mild',
    send: async (client, signal) =>
      done(`${(await client.ask('alertsUnsilence', { id }, signal)).matchers} is told again`),
  }),
  test: (): Order => ({
    command: 'appliance alerts test',
    happens: ['Sends a test alert through every receiver: people get a message.'],
    severity: 'mild',
    send: async (client, signal) => {
      const { verdict, checks } = await client.ask('alertsTest', { receivers: [] }, signal);
      return { verdict, text: checks.map(({ observed }) => observed).join('; ') || 'there is no receiver' };
    },
  }),
  drill: (service: string): Order => ({
    command: `appliance alerts drill ${word(service)}`,
    happens: [
      `Stops ${service}: users get errors while it runs.`,
      'Proves that somebody is told within a minute, and starts it again, whatever happens.',
    ],
    severity: 'severe',
    name: service,
    send: (client, signal) => client.stream('alertsDrill', { service }, signal),
  }),
  verifyAudit: (): Order => ({
    command: 'appliance audit verify',
    happens: ['Reads the whole audit log and proves its chain. Changes nothing.'],
    severity: 'mild',
    send: async (client, signal) => {
      const { verdict, entries, problem } = await client.ask('auditVerify', {}, signal);
      return { verdict, text: problem ?? `${entries} entries, none is missing or changed` };
    },
  }),
} as const;
