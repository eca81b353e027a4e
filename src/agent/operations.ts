import { randomBytes } from 'node:crypto';
import type { ApplianceEvent, OperationResult } from '../api/schema.ts';
import { timestamp } from '../lib/clock.ts';
import { ApplianceError, asApplianceError } from '../lib/errors.ts';
import { againHint } from '../operations/again.ts';
import type { AuditLog } from '../operations/audit.ts';
import type { Actor, OperationOutcome, StepState } from '../operations/journal.ts';
import { recover } from '../operations/recovery.ts';
import { type Planner, type Runner, type RunnerEvent, type RunOutcome, Suspension } from '../operations/runner.ts';
import type { EventHub } from './events.ts';
import { OperationReports, type ReportDeps } from './operation-reports.ts';
import { type Turn, Turns } from './turns.ts';

/** An operation before it has begun: what a recipe makes of the caller's wish. */
export interface Prepared {
  readonly kind: string;
  readonly target: string | null;
  readonly origin: string | null;
  readonly phases: readonly Planner[];
}

export interface OperationDeps extends ReportDeps {
  /** Told of each operation that has ended, after the journal knows it. */
  readonly onEnded?: (result: OperationResult) => void;
  readonly audit: AuditLog;
  readonly hub: EventHub;
  readonly runner: Runner;
  /** Shared by all generations of one process; its own by default. */
  readonly turns?: Turns | undefined;
  /** Kinds of operations that are finished rather than taken back when they were cut short. */
  readonly urgentKinds: ReadonlySet<string>;
  /** Kinds that are finished likewise, without being urgent: a night that was cut short goes on where it stopped. */
  readonly finishedKinds?: ReadonlySet<string>;
  /** Kinds that change nothing and are run again by themselves: they are ended for any other. */
  readonly yieldingKinds?: ReadonlySet<string>;
  /** Gives up the space that is kept back, if the disk is full. */
  readonly makeRoom: () => void;
  /** Told of what went wrong and cannot be written down. */
  readonly onError: (error: ApplianceError) => void;
}

/** Milliseconds that work which was told to end may take for it: restic removes its lock. */
const longestEnd = 30_000;

/** Runs one operation at a time and tells what happens. The lock between processes is held by whoever owns this object. */
export class Operations {
  readonly #deps: OperationDeps;
  readonly #recovery: Pick<OperationDeps, 'journal' | 'runner' | 'urgentKinds'>;
  readonly #turns: Turns;
  /** What is told of the operations of this appliance. */
  readonly reports: OperationReports;

