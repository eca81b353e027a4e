import { z } from 'zod';
import { colours } from './colour.ts';

/** Where the services of one colour listen: what the stack starts and the edge forwards to. */
export const topologySchema = z.object({
  colour: z.enum(colours),
  /** Tag of the release that occupies the colour; every answer of its services carries it. */
  release: z.string(),
  /** Service name → fixed IPv4 addresses, one per replica. */
  addresses: z.record(z.string(), z.array(z.ipv4())),
});
export type Topology = z.output<typeof topologySchema>;
