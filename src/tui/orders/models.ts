import type { Order } from '../order.ts';
import type { State } from '../state.ts';
import { modelOutlook } from './outlook.ts';
import { done, word } from './word.ts';

/** Orders about models. */
export const modelOrders = {
  promote: (version: string, state: State): Order => ({
    command: `appliance models promote ${word(version)}`,
    happens: [
      'Gates first: hashes, a scan of its files, its libraries, a trial, the limits of the policy.',
      'Then one rename puts it in force, and the running processes must report that they have loaded it.',
      'What fails afterwards takes it back.',
      ...modelOutlook(state, 'model-promote', version),
    ],
    severity: 'destructive',
    send: (client, signal) => client.stream('modelsPromote', { version }, signal),
  }),
  rollback: (version: string | undefined, state: State): Order => ({
    command: version === undefined ? 'appliance models rollback' : `appliance models rollback ${word(version)}`,
    happens: [
      `Puts ${version ?? 'the version before the one in force'} in force again, without gates: it has passed them once.`,
      'The running processes must report that they have loaded it.',
      ...modelOutlook(state, 'model-rollback', version),
    ],
    severity: 'destructive',
    send: (client, signal) => client.stream('modelsRollback', version === undefined ? {} : { version }, signal),
  }),
  archive: (version: string, undo: boolean): Order => ({
    command: `appliance models archive ${word(version)}${undo ? ' --undo' : ''}`,
    happens: [undo ? 'It may be promoted again.' : 'It cannot be promoted any more; its files stay.'],
    severity: 'mild',
    send: async (client, signal) => {
      const model = await client.ask('modelsArchive', { version, undo }, signal);
      return done(`${model.name} ${model.version} is ${model.state}`);
    },
  }),
  verify: (version: string): Order => ({
    command: `appliance models verify ${word(version)}`,
    happens: ['Reads every byte of its files and compares them with what was registered. Changes nothing.'],
    severity: 'mild',
    send: async (client, signal) => {
      const { verdict, checks } = await client.ask('modelsVerify', { version }, signal);
      return { verdict, text: checks.map(({ observed }) => observed).join('; ') || 'there was nothing to read' };
    },
  }),
  retrain: (): Order => ({
    command: 'appliance models retrain',
    happens: [
      'The application trains; what comes out is registered in any case.',
      'It is promoted, through all gates, only if its accuracy is higher.',
    ],
    severity: 'destructive',
    send: (client, signal) => client.stream('modelsRetrain', {}, signal),
  }),
} as const;
