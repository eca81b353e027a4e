import { z } from 'zod';
import { defineStep, type StepType } from '../../operations/step.ts';
import type { ConfigureEdgeArgs } from './configure-edge.ts';
import { type Topologies, topologiesSchema } from './topologies.ts';

export interface CloseEdgeArgs {
  /** Where the colours listen: what taking it back goes back to. */
  readonly back: Topologies;
}

const argsSchema: z.ZodType<CloseEdgeArgs> = z.object({ back: topologiesSchema });

/**
 * Step type `close-edge`: every request gets the maintenance page, until the edge is told again where a release listens.
 * Nobody may write while data are exchanged that a release could not work with.
 */
export function closeEdgeStep(configureEdge: StepType<ConfigureEdgeArgs>): StepType<CloseEdgeArgs> {
  return defineStep({
    action: 'close-edge',
    args: argsSchema,
    async apply(_, context) {
      await configureEdge.bind({ topologies: { blue: null, green: null } }).apply(context);
      return 'every request gets the maintenance page; downtime begins';
    },
    async undo({ back }, context) {
      await configureEdge.bind({ topologies: back }).apply(context);
    },
  });
}
