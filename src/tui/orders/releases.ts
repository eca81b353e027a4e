import type { Order } from '../order.ts';
import { done, word } from './word.ts';

/** A tag and perhaps a policy, as the command line takes them: `v1.1 --policy flash`; undefined where there is more. */
export function deployWish(words: readonly string[]): { readonly tag: string; readonly policy?: string } | undefined {
  const [, tag, policy] = /^(?!-)(\S+)(?: --policy[ =](?!-)(\S+))?$/.exec(words.join(' ')) ?? [];
  if (tag === undefined) return undefined;
  return policy === undefined ? { tag } : { tag, policy };
}

/** Orders about releases. What a deploy or a rollback does, the agent says itself: its plan stands in the dialog. */
export const releaseOrders = {
  /** @param policy name of the policy it comes into service by; default: what appliance.yaml says */
  deploy: (tag: string, policy?: string): Order => {
    const wish = policy === undefined ? { tag } : { tag, policy };
    return {
      command: `appliance deploy ${word(tag)}${policy === undefined ? '' : ` --policy ${word(policy)}`}`,
      happens: [],
      plan: (client, signal) => client.ask('plan', wish, signal),
      severity: 'destructive',
      send: (client, signal) => client.stream('deploy', wish, signal),
    };
  },
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
