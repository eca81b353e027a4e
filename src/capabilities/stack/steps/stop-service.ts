import { z } from 'zod';
import { ApplianceError } from '../../../lib/errors.ts';
import { defineStep, type StepContext } from '../../../operations/step.ts';
import { labelKeys } from '../transform.ts';
import { serviceOf } from './containers.ts';
import type { StackDeps } from './deps.ts';
import { healthy } from './restart-service.ts';

/** Seconds for a container to end by itself. */
const grace = 5;

const args = z.object({
  service: z.string(),
  colour: z.enum(['blue', 'green']),
  /** Milliseconds for each container to become healthy again. */
  timeout: z.number().positive(),
});
type Args = z.output<typeof args>;

/** Stops the containers of a service in one colour; taking it back starts them again and waits until they are healthy. */
export function stopService(deps: StackDeps) {
  return defineStep({
    action: 'stop-service',
    args,
    apply: async (wanted) => {
      const chosen = await containersOfService(deps, wanted);
      await Promise.all(chosen.map(({ id }) => deps.engine.stop(id, grace)));
      return `${chosen.length} containers of ${wanted.service} stopped`;
    },
    undo: async (wanted, context) => {
      await start(deps, wanted, context);
    },
  });
}

/** Starts the containers of a service in one colour and waits until they are healthy. */
export function startService(deps: StackDeps) {
  return defineStep({
    action: 'start-service',
    args,
    apply: async (wanted, context) =>
      `${await start(deps, wanted, context)} containers of ${wanted.service} are healthy again`,
  });
}

async function start(deps: StackDeps, wanted: Args, context: StepContext): Promise<number> {
  const chosen = await containersOfService(deps, wanted);
  await Promise.all(chosen.map(({ id }) => deps.engine.start(id)));
  for (const container of chosen) await healthy(deps, container, wanted.timeout, context, 'start');
  return chosen.length;
}

async function containersOfService(deps: StackDeps, { service, colour }: Args) {
  const ours = await deps.engine.containers([
    `${labelKeys.name}=${deps.name}`,
    `${labelKeys.colour}=${colour}`,
    `${labelKeys.role}=app`,
  ]);
  const chosen = ours.filter((one) => one.labels[labelKeys.service] === service || serviceOf(one) === service);
  if (chosen.length > 0) return chosen.sort((a, b) => a.name.localeCompare(b.name));
  throw new ApplianceError('service_not_found', `${colour} has no containers of a service ${service}`, {
    left: 'nothing was touched',
    hint: 'appliance ps lists the services',
  });
}
