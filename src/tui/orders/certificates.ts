import type { Certificate } from '../../api/certificates.ts';
import type { Order } from '../order.ts';
import { word } from './word.ts';

const inForce =
  'The new pair is tried out before it is put in force, and a handshake must show it; else the old one stays.';

/** Orders about certificates. */
export const certificateOrders = {
  renew: ({ set, due, renewAfter }: Pick<Certificate, 'set' | 'due' | 'renewAfter'>): Order => ({
    command: `appliance certs renew ${word(set)}${due === null ? ' --force' : ''}`,
    happens: [
      due === null
        ? `It is not due${renewAfter === null ? '' : ` before ${renewAfter.slice(0, 10)}`}; this counts against the limits of its issuer all the same.`
        : `It is due: ${due}.`,
      inForce,
    ],
    severity: due === null ? 'destructive' : 'mild',
    send: (client, signal) => client.stream('certsRenew', { set }, signal),
  }),
  issue: (set: string): Order => ({
    command: `appliance certs issue ${word(set)}`,
    happens: ['Asks for a new certificate as appliance.yaml describes it, with a rehearsal first.', inForce],
    severity: 'destructive',
    send: (client, signal) => client.stream('certsIssue', { set }, signal),
  }),
  dryRun: (set: string): Order => ({
    command: `appliance certs dry-run ${word(set)}`,
    happens: ['Does everything that an attempt takes, against the rehearsal of the issuer. Nothing is kept.'],
    severity: 'mild',
    send: (client, signal) => client.stream('certsDryRun', { set }, signal),
  }),
} as const;
