import type { Order } from '../order.ts';
import { done, word } from './word.ts';

/** Orders about releases. What a deploy or a rollback does, the agent says itself: its plan stands in the dialog. */
export const releaseOrders = {
  deploy: (tag: string): Order => ({
    command: `appliance deploy ${word(tag)}`,
    happens: [],
    plan: (client, signal) => client.ask('plan', { tag }, signal),
    severity: 'destructive',
    send: (client, signal) => client.stream('deploy', { tag }, signal),
  }),
  rollback: (tag: string | undefined): Order => ({
    command: tag === undefined ? 'appliance rollback' : `appliance rollback ${word(tag)}`,
    happens: [],
    plan: (client, signal) => client.ask('planRollback', tag === undefined ? {} : { tag }, signal),
    severity: 'destructive',
    send: (client, signal) => client.stream('rollback', tag === undefined ? {} : { tag }, signal),
  }),
  pin: (tag: string, pinned: boolean): Order => ({
    command: `appliance releases ${pinned ? 'pin' : 'unpin'} ${word(tag)}`,
    happens: [
      pinned
        ? `The images of ${tag} are kept, whatever retention says.`
        : `Retention decides about the images of ${tag} again; it may remove them.`,
    ],
    severity: 'mild',
    send: async (client, signal) => {
      const release = await client.ask('pin', { tag, pinned }, signal);
      return done(release.pinned ? `${release.tag} is pinned` : `${release.tag} is not pinned any more`);
    },
  }),
  prune: (): Order => ({
    command: 'appliance releases prune',
    happens: [
      'Removes the images that retention no longer keeps.',
      'Releases that are live, warm or pinned are never touched.',
      'A rollback to a release without images builds them again.',
    ],
    severity: 'destructive',
    send: (client, signal) => client.stream('prune', {}, signal),
  }),
} as const;
