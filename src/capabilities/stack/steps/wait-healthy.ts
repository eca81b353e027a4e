import { z } from 'zod';
import { colours } from '../../../lib/colour.ts';
import type { Finding } from '../../../lib/verdict.ts';
import { defineStep } from '../../../operations/step.ts';
import type { StackDeps } from './deps.ts';
import { askColour, untilHealthy } from './watch.ts';

/**
 * Waits until every container of a colour is healthy, each asked directly at its own address. It ends early when waiting
 * cannot help: a container that has ended, or that restarts again and again.
 */
export function waitHealthy(deps: StackDeps) {
  return defineStep({
    action: 'wait-healthy',
    args: z.object({
      release: z.string(),
      colour: z.enum(colours),
      /** Milliseconds. */
      timeout: z.number().positive(),
    }),
    async apply({ release: id, colour, timeout }, context) {
      const release = await deps.release(id);
      const count = await untilHealthy(deps, { release, colour }, timeout, context);
      return `${count} containers of ${release.tag} on ${colour} are healthy`;
    },
    async verify({ release: id, colour }, context): Promise<Finding> {
      const round = await askColour(deps, { release: await deps.release(id), colour }, context);
      const bad = round.filter(({ health }) => health.state !== 'healthy');
      return {
        id: `healthy-${colour}`,
        verdict: round.length === 0 ? 'inconclusive' : bad.length === 0 ? 'pass' : 'fail',
        observed: (bad.length === 0 ? round : bad).map((one) => `${one.watched.name}: ${one.health.said}`).join('; '),
        samples: round.length,
      };
    },
  });
}
