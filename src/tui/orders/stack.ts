import type { Order } from '../order.ts';
import { downOutlook, type Known, restartOutlook, upOutlook } from './outlook.ts';
import { word } from './word.ts';

/** Orders to the stack as a whole, or to one of its services. */
export const stackOrders = {
  restart: (service: string | undefined, known: Known): Order => ({
    command: service === undefined ? 'appliance restart' : `appliance restart ${word(service)}`,
    happens: [
      ...(service === undefined
        ? ['Restarts every service of the live release, one after the other.', 'Requests may fail meanwhile.']
        : [`Stops the containers of ${service} and starts them again.`, 'What they are asked meanwhile may fail.']),
      ...restartOutlook(known, service),
    ],
    severity: 'destructive',
    send: (client, signal) => client.stream('restart', service === undefined ? {} : { service }, signal),
  }),
  up: (known: Known): Order => ({
    command: 'appliance up',
    happens: [
      'Starts what should run and does not: core, edge and the live release.',
      'What runs is left alone.',
      ...upOutlook(known),
    ],
    severity: 'mild',
    send: (client, signal) => client.stream('up', {}, signal),
  }),
  down: (appliance: string, known: Known): Order => ({
    command: 'appliance down',
    happens: [
      'Stops every container: the edge, the live release, databases and caches.',
      'Nobody is served until appliance up. Data stays.',
      ...downOutlook(known),
    ],
    severity: 'severe',
    name: appliance,
    send: (client, signal) => client.stream('down', {}, signal),
  }),
} as const;
