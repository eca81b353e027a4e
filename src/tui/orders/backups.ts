import type { Order } from '../order.ts';
import { done, word } from './word.ts';

/** Parts of a snapshot that can be restored by themselves. */
export const restoreComponents = ['all', 'database', 'models', 'registry', 'config'] as const;
type RestoreComponent = (typeof restoreComponents)[number];

/** Orders about backups. */
export const backupOrders = {
  now: (): Order => ({
    command: 'appliance backup now',
    happens: [
      'Dumps every database, copies files and models, and reads back what was written.',
      'The appliance goes on serving; it is copied to every other place that is configured.',
    ],
    severity: 'mild',
    send: (client, signal) => client.stream('backupNow', {}, signal),
  }),
  drill: (snapshot: string): Order => ({
    command: `appliance backup drill${snapshot === 'latest' ? '' : ` --snapshot ${word(snapshot)}`}`,
    happens: [
      `Restores ${snapshot} into containers of its own, which are thrown away afterwards.`,
      'What comes out is compared with what went in. Nothing that serves is touched.',
    ],
    severity: 'mild',
    send: (client, signal) => client.stream('backupDrill', { snapshot }, signal),
  }),
  verify: (snapshot: string): Order => ({
    command: `appliance backup verify ${word(snapshot)}`,
    happens: [`Reads every byte of ${snapshot} back and compares it with its checksum. Changes nothing.`],
    severity: 'mild',
    send: async (client, signal) => {
      const { verdict, checks } = await client.ask('backupVerify', { snapshot }, signal);
      return { verdict, text: checks.map(({ observed }) => observed).join('; ') || 'there was nothing to read' };
    },
  }),
  protect: (snapshot: string, on: boolean): Order => ({
    command: `appliance backup ${on ? 'protect' : 'unprotect'} ${word(snapshot)}`,
    happens: [
      on
        ? `${snapshot} is kept, whatever the policy says, until somebody unprotects it.`
        : `${snapshot} is kept only as long as the policy says; the next prune may forget it.`,
    ],
    severity: on ? 'mild' : 'destructive',
    send: async (client, signal) => {
      const changed = await client.ask('backupProtect', { snapshot, protected: on }, signal);
      return done(
        `${changed.id} is ${changed.protected ? 'kept whatever the policy says' : 'kept as the policy says'}`,
      );
    },
  }),
  /** @param appliance its name, which must be typed */
  restore: (snapshot: string, component: RestoreComponent, appliance: string): Order => ({
    command: `appliance backup restore ${word(snapshot)}${component === 'all' ? '' : ` --component ${component}`}`,
    happens: ['What is listed here is replaced. A safety snapshot is made of it first.'],
    plan: (client, signal) => client.ask('planRestore', { snapshot, component }, signal),
    severity: 'severe',
    name: appliance,
    send: (client, signal) => client.stream('backupRestore', { snapshot, component }, signal),
  }),
} as const;
