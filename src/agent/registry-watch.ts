import type { Clock } from '../lib/clock.ts';
import { asApplianceError } from '../lib/errors.ts';
import type { Alerting } from './alerting.ts';
import type { Models } from './models.ts';

/** Milliseconds between two looks. */
const period = 5_000;

/** Tells of a registry of models that cannot be used, until it can. Never throws. */
export async function watchRegistry(
  { models, alerting, clock }: { models: Models; alerting: Pick<Alerting, 'raise' | 'resolve'>; clock: Clock },
  signal: AbortSignal,
): Promise<void> {
  // Whatever happened to it under another agent: this one has opened what lies there now.
  alerting.resolve('ModelRegistryDisturbed');
  while (!signal.aborted) {
    const trouble = models.look();
    if (trouble === null) alerting.resolve('ModelRegistryUnusable');
    else {
      const { message, hint } = asApplianceError(trouble);
      alerting.raise({ name: 'ModelRegistryUnusable', severity: 'critical', summary: message, hint });
    }
    await clock.sleep(period, signal).catch(() => undefined);
  }
}
