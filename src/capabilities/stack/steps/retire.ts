import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import type { ContainerSummary } from '../../../host/docker.ts';
import { type Colour, colours } from '../../../lib/colour.ts';
import type { Finding } from '../../../lib/verdict.ts';
import { defineStep, type StepContext } from '../../../operations/step.ts';
import { colourProject } from '../colour-model.ts';
import { labelKeys } from '../transform.ts';
import type { StackDeps } from './deps.ts';
import { untilHealthy } from './watch.ts';

const args = z.object({
  colour: z.enum(colours),
  /** Seconds that a container gets to finish what it has begun before it is killed. */
  graceSeconds: z.number().min(0),
});

/** What is to be removed, and how patiently. */
const removal = args.extend({
  /** It gets no traffic and has answered what it was asked: nothing is lost with one that ignores SIGTERM. */
  idle: z.boolean().default(false),
});

/** How long containers get to end by themselves. */
export interface Grace {
  readonly seconds: number;
  /** Shorter where the Compose file says so (`stop_grace_period`), as for containers that have nothing to finish. */
  readonly idle?: boolean;
}

/** Seconds of `stop_grace_period` where a Compose file does not say (compose-spec, 05-services.md). */
const defaultStopGrace = 10;

/** Every container of a colour, leftovers and one-offs too. */
export function everything(deps: StackDeps, colour: Colour): Promise<ContainerSummary[]> {
  return deps.engine.containers([`com.docker.compose.project=${colourProject(deps.name, colour)}`]);
}

/** Stops the containers of a colour and keeps them: a later start takes a second, not a build. */
export function stopColour(deps: StackDeps) {
  return defineStep({
    action: 'stop-colour',
    args,
    async apply({ colour, graceSeconds }, context) {
      const running = (await everything(deps, colour)).filter(isAlive);
      const said = await letFinish(deps, colour, running, { seconds: graceSeconds }, context);
      await Promise.all(running.map(({ id }) => stop(deps, id, { seconds: graceSeconds }, context)));
      return withSaid(`${running.length} containers of ${colour} stopped`, said);
    },
    async verify({ colour }) {
      const alive = (await everything(deps, colour)).filter(isAlive);
      return {
        id: `stopped-${colour}`,
        verdict: alive.length === 0 ? 'pass' : 'fail',
        observed: alive.length === 0 ? 'nothing runs' : `${alive.map(({ name }) => name).join(', ')} still run`,
      };
    },
    async undo({ colour }, context) {
      const live = deps.live();
      if (live?.colour !== colour) return;
      // Strategy recreate stops what users get. Taken back, it serves again; jobs have done their work already.
      for (const { id, state, labels } of await everything(deps, colour))
        if (state === 'exited' && labels[labelKeys.role] === 'app') await deps.engine.start(id);
      await untilHealthy(deps, { release: await deps.release(live.release), colour }, deps.timeouts.health, context);
    },
  });
}

/** Removes the containers of a colour. Volumes, networks and images stay. */
export function removeColour(deps: StackDeps) {
  return defineStep({
    action: 'remove-colour',
    args: removal.extend({
      /** Tag of the release that runs there and could have the traffic at once. */
      warm: z.string().nullable().default(null),
    }),
    apply: (wish, context) => removeOne(deps, wish, context),
    verify: ({ colour }) => nothingLeft(deps, [colour], `removed-${colour}`),
    async undo({ colour, graceSeconds, idle }, context) {
      // Half a colour is of no use to anybody: what gets no traffic is cleared to the end. What users get is never touched.
      if (deps.live()?.colour === colour) return;
      const grace = { seconds: graceSeconds, idle };
      await letFinish(deps, colour, await everything(deps, colour), grace, context);
      await clearColour(deps, colour, grace, context);
    },
    lasting: ({ colour, warm }) =>
      warm === null
        ? null
        : `${warm}, which was warm on ${colour}, made room and is stopped; its images are kept, so that it can be started again (appliance rollback ${warm})`,
  });
}

/** Removes the containers of several colours at the same time. There is no undo: only `down` asks for it. */
export function removeColours(deps: StackDeps) {
  return defineStep({
    action: 'remove-colours',
    args: z.object({ removals: z.array(removal) }),
    apply: async ({ removals }, context) =>
      (await Promise.all(removals.map((wish) => removeOne(deps, wish, context)))).join('; '),
    verify: ({ removals }) =>
      nothingLeft(
        deps,
        removals.map(({ colour }) => colour),
        'removed-colours',
      ),
  });
}

