import { z } from 'zod';
import { topologySchema } from '../../lib/topology.ts';

/** Where the services of both colours listen; null for a colour that is not there. */
export const topologiesSchema = z
  .object({ blue: topologySchema.nullable(), green: topologySchema.nullable() })
  .readonly();
export type Topologies = z.output<typeof topologiesSchema>;
