import { z } from 'zod';
import { colours } from './colour.ts';
import { routeSchema } from './routes.ts';

/** Where the services of one colour listen and which requests they get: what the stack starts and the edge forwards to. */
export const topologySchema = z.object({
  colour: z.enum(colours),
  /** Tag of the release that occupies the colour; every answer of its services carries it. */
  release: z.string(),
  /** Service name → fixed IPv4 addresses, one per replica. */
  addresses: z.record(z.string(), z.array(z.ipv4())),
  /** Absent for a release that was recorded before releases held their routes: those of appliance.yaml hold for it. */
  routes: z.array(routeSchema).optional(),
  /** A path that the release answers when it is healthy; absent where its routes are. */
  proofPath: z.string().optional(),
});
export type Topology = z.output<typeof topologySchema>;