async function removeOne(
  deps: StackDeps,
  { colour, graceSeconds, idle }: z.output<typeof removal>,
  context: StepContext,
): Promise<string> {
  const grace = { seconds: graceSeconds, idle };
  const said = await letFinish(deps, colour, await everything(deps, colour), grace, context);
  const removed = await clearColour(deps, colour, grace, context);
  await rm(join(deps.modelDirectory, `${colour}.json`), { force: true });
  return withSaid(`${removed} containers of ${colour} removed`, said);
}

/**
 * Stops the containers of a colour once the requests in flight are answered (S0-41, S2-14), and says who was still
 * connected when the time for it was over. What has nothing to finish is left to whoever stops it.
 */
export async function letFinish(
  deps: StackDeps,
  colour: Colour,
  containers: readonly ContainerSummary[],
  { seconds, idle = false }: Grace,
  context: StepContext,
): Promise<string> {
  const details = await Promise.all(containers.filter(isAlive).map(({ id }) => deps.engine.inspect(id)));
  const running = details.filter((detail) => detail !== undefined);
  if (!deps.drain || idle || running.length === 0) return '';
  const stopAll = async (left: number): Promise<void> => {
    const each = running.map(({ id, stopTimeout }) =>
      deps.engine.stop(id, Math.ceil(Math.max(left / 1_000, Math.min(seconds, stopTimeout ?? defaultStopGrace)))),
    );
    await Promise.all(each);
  };
  const addresses = running.flatMap((detail) => Object.values(detail.addresses)).filter((address) => address !== '');
  return deps.drain({ colour, addresses, limit: seconds * 1_000, stop: stopAll }, context);
}

function withSaid(done: string, said: string): string {
  return said === '' ? done : `${done}; ${said}`;
}

async function nothingLeft(deps: StackDeps, wanted: readonly Colour[], id: string): Promise<Finding> {
  const left = (await Promise.all(wanted.map((colour) => everything(deps, colour)))).flat();
  return {
    id,
    verdict: left.length === 0 ? 'pass' : 'fail',
    observed: left.length === 0 ? 'nothing is left' : `${left.map(({ name }) => name).join(', ')} are still there`,
  };
}

/**
 * Milliseconds after which a container that was being made when its maker was killed has appeared. The engine says nothing of
 * one until it is made, which takes a tenth of that where nobody else wants the disk.
 */
export const lateComers = 2_000;

/**
 * Removes every container of a colour, also those that an interrupted start is about to make.
 * @returns how many there were
 */
export async function clearColour(
  deps: StackDeps,
  colour: Colour,
  grace: Grace,
  context: StepContext,
): Promise<number> {
  const orphans = await deps.compose.endOrphans(colourProject(deps.name, colour), deps.modelDirectory);
  let removed = 0;
  for (let quiet = orphans > 0 ? 0 : 1; quiet < 2; ) {
    const all = await everything(deps, colour);
    await removeContainers(deps, all, grace, context);
    removed += all.length;
    if (all.length === 0) quiet += 1;
    if (quiet < 2 && orphans > 0) await context.clock.sleep(lateComers, context.signal);
  }
  return removed;
}

function isAlive({ state }: Pick<ContainerSummary, 'state'>): boolean {
  return state === 'running' || state === 'restarting' || state === 'paused';
}

export async function removeContainers(
  deps: Pick<StackDeps, 'engine'>,
  containers: readonly ContainerSummary[],
  grace: Grace,
  context: StepContext,
): Promise<void> {
  await Promise.all(
    containers.map(async (container) => {
      if (isAlive(container)) await stop(deps, container.id, grace, context);
      await deps.engine.remove(container.id);
    }),
  );
}

async function stop(
  { engine }: Pick<StackDeps, 'engine'>,
  id: string,
  { seconds, idle = false }: Grace,
  { signal }: StepContext,
): Promise<void> {
  signal.throwIfAborted();
  const own = idle ? ((await engine.inspect(id))?.stopTimeout ?? defaultStopGrace) : seconds;
  await engine.stop(id, Math.ceil(Math.min(seconds, own)));
}
