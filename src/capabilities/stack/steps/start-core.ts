import { z } from 'zod';
import type { ComposeCall } from '../../../host/compose.ts';
import { ApplianceError, messageOf } from '../../../lib/errors.ts';
import { defineStep, type StepContext } from '../../../operations/step.ts';
import type { PlannedProject } from '../colour-model.ts';
import { monitoringRole } from '../monitoring-services.ts';
import { labelKeys } from '../transform.ts';
import { compareWithModel, containersOf, lastLines, serviceOf } from './containers.ts';
import { type StackDeps, startMissingFlags, upFlags, writeModel } from './deps.ts';
import { askHealth, healthcheckArguments } from './health.ts';
import { prepareProject, reattach } from './prepare.ts';

/** Milliseconds between two looks at the core while it starts. */
const pause = 250;

const args = z.object({
  /** Whose core services are wanted; null before the first deploy. */
  release: z.string().nullable(),
  /** Recreate services whose definition changed and remove those that are gone: a short downtime of each. */
  replace: z.boolean(),
});

/**
 * Brings the long-lived project up and waits for those of its services that have a healthcheck. Without `replace`, what
 * runs is left exactly as it is and only what is missing is started. There is no undo: the core belongs to no release,
 * and taking it down would take production down.
 */
export function startCore(deps: StackDeps) {
  return defineStep({
    action: 'start-core',
    args,
    async apply({ release, replace }, context) {
      const core = await deps.core(release);
      await prepareProject(deps, core);
      await removeNeverStarted(deps, core.projectName);
      await reattach(deps, core);
      const call = await writeModel(deps, 'core.json', core, context, []);
      const flags = replace ? upFlags : startMissingFlags;
      const { serving, watching } = split(core);
      await deps.compose.up({ ...call, flags, services: serving });
      // A network that somebody removed is there again only now.
      await reattach(deps, core);
      await settled(deps, core, context);
      const trouble = await startWatching(deps, { ...call, flags, services: watching });
      return `${serving.length} core services run${watching.length === 0 ? '' : (trouble ?? `, ${watching.length} watch`)}`;
    },
    async verify({ release, replace }) {
      const core = await deps.core(release);
      return compareWithModel(deps.engine, 'core', core, { exactly: replace, ignoring: isWatching });
    },
  });
}

function isWatching(labels: Readonly<Record<string, string>> = {}): boolean {
  return labels[labelKeys.role] === monitoringRole;
}

/** Names of the services that users need, and of those that only watch. */
function split({ model }: PlannedProject): { serving: string[]; watching: string[] } {
  const names = Object.keys(model.services);
  const watching = names.filter((name) => isWatching(model.services[name]?.labels));
  return { serving: names.filter((name) => !watching.includes(name)), watching };
}

/**
 * Monitoring never stands in the way of a deploy or rollback: a port that is taken, say, is told and left to `status`.
 * @returns what went wrong
 */
async function startWatching(
  deps: StackDeps,
  call: ComposeCall & { readonly flags: readonly string[]; readonly services: readonly string[] },
): Promise<string | undefined> {
  if (call.services.length === 0) return undefined;
  try {
    await deps.compose.up(call);
    return undefined;
  } catch (error) {
    call.signal?.throwIfAborted();
    return `; monitoring does not: ${messageOf(error)}`;
  }
}

/** A container that could not be started keeps the definition that was wrong; as it never ran, nothing is lost with it. */
async function removeNeverStarted({ engine }: StackDeps, projectName: string): Promise<void> {
  for (const { id, state } of await containersOf(engine, projectName)) if (state === 'created') await engine.remove(id);
}

/** Waits until every core container is healthy by its probe, its healthcheck, or (with neither) because it runs. */
async function settled(deps: StackDeps, core: PlannedProject, context: StepContext): Promise<void> {
  const { engine } = deps;
  const deadline = context.clock.monotonic() + deps.timeouts.core;
  for (;;) {
    const waiting: string[] = [];
    for (const summary of await containersOf(engine, core.projectName)) {
      const name = serviceOf(summary);
      const service = core.model.services[name];
      const detail = await engine.inspect(summary.id);
      if (!service || !detail || isWatching(service.labels)) continue;
      const check = healthcheckArguments(service);
      const watched = { name, role: 'app', address: undefined, probe: null, check, restartsBefore: 0 } as const;
      const health = await askHealth(engine, watched, detail, '', context.signal);
      if (health.state === 'healthy') continue;
      waiting.push(name);
      if (health.state === 'waiting' && context.clock.monotonic() < deadline) continue;
      const log = await lastLines(engine, detail, 10, context.signal);
      const what = `core service ${name} is not healthy: ${health.said}`;
      throw new ApplianceError('unhealthy', [what, ...log].join('\n'), {
        left: 'the core was left as it is',
        hint: `look at it: appliance logs ${name}`,
      });
    }
    if (waiting.length === 0) return;
    context.progress(`waiting for ${waiting.join(', ')}`);
    await context.clock.sleep(pause, context.signal);
  }
}
