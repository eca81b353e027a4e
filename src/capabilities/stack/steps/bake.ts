import { z } from 'zod';
import { colours } from '../../../lib/colour.ts';
import { ApplianceError } from '../../../lib/errors.ts';
import { defineStep, type StepType } from '../../../operations/step.ts';
import type { waitHealthy } from './wait-healthy.ts';

/** Milliseconds between two looks. */
const period = 1_000;
/** A colour is called unhealthy after so many looks in a row: one answer may be late. */
const tolerated = 3;

const args = z.object({ release: z.string(), colour: z.enum(colours), /** Milliseconds. */ duration: z.number() });

/** Watches a colour that has just got the traffic. A failure fails the operation, which shifts the traffic back. */
export function bake(health: ReturnType<typeof waitHealthy>): StepType<z.output<typeof args>> {
  return defineStep({
    action: 'bake',
    args,
    async apply({ release, colour, duration }, context) {
      const look = health.bind({ release, colour, timeout: period });
      const until = context.clock.monotonic() + duration;
      let looks = 0;
      let bad = 0;
      while (context.clock.monotonic() < until) {
        const finding = await look.verify?.(context);
        looks += 1;
        bad = finding?.verdict === 'pass' ? 0 : bad + 1;
        if (bad >= tolerated) {
          throw new ApplianceError(
            'unhealthy',
            `${colour} did not stay healthy: ${finding?.observed ?? 'it does not answer'}`,
          );
        }
        context.progress(`${looks} looks, ${Math.ceil((until - context.clock.monotonic()) / 1_000)} s to go`);
        await context.clock.sleep(period, context.signal);
      }
      return `${looks} looks, healthy throughout`;
    },
  });
}
