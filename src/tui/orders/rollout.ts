import type { Order } from '../order.ts';
import { abortOutlook, type Known, promoteOutlook, rolloutOutlook } from './outlook.ts';
import { done } from './word.ts';

/** Orders to a rollout that runs. */
export const rolloutOrders = {
  pause: ({ status }: Known): Order => ({
    command: 'appliance pause',
    happens: [
      'The rollout stays at the share that it has; its time stands still.',
      'Its triggers still take it back. resume lets it go on.',
      ...rolloutOutlook(status?.rollout),
    ],
    severity: 'mild',
    send: async (client, signal) => done(`the rollout of ${(await client.ask('pause', {}, signal)).to} is paused`),
  }),
  resume: ({ status }: Known): Order => ({
    command: 'appliance resume',
    happens: ['The rollout goes on with its stages.', ...rolloutOutlook(status?.rollout)],
    severity: 'mild',
    send: async (client, signal) => done(`the rollout of ${(await client.ask('resume', {}, signal)).to} goes on`),
  }),
  promote: (all: boolean, { status }: Known): Order => ({
    command: all ? 'appliance promote --all' : 'appliance promote',
    happens: [
      all
        ? 'Passes every stage that is left, the watch after the shift included, whatever the gates say.'
        : 'Passes the stage that the rollout is in, whatever its gates say.',
      'A trigger that fires still wins.',
      ...promoteOutlook(status?.rollout, all),
    ],
    severity: 'destructive',
    send: async (client, signal) =>
      done(`the rollout of ${(await client.ask('promote', { all }, signal)).to} is promoted`),
  }),
  abort: (from: string | null, known: Known): Order => ({
    command: 'appliance abort',
    happens: [
      `All traffic goes to ${from ?? 'the release before it'} within a second.`,
      'Then that release is proven healthy, and the new one is stopped.',
      ...abortOutlook(known),
    ],
    severity: 'destructive',
    send: async (client, signal) =>
      done(`being taken back: operation ${(await client.ask('abort', {}, signal)).operation}`),
  }),
} as const;
