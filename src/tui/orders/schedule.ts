import { age } from '../../api/describe.ts';
import type { JobView } from '../../api/schedule.ts';
import type { Order } from '../order.ts';
import type { Known } from './outlook.ts';
import { word } from './word.ts';

/** Orders about what runs by the clock. */
export const scheduleOrders = {
  run: ({ name, title, schedule, zone, last }: JobView, { now }: Pick<Known, 'now'>): Order => ({
    command: `appliance schedule run ${word(name)}`,
    happens: [
      `Does now what is done ${schedule} (${zone}): ${title}.`,
      'A success stands for the run that was due last; what has failed in the night is not tried again then.',
      last === null
        ? 'It has never run.'
        : `The last run, ${age(last.startedAt, now)} ago, is ${last.result}${last.error === null ? '' : `: ${last.error}`}.`,
    ],
    severity: 'destructive',
    send: (client, signal) => client.stream('scheduleRun', { job: name }, signal),
  }),
} as const;
