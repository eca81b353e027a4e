import { z } from 'zod';
import type { Colour } from '../../../lib/colour.ts';
import { colours } from '../../../lib/colour.ts';
import type { Finding } from '../../../lib/verdict.ts';
import { defineStep, type StepContext } from '../../../operations/step.ts';
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
      const { healthy, of, said } = await colourHealth(deps, { release: id, colour }, context);
      return {
        id: `healthy-${colour}`,
        verdict: of === 0 ? 'inconclusive' : healthy === of ? 'pass' : 'fail',
        observed: said,
        samples: of,
      };
    },
  });
}

export interface ColourHealth {
  /** Containers that are healthy, and all that there are. */
  readonly healthy: number;
  readonly of: number;
  /** What the ones that are not healthy say; all of them where none is bad. */
  readonly said: string;
}

/** Asks every container of a release once, without waiting. */
export async function colourHealth(
  deps: StackDeps,
  { release: id, colour }: { readonly release: string; readonly colour: Colour },
  context: StepContext,
): Promise<ColourHealth> {
  const round = await askColour(deps, { release: await deps.release(id), colour }, context);
  const bad = round.filter(({ health }) => health.state !== 'healthy');
  const said = (bad.length === 0 ? round : bad).map((one) => `${one.watched.name}: ${one.health.said}`).join('; ');
  return { healthy: round.length - bad.length, of: round.length, said };
}
