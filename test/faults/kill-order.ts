import { join } from 'node:path';
import { z } from 'zod';

/** When an agent of `agent.ts` is to kill itself. */
const killOrderSchema = z.object({
  /** Type of the step. */
  action: z.string(),
  /** Its place in the plan, from 0, where a plan has several of the type. */
  position: z.number().int().min(0).optional(),
  /** The transition that stands in the journal when it happens. */
  state: z.enum(['planned', 'applying', 'applied', 'verified', 'failed', 'undoing', 'undone']),
  /** Milliseconds to wait after that transition, at most until the next one: the middle of the step. */
  after: z.number().min(0).default(0),
});
export type KillOrder = z.input<typeof killOrderSchema>;

/** One order for each life of the agent, first come first. */
export const killOrdersSchema = z.array(killOrderSchema);

export function killOrderFile(root: string): string {
  return join(root, 'kill.json');
}
