import { isDeepStrictEqual } from 'node:util';
import type { Clock } from '../../lib/clock.ts';
import { ApplianceError, messageOf } from '../../lib/errors.ts';
import { formatDuration } from '../../lib/units.ts';
import type { Expected, Loaded, ModelProcesses, Reloaded, Replica } from './processes.ts';

export interface LoopDeps {
  readonly processes: ModelProcesses;
  readonly clock: Clock;
  /** Milliseconds for each of the ways before the next one is tried. */
  readonly confirm: number;
  /** Gives the manifest in force a newer time. */
  readonly touch: (signal: AbortSignal) => Promise<void>;
  /** Waits until a process may be restarted. @returns the digest of the manifest in force by then; null: none can be used */
  readonly settled: (signal: AbortSignal) => Promise<string | null>;
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
 * None is restarted once one has looked at the model and refused it, nor a second one when the first came back without
 * it: what they hold is good, and started anew they would have nothing. None either for a manifest that is no longer in
 * force: somebody else has put another one there, and closes the loop for that.
 * @throws ApplianceError `model_not_loaded` with what each says; `not_deployed` when nothing runs that could load it
 */
export async function closeLoop(
  deps: LoopDeps,
  expected: Expected,
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
  let answer: Reloaded = { refusal: null, rejected: false };
  for (const by of ['reload', 'touch'] as const) {
    if (by === 'touch') {
      progress('touching the manifest: not every process has loaded it');
      await deps.touch(signal);
    }
    answer = await processes.reload(replicas, signal);
    const all = await confirmed(deps, replicas, expected, confirm, signal);
    if (agree(all, expected)) return closed(by, all);
  }
  const failed = (tried: string, all: readonly Loaded[]): ApplianceError => {
    const said = all.filter((one) => !has(one, expected)).map((one) => `${one.replica.name}: ${one.said}`);
    return new ApplianceError(
      'model_not_loaded',
      `the running processes have not loaded ${nameOf(expected)} after ${formatDuration(clock.monotonic() - began)}, a touch and ${tried}: ${said.join('; ')}${answer.refusal === null ? '' : `; asked to load it: ${answer.refusal}`}`,
      {
        left: 'they go on with the model that they have',
        hint: 'appliance logs shows why; appliance models rollback puts the version before in force',
      },
    );
  };
  const restart = async (replica: Replica): Promise<void> => {
    progress(`restarting ${replica.name}: it has not loaded the model`);
    try {
      await deps.restart(replica, signal);
    } catch (error) {
      signal.throwIfAborted();
      // What it wrote last stands in its log, and the first line says what is wrong.
      const why = messageOf(error).split('\n', 1)[0];
      const now = await processes.loaded(await processes.replicas(), signal);
      throw failed(`a restart of ${replica.name}, the others were left alone (${why})`, now);
    }
    // A restarted container may have another address.
    const again = (await processes.replicas()).filter(({ id, name }) => id === replica.id || name === replica.name);
    const back = await confirmed(deps, again, expected, confirm, signal);
    if (!agree(back, expected)) throw failed(`a restart of ${replica.name}, the others were left alone`, back);
  };
  // A restart helps who did not notice. Whoever has the model in force, and only not the candidate, has noticed.
  const unaware = (one: Loaded): boolean => one.sha256 !== expected.sha256;
  const last = await processes.loaded(replicas, signal);
  if (answer.rejected || !last.some(unaware))
    throw failed('a second request (none restarted: what it holds is good)', last);
  const restarted = new Set<string>();
  for (;;) {
    const inForce = await deps.settled(signal);
    // That may have taken hours, and a deploy has put other processes there.
    const patience = restarted.size > 0 ? confirm : 0;
    const all = await confirmed(deps, await processes.replicas(), expected, patience, signal);
    if (agree(all, expected)) return closed(restarted.size > 0 ? 'restart' : 'touch', all);
    if (inForce !== expected.sha256) {
      const other = inForce === null ? 'nothing that can be used' : inForce.slice(0, 12);
      throw failed(`a second request (${restarted.size || 'none'} restarted: ${other} is in force by now)`, all);
    }
    const next = all.find((one) => unaware(one) && !restarted.has(one.replica.id));
    if (!next) throw failed('a restart', all);
    await restart(next.replica);
    restarted.add(next.replica.id);
  }
}

/**
 * As `closeLoop`, for whoever looks on beside operations: one that gives a candidate its share or takes it while this asks
 * proves that by itself, and what this has not found then is no news.
 * @param read what is in force, once no operation is changing it
 * @throws as `closeLoop`
 */
export async function closeLoopBeside(
  deps: LoopDeps,
  read: (signal: AbortSignal) => Promise<Expected>,
  signal: AbortSignal,
): Promise<Closed> {
  let expected = await read(signal);
  for (;;) {
    try {
      return await closeLoop(deps, expected, signal);
    } catch (error) {
      signal.throwIfAborted();
      const now = await read(signal);
      if (isDeepStrictEqual(now, expected)) throw error;
      expected = now;
    }
  }
}

const nameOf = ({ sha256, candidate }: Expected): string =>
  `${sha256.slice(0, 12)}${candidate ? ` and the candidate ${candidate.sha256.slice(0, 12)} with its share of ${candidate.weight}` : ''}`;

function has(loaded: Loaded, { sha256, candidate }: Expected): boolean {
  if (loaded.sha256 !== sha256) return false;
  if (candidate === undefined) return true;
  return loaded.candidate?.sha256 === candidate?.sha256 && loaded.candidate?.weight === candidate?.weight;
}

function agree(all: readonly Loaded[], expected: Expected): boolean {
  return all.length > 0 && all.every((one) => has(one, expected));
}

/** Asks until all agree or the time is over. */
async function confirmed(
  { processes, clock }: LoopDeps,
  replicas: readonly Replica[],
  expected: Expected,
  patience: number,
  signal: AbortSignal,
): Promise<Loaded[]> {
  const until = clock.monotonic() + patience;
  for (;;) {
    const all = await processes.loaded(replicas, signal);
    if (agree(all, expected) || clock.monotonic() >= until) return all;
    await clock.sleep(pause, signal);
  }
}
