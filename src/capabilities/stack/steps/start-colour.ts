import { z } from 'zod';
import { colours } from '../../../lib/colour.ts';
import { ApplianceError, asApplianceError } from '../../../lib/errors.ts';
import { defineStep, type StepContext } from '../../../operations/step.ts';
import { colourModel, type PlannedProject } from '../colour-model.ts';
import { labelKeys } from '../transform.ts';
import { compareWithModel, containersOf, lastLines, serviceOf } from './containers.ts';
import { type StackDeps, type StackRelease, stageFlags, upFlags, writeModel } from './deps.ts';
import { prepareProject, reattach } from './prepare.ts';
import { clearColour, everything, letFinish, removeContainers } from './retire.ts';
import { untilHealthy } from './watch.ts';

/** Seconds that containers without traffic get to end by themselves. */
const undoGrace = 10;

/** Starts a release in a colour that gets no traffic. Whether it is healthy is for `wait-healthy` to say. */
export function startColour(deps: StackDeps) {
  const args = z.object({
    release: z.string(),
    colour: z.enum(colours),
    /** Seconds that requests in flight get when the colour is taken back after it had traffic. */
    graceSeconds: z.number().min(0).optional(),
  });
  const plan = async ({ release: id, colour }: Pick<z.output<typeof args>, 'release' | 'colour'>) => {
    const release = await deps.release(id);
    const subnet = (await deps.subnets())[colour];
    const { tag, project, imageIds } = release;
    const planned = colourModel({ name: deps.name, colour, subnet, tag, releaseId: id, project, imageIds });
    return { release, planned };
  };
  return defineStep({
    action: 'start-colour',
    args,
    async apply({ release: id, colour }, context) {
      const { release, planned } = await plan({ release: id, colour });
      await prepareProject(deps, planned);
      await removeOtherReleases(deps, planned.projectName, id, context);
      await reattach(deps, planned);
      const call = await writeModel(deps, `${colour}.json`, planned, context, release.secrets);
      try {
        for (const { services, gates } of planned.stages.slice(0, -1)) {
          await deps.compose.up({ ...call, services, flags: stageFlags });
          if (gates.length > 0)
            await untilHealthy(deps, { release, colour, only: gates }, deps.timeouts.health, context);
        }
        await deps.compose.up({ ...call, flags: upFlags });
      } catch (error) {
        throw await explained(deps, planned, release, error, context);
      }
      return `${Object.keys(planned.model.services).length} containers of ${release.tag} on ${colour}`;
    },
    async verify({ release: id, colour }) {
      const { planned } = await plan({ release: id, colour });
      return compareWithModel(deps.engine, `containers-${colour}`, planned);
    },
    async undo({ release, colour, graceSeconds }, context) {
      // `appliance up` starts the live colour: what users get is never taken back.
      const live = deps.live();
      if (live?.colour === colour && live.release === release) return;
      const grace = { seconds: graceSeconds ?? undoGrace, idle: graceSeconds === undefined };
      await letFinish(deps, colour, await everything(deps, colour), grace, context);
      await clearColour(deps, colour, { seconds: grace.seconds }, context);
    },
  });
}

/**
 * Containers of an earlier release hold the fixed addresses under other names, and Compose would start a new container
 * before it stops the one that has its address.
 */
async function removeOtherReleases(
  deps: StackDeps,
  projectName: string,
  release: string,
  context: StepContext,
): Promise<void> {
  const others = (await containersOf(deps.engine, projectName)).filter(
    ({ labels }) => labels[labelKeys.releaseId] !== release,
  );
  await removeContainers(deps, others, { seconds: undoGrace }, context);
}

/** Adds the output of a job that failed: Compose only says that it did. */
async function explained(
  deps: StackDeps,
  { projectName }: PlannedProject,
  { tag }: StackRelease,
  thrown: unknown,
  context: StepContext,
): Promise<ApplianceError> {
  const error = asApplianceError(thrown);
  if (error.code !== 'compose_failed' || context.signal.aborted) return error;
  for (const summary of await containersOf(deps.engine, projectName)) {
    if (summary.labels[labelKeys.role] !== 'job' || summary.state !== 'exited') continue;
    const detail = await deps.engine.inspect(summary.id);
    if (!detail || detail.exitCode === 0) continue;
    const log = await lastLines(deps.engine, detail, 10, context.signal);
    const what = `job ${serviceOf(summary)} of ${tag} ended with exit status ${detail.exitCode}`;
    return new ApplianceError('unhealthy', [what, ...log].join('\n'), { left: error.left, cause: error });
  }
  return error;
}
