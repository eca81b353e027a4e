import type { Colour } from '../../../lib/colour.ts';
import { ApplianceError } from '../../../lib/errors.ts';
import type { StepContext } from '../../../operations/step.ts';
import { colourModel } from '../colour-model.ts';
import { labelKeys } from '../transform.ts';
import { containersOf, lastLines, serviceOf } from './containers.ts';
import type { StackDeps, StackRelease } from './deps.ts';
import { askHealth, type Health, healthcheckArguments, type Watched } from './health.ts';

/** Milliseconds between two rounds of questions. */
const pause = 200;

export interface WatchRequest {
  readonly release: StackRelease;
  readonly colour: Colour;
  /** Names in the model of the colour; all when absent. */
  readonly only?: readonly string[];
}

/**
 * Waits until containers of a colour are healthy.
 * @param timeout milliseconds
 * @returns how many there are
 * @throws ApplianceError `unhealthy` with the last answer and the last lines of the log; early when waiting cannot help
 */
export async function untilHealthy(
  deps: StackDeps,
  request: WatchRequest,
  timeout: number,
  context: StepContext,
): Promise<number> {
  const { tag } = request.release;
  const { projectName, watched } = await watchList(deps, request);
  const deadline = context.clock.monotonic() + timeout;
  for (;;) {
    const round = await askAll(deps, projectName, watched, tag, context);
    const failed = round.find(({ health }) => health.state === 'failed');
    if (failed) throw await unhealthy(deps, failed, tag, context);
    const waiting = round.filter(({ health }) => health.state === 'waiting');
    const [first] = waiting;
    if (!first) return round.length;
    if (context.clock.monotonic() >= deadline) throw await unhealthy(deps, first, tag, context, timeout);
    context.progress(`waiting for ${waiting.map(({ watched: { name } }) => name).join(', ')}`);
    await context.clock.sleep(pause, context.signal);
  }
}

/** Asks every container of a colour once. */
export async function askColour(deps: StackDeps, request: WatchRequest, context: StepContext): Promise<Answer[]> {
  const { projectName, watched } = await watchList(deps, request);
  return askAll(deps, projectName, watched, request.release.tag, context);
}

export interface Answer {
  readonly watched: Watched;
  readonly health: Health;
  readonly id: string | undefined;
}

async function watchList(deps: StackDeps, { release, colour, only }: WatchRequest) {
  const { project, imageIds, tag, id: releaseId } = release;
  const subnet = (await deps.subnets())[colour];
  const planned = colourModel({ name: deps.name, colour, subnet, tag, releaseId, project, imageIds });
  const before = new Map<string, number>();
  for (const container of await containersOf(deps.engine, planned.projectName)) {
    const detail = await deps.engine.inspect(container.id);
    before.set(serviceOf(container), detail?.restarts ?? 0);
  }
  const services = Object.entries(planned.model.services).filter(([name]) => only?.includes(name) ?? true);
  const watched = services.map(([name, service]): Watched => {
    const own = project.services.find((known) => known.name === service.labels?.[labelKeys.service]);
    const address = service.networks?.colour?.ipv4_address;
    return {
      name,
      role: own?.role === 'job' ? 'job' : 'app',
      address: typeof address === 'string' ? address : undefined,
      probe: own?.probe ?? null,
      check: healthcheckArguments(service),
      restartsBefore: before.get(name) ?? 0,
    };
  });
  return { projectName: planned.projectName, watched };
}

async function askAll(
  deps: StackDeps,
  projectName: string,
  watched: readonly Watched[],
  tag: string,
  context: StepContext,
): Promise<Answer[]> {
  const found = new Map((await containersOf(deps.engine, projectName)).map((one) => [serviceOf(one), one.id]));
  return Promise.all(
    watched.map(async (one) => {
      const id = found.get(one.name);
      const detail = id === undefined ? undefined : await deps.engine.inspect(id);
      if (!detail) return { watched: one, id, health: { state: 'failed', said: 'it has no container' } as const };
      return { watched: one, id, health: await askHealth(deps.engine, one, detail, tag, context.signal) };
    }),
  );
}

/** @param timeout milliseconds that were waited, when it is time that ran out */
async function unhealthy(
  deps: StackDeps,
  { watched, health, id }: Answer,
  tag: string,
  context: StepContext,
  timeout?: number,
): Promise<ApplianceError> {
  const detail = id === undefined ? undefined : await deps.engine.inspect(id);
  const log = detail ? await lastLines(deps.engine, detail, 10, context.signal) : [];
  const when = timeout === undefined ? '' : ` after ${timeout / 1_000} s`;
  const what = `${watched.name} of ${tag} is not healthy${when}: ${health.said}`;
  return new ApplianceError('unhealthy', log.length > 0 ? `${what}\nits last lines:\n${log.join('\n')}` : what, {
    left: 'no request was sent to it',
    hint: 'repair it, or raise deploy.healthTimeout if it only needs longer',
  });
}
