import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { dirname, join, normalize } from 'node:path';
import { z } from 'zod';
import type { ModelsConfig } from '../../config/models.ts';
import type { Clock } from '../../lib/clock.ts';
import { ApplianceError } from '../../lib/errors.ts';
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
}

/** Milliseconds between two questions about a run. */
const pause = 1_000;
const acceptedSchema = z.looseObject({ run_id: z.string() });
const statusSchema = z.looseObject({
  state: z.string(),
  run: z
    .looseObject({ run_id: z.string().nullish(), version: z.string().nullish(), detail: z.string().nullish() })
    .nullish(),
});

/** The step that has the application train, and registers what it makes (S3-26, S1-35). */
export function trainModel(deps: TrainingDeps) {
  return defineStep({
    action: 'train-model',
    args: z.object({ marker: z.string(), actor: z.string() }),
    async apply({ marker, actor }, context) {
      const { trainer } = deps.config;
      const [replica] = await deps.processes.replicas();
      if (!trainer || !replica)
        throw new ApplianceError('training_failed', 'no process runs that could train', {
          left: 'the model in force stays as it is',
          hint: 'start the live release: appliance up',
        });
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

async function begin(deps: TrainingDeps, path: string, replica: Replica, signal: AbortSignal): Promise<string> {
  const { status, text } = await deps.processes.post(replica, path, {}, signal);
  const accepted = acceptedSchema.safeParse(status === 202 ? JSON.parse(text) : undefined);
  if (accepted.success) return accepted.data.run_id;
  throw new ApplianceError(
    'training_failed',
    `${replica.name} answers the wish to train with ${status}: ${text.slice(0, 300)}`,
    {
      left: 'the model in force stays as it is',
      hint: status === 409 ? 'wait for the run before it to end' : 'appliance logs shows why (S1-75)',
    },
  );
}

/** @returns the version that a run has made */
async function follow(
  { processes, clock }: TrainingDeps,
  path: string,
  replica: Replica,
  run: string,
  { signal, progress }: { readonly signal: AbortSignal; progress(text: string): void },
): Promise<string> {
  const began = clock.monotonic();
  for (;;) {
    const { text } = await processes.get(replica, path, signal);
    const { state, run: last } = statusSchema.parse(JSON.parse(text));
    if (last?.run_id === run && state !== 'running') {
      const { version } = last;
      // It becomes part of a path inside of the container.
      if (state === 'succeeded' && version && /^[A-Za-z0-9][A-Za-z0-9._+-]{0,127}$/.test(version)) return version;
      throw new ApplianceError(
        'training_failed',
        `the training run ${run} is ${state}: ${last.detail ?? 'no detail'}`,
        {
          left: 'the model in force stays as it is',
          hint: 'appliance logs shows why (S1-75)',
        },
      );
    }
    progress(`training for ${formatDuration(clock.monotonic() - began)}`);
    await clock.sleep(pause, signal);
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
