import { z } from 'zod';
import type { ContainerDetail } from '../../../host/docker.ts';
import { colours } from '../../../lib/colour.ts';
import { ApplianceError } from '../../../lib/errors.ts';
import { defineStep, type StepContext } from '../../../operations/step.ts';
import { colourProject, migrateModel } from '../colour-model.ts';
import { labelKeys } from '../transform.ts';
import { lastLines } from './containers.ts';
import { type StackDeps, writeModel } from './deps.ts';
import { prepareProject } from './prepare.ts';
import { lateComers } from './retire.ts';

/** Milliseconds between two looks at a running migration. */
const pause = 250;
/** Milliseconds that a migration gets to come to its end when its deploy is taken back. */
const lastChance = 30_000;
/** Lines of output that stand in the error. */
const tail = 20;

/** One name for the migrations of all releases: the engine itself refuses a second one at the same time. */
function migrationContainer(name: string): string {
  return `${name}-migrate`;
}

/**
 * Runs the migration of a release once, in the network of the colour that it will start in, starting nothing else.
 * The container is not tied to this process: when the agent dies, the next run of the step finds it and waits for it.
 */
export function migrate(deps: StackDeps) {
  const container = migrationContainer(deps.name);
  return defineStep({
    action: 'migrate',
    args: z.object({ release: z.string(), colour: z.enum(colours) }),
    async apply({ release: id, colour }, context) {
      const release = await deps.release(id);
      const subnet = (await deps.subnets())[colour];
      const planned = migrateModel({
        name: deps.name,
        colour,
        subnet,
        tag: release.tag,
        releaseId: id,
        project: release.project,
        imageIds: release.imageIds,
      });
      if (!planned) return 'the release has no migration';
      const found = await earlierRun(deps, container, id);
      if (!found) {
        await prepareProject(deps, planned);
        const call = await writeModel(deps, 'migrate.json', planned, context, release.secrets);
        await deps.compose.runOneShot({ ...call, service: planned.service, containerName: container });
      }
      const ended = await waitForEnd(deps, container, deps.timeouts.migrate, context);
      const output = await lastLines(deps.engine, ended, tail, context.signal);
      // Before its only trace is gone: a crash in between must not forget what has become of the database.
      if (ended.exitCode === 0) deps.migrated(release);
      await deps.engine.remove(ended.id);
      if (ended.exitCode === 0) return output.at(-1) ?? 'the migration ended without a word';
      throw failed(`the migration of ${release.tag} ended with exit status ${ended.exitCode}`, output);
    },
    async undo({ release: id, colour }, context) {
      const orphans = await deps.compose.endOrphans(colourProject(deps.name, colour), deps.modelDirectory);
      if (orphans > 0) await context.clock.sleep(lateComers, context.signal);
      // The schema stays as it is; only a container must not outlive the operation.
      const left = await toItsEnd(deps, container, context);
      if (!left) return;
      if (left.labels[labelKeys.releaseId] === id && endedWell(left)) deps.migrated(await deps.release(id));
      await deps.engine.remove(left.id);
    },
  });
}

function failed(what: string, output: readonly string[]): ApplianceError {
  return new ApplianceError('migration_failed', [what, ...output].join('\n'), {
    left: 'the running release was not touched; the database is as the migration left it',
    hint: 'repair the migration and deploy again, or restore the backup that was made before it',
  });
}

/**
 * Looks for a migration that an earlier run of the step began.
 * @returns the container when it still runs or has ended well; one that failed or never started is removed
 * @throws ApplianceError `migration_failed` when it belongs to another release and still runs
 */
async function earlierRun(deps: StackDeps, container: string, release: string): Promise<ContainerDetail | undefined> {
  const found = await deps.engine.inspect(container);
  if (!found) return undefined;
  const same = found.labels[labelKeys.releaseId] === release;
  if (found.running && !same) {
    const other = found.labels[labelKeys.release] ?? 'another release';
    throw new ApplianceError('migration_failed', `the migration of ${other} is still running in ${container}`, {
      left: 'no second migration was started',
      hint: `wait for it (docker wait ${container}), or stop it: docker rm --force ${container}`,
    });
  }
  if (same && (found.running || endedWell(found))) return found;
  await deps.engine.remove(found.id);
  return undefined;
}

/**
 * Lets a migration come to its end for a while, then kills it. SIGTERM would leave a doubt: a program that obeys it may
 * end with 0 in the middle of its work, and one that ignores it may have done all of it.
 * @returns the ended container, if there is one
 */
async function toItsEnd(
  deps: StackDeps,
  container: string,
  context: StepContext,
): Promise<ContainerDetail | undefined> {
  const deadline = context.clock.monotonic() + lastChance;
  for (;;) {
    const detail = await deps.engine.inspect(container);
    if (!detail?.running) return detail;
    if (context.clock.monotonic() >= deadline) await deps.engine.stop(detail.id, 0);
    else await context.clock.sleep(pause, context.signal);
  }
}

function endedWell({ state, exitCode }: ContainerDetail): boolean {
  return state === 'exited' && exitCode === 0;
}

async function waitForEnd(
  deps: StackDeps,
  container: string,
  timeout: number,
  context: StepContext,
): Promise<ContainerDetail> {
  const deadline = context.clock.monotonic() + timeout;
  for (;;) {
    const detail = await deps.engine.inspect(container);
    if (!detail) throw failed(`the container ${container} was removed while the migration ran`, []);
    if (detail.state === 'exited' || detail.state === 'dead') return detail;
    if (context.clock.monotonic() >= deadline) {
      const output = await lastLines(deps.engine, detail, tail, context.signal);
      await deps.engine.stop(detail.id, 30);
      await deps.engine.remove(detail.id);
      throw failed(`the migration took longer than ${timeout / 1_000} s and was stopped`, output);
    }
    await context.clock.sleep(pause, context.signal);
  }
}