  constructor(deps: OperationDeps) {
    this.#deps = deps;
    this.#recovery = { ...deps, urgentKinds: new Set([...deps.urgentKinds, ...(deps.finishedKinds ?? [])]) };
    this.#turns = deps.turns ?? new Turns(deps.clock);
    this.reports = new OperationReports(deps, this.#turns);
  }

  /**
   * Begins an operation and tells its events until it has ended. It goes on when nobody listens any more.
   * @param prepare turns the wish into a plan; what it throws leaves no trace but the audit
   * @param wait milliseconds to wait for a running operation
   * @throws ApplianceError `busy` with who holds the lock, what they do and since when
   */
  async *start(
    wish: { readonly kind: string; readonly input: unknown; readonly actor: Actor; readonly wait: number },
    prepare: () => Promise<Prepared> | Prepared,
    signal: AbortSignal,
  ): AsyncGenerator<ApplianceEvent> {
    const id = `${wish.kind}-${randomBytes(5).toString('hex')}`;
    const wait = Math.max(wish.wait, this.#interruptFor(wish.kind));
    const about = { kind: wish.kind, user: wish.actor.user, idle: false };
    const turn = await this.#turns.next(id, wait, signal, () => this.reports.busy(wish.kind), about);
    const events = this.#deps.hub.subscribe(signal);
    try {
      if (this.#deps.urgentKinds.has(wish.kind)) this.#deps.makeRoom();
      await this.#settleOpen(turn.abort.signal);
      const prepared = await prepare();
      this.#begin(id, wish, prepared);
      void this.#run(id, () => this.#deps.runner.run(id, prepared.phases, turn.abort.signal), turn);
    } catch (thrown) {
      const error = asApplianceError(thrown);
      this.#auditRefusal(wish, error);
      turn.end();
      await events.return(undefined);
      throw error;
    }
    yield* ofOperation(events, id);
  }

  /**
   * Takes a turn for work that changes nothing of the stack and needs no journal, such as proving the repository of backups.
   * @param wish.wait milliseconds to wait for a running operation
   * @param work gets a signal that aborts when the caller goes away or this process ends
   * @throws ApplianceError `busy`; what the work throws
   */
  async alone<T>(
    { kind, wait, actor }: { readonly kind: string; readonly wait: number; readonly actor: Actor },
    work: (signal: AbortSignal) => Promise<T>,
    signal: AbortSignal,
  ): Promise<T> {
    const about = { kind, user: actor.user, idle: true };
    const turn = await this.#turns.next(kind, wait, signal, () => this.reports.busy(kind), about);
    try {
      return await work(AbortSignal.any([signal, turn.abort.signal]));
    } finally {
      turn.end();
    }
  }

  /** Nobody who must go back waits for work that can be done again. @returns milliseconds that it may take to end */
  #interruptFor(kind: string): number {
    const { current } = this.#turns;
    if (!current) return 0;
    const journalled = this.#deps.journal.operation(current.id)?.kind;
    const yields =
      journalled !== undefined && journalled !== kind && this.#deps.yieldingKinds?.has(journalled) === true;
    if (!yields && !(current.about?.idle && this.#deps.urgentKinds.has(kind))) return 0;
    const what = current.about?.kind ?? journalled ?? current.id;
    current.abort.abort(
      new ApplianceError('interrupted', `${what} was ended for a ${kind}`, {
        left: 'nothing was touched',
        hint: yields ? 'it is run again by itself' : `run it again: appliance ${what} --wait`,
      }),
    );
    return longestEnd;
  }

  /** The events of an operation: what already stands in the journal, then what happens, until it has ended. */
  async *follow(id: string, signal: AbortSignal): AsyncGenerator<ApplianceEvent> {
    this.reports.record(id);
    const events = this.#deps.hub.subscribe(signal);
    for (const event of this.reports.past(id)) {
      yield event;
      if (event.event === 'operation-ended') {
        await events.return(undefined);
        return;
      }
    }
    yield* ofOperation(events, id);
  }

  /**
   * Finishes or takes back what is open: since the last writer ended, or since the disk was full.
   * @returns how each has ended; nothing while something runs
   */
  async recover(signal: AbortSignal): Promise<OperationResult[]> {
    const open = this.#turns.current ? [] : this.#deps.journal.open();
    const [first] = open;
    if (!first) return [];
    const turn = this.#turns.take(first.id, undefined);
    const stop = (): void => this.stop();
    signal.addEventListener('abort', stop, { once: true });
    if (signal.aborted) this.stop();
    const results: OperationResult[] = [];
    for (const record of open) {
      turn.id = record.id;
      const work = (): Promise<RunOutcome> => recover(record, this.#recovery, turn.abort.signal);
      const result = await this.#run(record.id, work, record === open.at(-1) ? turn : undefined);
      if (result) results.push(result);
    }
    signal.removeEventListener('abort', stop);
    return results;
  }

  /**
   * Settles what a full disk has left open, within the turn of the next operation.
   * @throws ApplianceError `disk_full`; `busy` for a rollout
   */
  async #settleOpen(signal: AbortSignal): Promise<void> {
    for (const record of this.#deps.journal.open()) {
      // It may take hours, which nobody waits for who wants something else.
      if (this.#deps.rollouts.hasBegun(record.id)) {
        throw new ApplianceError('busy', `the rollout of ${record.target} is open`, {
          left: 'nothing was touched; the agent goes on with it once there is space',
          hint: 'appliance abort takes it back at once; appliance status shows how far it is',
        });
      }
      const settled = await this.#run(record.id, () => recover(record, this.#recovery, signal), undefined);
      if (this.#deps.journal.operation(record.id)?.result !== 'running') continue;
      const { error } = settled ?? {};
      throw new ApplianceError('disk_full', `the ${record.kind} before it is still open: ${error?.message}`, {
        left: error?.left,
        hint: error?.hint,
      });
    }
  }

  /** Asks the running operation to stop and take back what it did. */
  interrupt(): void {
    const turn = this.#turns.current;
    const record = turn && this.#deps.journal.operation(turn.id);
    turn?.abort.abort(
      new ApplianceError('interrupted', 'interrupted', {
        left: 'what it had done is taken back',
        hint: record && againHint(record),
      }),
    );
  }

  /** This process ends: a rollout is left to the next one, everything else is taken back. */
  stop(): void {
    const turn = this.#turns.current;
    if (!turn) return;
    const record = this.#deps.journal.operation(turn.id);
    turn.abort.abort(
      this.#deps.rollouts.hasBegun(turn.id)
        ? new Suspension()
        : new ApplianceError('interrupted', 'the agent was stopped', { hint: record && againHint(record) }),
    );
  }

  /** Resolves when nothing runs any more. */
  async idle(): Promise<void> {
    await this.#turns.idle();
  }

  /** Makes room for what brings the machine back to a known state, and for nothing else. */
  onRunnerWrite(operation: string, state: StepState): void {
    const back = state === 'failed' || state === 'undoing' || state === 'undone';
    if (back || this.#deps.urgentKinds.has(this.#deps.journal.operation(operation)?.kind ?? '')) this.#deps.makeRoom();
  }

  /** Passes on what the runner tells. */
  onRunnerEvent(event: RunnerEvent): void {
    const turn = this.#turns.current;
    if (event.kind === 'step' && turn) turn.stepSince = this.#deps.clock.monotonic() - event.elapsed;
    this.#deps.hub.publish(this.reports.live(event));
  }

  #begin(id: string, wish: { kind: string; input: unknown; actor: Actor }, prepared: Prepared): void {
    const { journal, audit, hub, clock } = this.#deps;
    const { target, origin } = prepared;
    journal.atomically(() => {
      journal.begin({ id, kind: prepared.kind, target, origin, input: wish.input, actor: wish.actor }, clock.now());
      audit.append(this.#now(), wish.actor, prepared.kind, target, 'begun');
    });
    hub.publish(this.reports.started(this.reports.record(id)));
  }

  /**
   * Runs an operation to its end. Never throws.
   * @param turn ends with it
   * @returns undefined when it was left open for the next writer
   */
  async #run(
    id: string,
    work: () => Promise<RunOutcome>,
    turn: Turn | undefined,
  ): Promise<OperationResult | undefined> {
    let result: OperationResult;
    try {
      const outcome = await this.#outcome(work);
      if (outcome.result === 'suspended') {
        turn?.end();
        return undefined;
      }
      this.#end(id, outcome.result, outcome.error, turn?.since);
      result = this.reports.result(id);
    } catch (thrown) {
      result = this.#leftOpen(id, asApplianceError(thrown));
    }
    turn?.end();
    this.#tellEnd(result);
    this.#deps.hub.publish(this.reports.ended(result));
    return result;
  }

  /** What listeners make of an end changes nothing about it. */
  #tellEnd(result: OperationResult): void {
    try {
      this.#deps.onEnded?.(result);
    } catch (error) {
      this.#deps.onError(asApplianceError(error));
    }
  }

  /** @throws ApplianceError `disk_full` when the journal cannot be written, so that nobody knows how far it came */
  async #outcome(work: () => Promise<RunOutcome>): Promise<RunOutcome> {
    try {
      return await work();
    } catch (thrown) {
      const error = asApplianceError(thrown);
      if (error.code === 'disk_full') throw error;
      return { result: 'failed', error };
    }
  }

  #end(id: string, result: OperationOutcome, error: ApplianceError | null, since: number | undefined): void {
    const { journal, audit, clock, makeRoom } = this.#deps;
    makeRoom();
    journal.atomically(() => {
      const elapsed = since === undefined ? undefined : clock.monotonic() - since;
      journal.end(id, result, clock.now(), error?.toBody() ?? null, elapsed);
      const record = journal.operation(id);
      if (record) audit.append(this.#now(), record.actor, record.kind, record.target, result);
    });
  }

  /** How an operation has ended for its caller when its end cannot be written: open, until there is room. */
  #leftOpen(id: string, cause: ApplianceError): OperationResult {
    this.#deps.onError(cause);
    const result = this.reports.result(id);
    const error = new ApplianceError('manual_intervention', `the ${result.kind} is left open: ${cause.message}`, {
      left: 'traffic goes on; once there is space the agent finishes it or takes it back by itself',
      hint: 'free some space below the state directory, then look: appliance status; without an agent: appliance up',
      cause,
    });
    return { ...result, error: error.toBody() };
  }

  /** A refusal that cannot be written down is still a refusal. */
  #auditRefusal({ actor, kind }: { kind: string; actor: Actor }, error: ApplianceError): void {
    try {
      this.#deps.audit.append(this.#now(), actor, kind, null, `refused: ${error.code}`);
    } catch (thrown) {
      this.#deps.onError(asApplianceError(thrown));
    }
  }

  #now(): string {
    return timestamp(this.#deps.clock.now());
  }
}

/** The events of one operation, up to and with its end. */
async function* ofOperation(events: AsyncGenerator<ApplianceEvent>, id: string): AsyncGenerator<ApplianceEvent> {
  try {
    for await (const event of events) {
      if (!('operation' in event) || event.operation !== id) continue;
      yield event;
      if (event.event === 'operation-ended') return;
    }
  } finally {
    await events.return(undefined);
  }
}
