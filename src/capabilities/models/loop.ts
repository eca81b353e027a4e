import type { Clock } from '../../lib/clock.ts';
import { ApplianceError } from '../../lib/errors.ts';
import { formatDuration } from '../../lib/units.ts';
import type { Loaded, ModelProcesses, Replica } from './processes.ts';

export interface LoopDeps {
  readonly processes: ModelProcesses;
  readonly clock: Clock;
  /** Milliseconds for each of the ways before the next one is tried. */
  readonly confirm: number;
  /** Gives the manifest in force a newer time. */
  readonly touch: (signal: AbortSignal) => Promise<void>;
  /** Restarts one process and waits until it is healthy. */
  readonly restart: (replica: Replica, signal: AbortSignal) => Promise<void>;
}

/** How running processes came to have a model. */
export interface Closed {
  readonly by: 'reload' | 'touch' | 'restart';
  readonly replicas: number;
  /** Milliseconds from the request to the last confirmation. */
  readonly elapsed: number;
}

/** Milliseconds between two questions. */
const pause = 40;

/**
 * Closes the loop: asks the live processes to load what is in force, and believes only what they then report. If they
 * do not within a few seconds: a touch, then a restart of one after the other, so that the others go on serving (S1-77).
 * @param sha256 of the manifest that they must report
 * @throws ApplianceError `model_not_loaded` with what each says; `not_deployed` when nothing runs that could load it
 */
export async function closeLoop(
  deps: LoopDeps,
  sha256: string,
  signal: AbortSignal,
  progress: (text: string) => void = () => undefined,
): Promise<Closed> {
  const { processes, clock, confirm } = deps;
  const began = clock.monotonic();
  const closed = (by: Closed['by'], all: readonly Loaded[]): Closed => ({
    by,
    replicas: all.length,
    elapsed: clock.monotonic() - began,
  });
  const replicas = await processes.replicas();
  if (replicas.length === 0)
    throw new ApplianceError('model_not_loaded', 'no process runs that could load the model', {
      left: 'the model is in force; whatever starts next loads it',
      hint: 'start the live release: appliance up',
    });
  let refusal: string | null = null;
  for (const by of ['reload', 'touch'] as const) {
    if (by === 'touch') {
      progress('touching the manifest: not every process has loaded it');
      await deps.touch(signal);
    }
    refusal = await processes.reload(replicas, signal);
    const all = await confirmed(deps, replicas, sha256, confirm, signal);
    if (agree(all, sha256)) return closed(by, all);
  }
  for (const { replica, sha256: loaded } of await processes.loaded(replicas, signal)) {
    if (loaded === sha256) continue;
    progress(`restarting ${replica.name}: it has not loaded the model`);
    await deps.restart(replica, signal);
  }
  // A restarted container may have another address.
  const fresh = await processes.replicas();
  const all = await confirmed(deps, fresh, sha256, confirm, signal);
  if (agree(all, sha256)) return closed('restart', all);
  const said = all.filter((one) => one.sha256 !== sha256).map((one) => `${one.replica.name}: ${one.said}`);
  throw new ApplianceError(
    'model_not_loaded',
    `the running processes have not loaded ${sha256.slice(0, 12)} after ${formatDuration(clock.monotonic() - began)}, a touch and a restart: ${said.join('; ')}${refusal === null ? '' : `; asked to load it: ${refusal}`}`,
    {
      left: 'they go on with the model that they have',
      hint: 'appliance logs shows why; appliance models rollback puts the version before in force',
    },
  );
}

function agree(all: readonly Loaded[], sha256: string): boolean {
  return all.length > 0 && all.every((one) => one.sha256 === sha256);
}

/** Asks until all agree or the time is over. */
async function confirmed(
  { processes, clock }: LoopDeps,
  replicas: readonly Replica[],
  sha256: string,
  patience: number,
  signal: AbortSignal,
): Promise<Loaded[]> {
  const until = clock.monotonic() + patience;
  for (;;) {
    const all = await processes.loaded(replicas, signal);
    if (agree(all, sha256) || clock.monotonic() >= until) return all;
    await clock.sleep(pause, signal);
  }
}
