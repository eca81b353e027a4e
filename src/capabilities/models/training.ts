import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { dirname, join, normalize } from 'node:path';
import { z } from 'zod';
import type { ModelsConfig } from '../../config/models.ts';
import type { Clock } from '../../lib/clock.ts';
import { ApplianceError, messageOf } from '../../lib/errors.ts';
import { jsonText } from '../../lib/json.ts';
import { formatDuration } from '../../lib/units.ts';
import { defineStep } from '../../operations/step.ts';
import type { ModelProcesses, Replica } from './processes.ts';
import type { ModelVersion } from './registry.ts';
import { tarMembers } from './scan/archives.ts';
import { withFile } from './scan/bytes.ts';

export interface TrainingDeps {
  readonly config: ModelsConfig;
  readonly processes: ModelProcesses;
  readonly clock: Clock;
  /** A directory for what comes out of a container, emptied again. */
  readonly scratch: string;
  /** Copies a directory out of a container, as a tar archive. */
  readonly archive: (replica: Replica, path: string, to: string, signal: AbortSignal) => Promise<void>;
  /** Registers what was trained. */
  readonly add: (
    directory: string,
    about: { actor: string; source: string },
    signal: AbortSignal,
  ) => Promise<ModelVersion>;
  /** Milliseconds between two questions about a run. Default: 1,000. */
  readonly pause?: number;
  /** Milliseconds without an answer after which a run is given up. Default: 60,000; whoever trains has little time for questions. */
  readonly silence?: number;
}

const acceptedSchema = jsonText(z.looseObject({ run_id: z.string() }));
const statusSchema = jsonText(
  z.looseObject({
    state: z.string(),
    run: z
      .looseObject({ run_id: z.string().nullish(), version: z.string().nullish(), detail: z.string().nullish() })
      .nullish(),
  }),
);
type Status = z.output<typeof statusSchema>;

const failed = (message: string, hint = 'appliance logs shows why (S1-75)'): ApplianceError =>
  new ApplianceError('training_failed', message, { left: 'the model in force stays as it is', hint });

/** The step that has the application train, and registers what it makes (S3-26, S1-35). */
export function trainModel(deps: TrainingDeps) {
  return defineStep({
    action: 'train-model',
    args: z.object({ marker: z.string(), actor: z.string() }),
    async apply({ marker, actor }, context) {
      const { trainer } = deps.config;
      const [replica] = await deps.processes.replicas();
      if (!trainer || !replica)
        throw failed('no process runs that could train', 'start the live release: appliance up');
      const run = await begin(deps, trainer.run, replica, context.signal);
      const version = await follow(deps, trainer.status, replica, run, context);
      const directory = await mkdtemp(join(deps.scratch, '.trained-'));
      try {
        const packed = join(directory, 'version.tar');
        await deps.archive(replica, join(trainer.versions, version), packed, context.signal);
        const out = join(directory, 'version');
        await unpackDirectory(packed, out);
        const added = await deps.add(out, { actor, source: marker }, context.signal);
        return `${added.name}@${added.version} is registered`;
      } finally {
        await rm(directory, { recursive: true, force: true });
      }
    },
  });
}

async function begin(
  { processes }: TrainingDeps,
  path: string,
  replica: Replica,
  signal: AbortSignal,
): Promise<string> {
  const { status, text } = await processes.post(replica, path, {}, signal).catch((error: unknown) => {
    signal.throwIfAborted();
    if (error instanceof ApplianceError) throw error;
    throw failed(`${replica.name} could not be asked to train: ${messageOf(error)}`);
  });
  const accepted = acceptedSchema.safeParse(text);
  if (status === 202 && accepted.success) return accepted.data.run_id;
  const hint = status === 409 ? 'wait for the run before it to end' : undefined;
  throw failed(`${replica.name} answers the wish to train with ${status}: ${text.slice(0, 300)}`, hint);
}

/** @returns the version that a run has made */
async function follow(
  { processes, clock, pause = 1_000, silence = 60_000 }: TrainingDeps,
  path: string,
  replica: Replica,
  run: string,
  { signal, progress }: { readonly signal: AbortSignal; progress(text: string): void },
): Promise<string> {
  const began = clock.monotonic();
  let heard = began;
  for (;;) {
    const said = await ask(processes, path, replica, signal);
    const now = clock.monotonic();
    let news = '';
    if (typeof said === 'string') {
      if (now - heard >= silence)
        throw failed(`nothing was heard of the training run ${run} for ${formatDuration(now - heard)}: ${said}`);
      news = `; ${said}`;
    } else {
      heard = now;
      const { state, run: last } = said;
      if (last?.run_id === run && state !== 'running') return versionOf(state, last);
    }
    progress(`training for ${formatDuration(now - began)}${news}`);
    await clock.sleep(pause, signal);
  }
}

/** @throws ApplianceError `training_failed` for a run that has made none */
function versionOf(state: string, { run_id: run, version, detail }: NonNullable<Status['run']>): string {
  // It becomes part of a path inside of the container.
  if (state === 'succeeded' && version && /^[A-Za-z0-9][A-Za-z0-9._+-]{0,127}$/.test(version)) return version;
  throw failed(`the training run ${run} is ${state}: ${detail ?? 'no detail'}`);
}

/** @returns how the last run is; a text when there is no answer that says it */
async function ask(
  processes: ModelProcesses,
  path: string,
  replica: Replica,
  signal: AbortSignal,
): Promise<Status | string> {
  try {
    // A process that was started anew may have another address.
    const now = (await processes.replicas()).find(({ id }) => id === replica.id) ?? replica;
    const { status, text } = await processes.get(now, path, signal);
    const parsed = statusSchema.safeParse(text);
    if (status === 200 && parsed.success) return parsed.data;
    return `${replica.name} answers ${path} with ${status}: ${text.slice(0, 300)}`;
  } catch (error) {
    signal.throwIfAborted();
    return `${replica.name}: ${messageOf(error)}`;
  }
}

/** Unpacks the plain files of one directory; what leads out of it is refused like everything else that is odd. */
async function unpackDirectory(archive: string, to: string): Promise<void> {
  await mkdir(to);
  await withFile(archive, async (source) => {
    for (const { name, source: content } of tarMembers(source)) {
      // The first part is the name of the directory itself.
      const path = normalize(name.split('/').slice(1).join('/'));
      if (path.startsWith('..') || path.startsWith('/'))
        throw new ApplianceError('model_invalid', `the archive of the training run names ${name}`);
      await mkdir(dirname(join(to, path)), { recursive: true });
      await writeFile(join(to, path), content.read(0, content.size), { flag: 'wx' });
    }
  });
}
