import { z } from 'zod';
import type { ContainerSummary } from '../../../host/docker.ts';
import { ApplianceError } from '../../../lib/errors.ts';
import { didYouMean } from '../../../lib/near.ts';
import { defineStep, type StepContext } from '../../../operations/step.ts';
import { labelKeys } from '../transform.ts';
import { lastLines, serviceOf } from './containers.ts';
import type { StackDeps } from './deps.ts';
import { askHealth, healthcheckArguments, type Watched } from './health.ts';

/** Milliseconds between two questions. */
const pause = 200;
/** Seconds for a container to end by itself. */
const grace = 10;

/** Restarts the running containers of a service one after the other; each must be healthy before the next one goes. */
export function restartService(deps: StackDeps) {
  return defineStep({
    action: 'restart-service',
    args: z.object({ service: z.string(), /** Milliseconds for each container. */ timeout: z.number().positive() }),
    async apply({ service, timeout }, context) {
      const ours = await deps.engine.containers([`${labelKeys.name}=${deps.name}`]);
      const chosen = ours
        .filter(({ state, labels }) => state === 'running' && labels[labelKeys.role] !== 'job')
        .filter((one) => one.labels[labelKeys.service] === service || serviceOf(one) === service)
        .sort((a, b) => a.name.localeCompare(b.name));
      if (chosen.length === 0) {
        const known = ours.flatMap(({ labels }) => labels[labelKeys.service] ?? []);
        throw new ApplianceError('service_not_found', `no container of a service ${service} runs`, {
          left: 'nothing was touched',
          hint: didYouMean(service, known) ?? 'appliance ps lists the services',
        });
      }
      for (const container of chosen) {
        context.signal.throwIfAborted();
        await deps.engine.restart(container.id, grace);
        await healthy(deps, container, timeout, context, 'restart');
      }
      return `${chosen.length} containers of ${service} restarted`;
    },
  });
}

/** Restarts one container and waits until it is healthy. @throws ApplianceError `unhealthy`; nothing when it is gone */
export async function restartContainer(
  deps: StackDeps,
  id: string,
  timeout: number,
  context: StepContext,
): Promise<void> {
  const container = (await deps.engine.containers([`${labelKeys.name}=${deps.name}`])).find((one) => one.id === id);
  if (!container) return;
  await deps.engine.restart(id, grace);
  await healthy(deps, container, timeout, context, 'restart');
}

/** Waits until a container that was just started is healthy. @param after what was done to it @throws ApplianceError `unhealthy` */
export async function healthy(
  deps: StackDeps,
  container: ContainerSummary,
  timeout: number,
  context: StepContext,
  after: 'restart' | 'start',
): Promise<void> {
  const deadline = context.clock.monotonic() + timeout;
  const watched = await watchedOf(deps, container);
  for (;;) {
    const detail = await deps.engine.inspect(container.id);
    if (!detail) throw new ApplianceError('unhealthy', `${container.name} is gone after its ${after}`);
    const address = Object.values(detail.addresses).find((text) => text !== '');
    const tag = container.labels[labelKeys.release] ?? '';
    const health = await askHealth(deps.engine, { ...watched, address }, detail, tag, context.signal);
    if (health.state === 'healthy') return;
    if (health.state === 'failed' || context.clock.monotonic() >= deadline) {
      const log = await lastLines(deps.engine, detail, 10, context.signal);
      const what = `${container.name} is not healthy after its ${after}: ${health.said}`;
      throw new ApplianceError('unhealthy', [what, ...log].join('\n'), {
        left: `containers after it were not ${after}ed`,
        hint: `look at it: appliance logs ${watched.name}`,
      });
    }
    context.progress(`waiting for ${container.name}: ${health.said}`);
    await context.clock.sleep(pause, context.signal);
  }
}

async function watchedOf(deps: StackDeps, container: ContainerSummary): Promise<Watched> {
  const { [labelKeys.service]: name = container.name, [labelKeys.releaseId]: id } = container.labels;
  const project = id === undefined ? undefined : (await deps.release(id)).project;
  const own = project?.services.find((known) => known.name === name);
  const model = project?.model.services[name];
  return {
    name,
    role: 'app',
    address: undefined,
    probe: own?.probe ?? null,
    check: model && healthcheckArguments(model),
    restartsBefore: 0,
  };
}
