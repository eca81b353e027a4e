import { randomBytes } from 'node:crypto';
import type { ApplianceEvent, OperationResult, RunningOperation, StepReport } from '../api/schema.ts';
import { type Clock, timestamp } from '../lib/clock.ts';
import { ApplianceError, asApplianceError } from '../lib/errors.ts';
import { formatDuration } from '../lib/units.ts';
import type { AuditLog } from '../operations/audit.ts';
import type {
  Actor,
  Journal,
  OperationOutcome,
  OperationRecord,
  StepRecord,
  StepState,
} from '../operations/journal.ts';
import { recover } from '../operations/recovery.ts';
import { type Planner, type Runner, type RunnerEvent, type RunOutcome, Suspension } from '../operations/runner.ts';
import type { EventHub } from './events.ts';

/** An operation before it has begun: what a recipe makes of the caller's wish. */
export interface Prepared {
  readonly kind: string;
  readonly target: string | null;
  readonly origin: string | null;
  readonly phases: readonly Planner[];
}

export interface OperationDeps {
  /** Told of each operation that has ended, after the journal knows it. */
  readonly onEnded?: (result: OperationResult) => void;
  readonly journal: Journal;
  readonly audit: AuditLog;
  readonly hub: EventHub;
  readonly clock: Clock;
  readonly runner: Runner;
  /** Kinds of operations that are finished rather than taken back when they were cut short. */
  readonly urgentKinds: ReadonlySet<string>;
  /** Gives up the space that is kept back, if the disk is full. */
  readonly makeRoom: () => void;
  /** Told of what went wrong and cannot be written down. */
  readonly onError: (error: ApplianceError) => void;
  /** Which operations are rollouts that have begun to shift traffic. */
  readonly rollouts: { hasBegun(operation: string): boolean };
  /** Findings of the analysis of a rollout. */
  readonly verdictsOf: (operation: string) => OperationResult['verdicts'];
}

/** Whose turn it is: one operation at a time. */
interface Turn {
  id: string;
  /** Resolves when it has ended, or was refused. */
  readonly done: Promise<void>;
  readonly abort: AbortController;
  /** When it began and when its step began, by the clock that is never set; undefined when another process began it. */
  readonly since: number | undefined;
  stepSince?: number;
  readonly end: () => void;
}

/** Runs one operation at a time and tells what happens. The lock between processes is held by whoever owns this object. */
export class Operations {
  readonly #deps: OperationDeps;
  #current: Turn | undefined;

  constructor(deps: OperationDeps) {
    this.#deps = deps;
  }

  /** What is running right now. */
  running(): RunningOperation | null {
    const record = this.#current && this.#deps.journal.operation(this.#current.id);
    if (!record) return null;
    const steps = this.#deps.journal.steps(record.id);
    const done = steps.filter((step) => step.state === 'verified').length;
    return {
      id: record.id,
      kind: record.kind,
      step: steps.find((step) => step.state !== 'verified')?.plan.action ?? null,
      progress: steps.length === 0 ? 0 : Math.round((100 * done) / steps.length),
      actor: record.actor,
      startedAt: timestamp(record.startedAt),
    };
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
    const turn = await this.#turn(id, wish.kind, wish.wait, signal);
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

  /** The events of an operation: what already stands in the journal, then what happens, until it has ended. */
  async *follow(id: string, signal: AbortSignal): AsyncGenerator<ApplianceEvent> {
    const record = this.#deps.journal.operation(id);
    if (!record) throw new ApplianceError('operation_not_found', `there is no operation ${id}`);
    const events = this.#deps.hub.subscribe(signal);
    yield this.#startedEvent(record);
    const steps = this.#deps.journal.steps(id);
    yield plannedEvent(id, this.#now(), steps);
    for (const step of steps) if (step.state !== 'pending') yield this.#stepEvent(id, step);
    if (record.result !== 'running') {
      await events.return(undefined);
      yield { event: 'operation-ended', time: this.#now(), operation: id, kind: record.kind, result: this.result(id) };
      return;
    }
    yield* ofOperation(events, id);
  }

  /**
   * Finishes or takes back what is open: since the last writer ended, or since the disk was full.
   * @returns how each has ended; nothing while something runs
   */
  async recover(signal: AbortSignal): Promise<OperationResult[]> {
    const open = this.#current ? [] : this.#deps.journal.open();
    const [first] = open;
    if (!first) return [];
    const turn = this.#take(first.id, undefined);
    const stop = (): void => this.stop();
    signal.addEventListener('abort', stop, { once: true });
    if (signal.aborted) this.stop();
    const results: OperationResult[] = [];
    for (const record of open) {
      turn.id = record.id;
      const work = (): Promise<RunOutcome> => recover(record, this.#deps, turn.abort.signal);
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
      const settled = await this.#run(record.id, () => recover(record, this.#deps, signal), undefined);
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
    this.#current?.abort.abort(new ApplianceError('interrupted', 'interrupted'));
  }

  /** This process ends: a rollout is left to the next one, everything else is taken back. */
  stop(): void {
    if (this.#current && this.#deps.rollouts.hasBegun(this.#current.id)) this.#current.abort.abort(new Suspension());
    else this.interrupt();
  }

  /** Resolves when nothing runs any more. */
  async idle(): Promise<void> {
    while (this.#current) await this.#current.done;
  }

  /** Makes room for what brings the machine back to a known state, and for nothing else. */
  onRunnerWrite(operation: string, state: StepState): void {
    const back = state === 'failed' || state === 'undoing' || state === 'undone';
    if (back || this.#deps.urgentKinds.has(this.#deps.journal.operation(operation)?.kind ?? '')) this.#deps.makeRoom();
  }

  /** Passes on what the runner tells. */
  onRunnerEvent(event: RunnerEvent): void {
    const time = this.#now();
    const { operation } = event;
    if (event.kind === 'planned') {
      this.#deps.hub.publish(plannedEvent(operation, time, this.#deps.journal.steps(operation)));
    } else if (event.kind === 'progress') {
      this.#deps.hub.publish({ event: 'progress', time, operation, index: event.position, text: event.text });
    } else {
      const { position: index, step, detail, elapsed } = event;
      const state = eventState(event.state);
      if (this.#current) this.#current.stepSince = this.#deps.clock.monotonic() - elapsed;
      this.#deps.hub.publish({
        event: 'step',
        time,
        operation,
        index,
        name: step.action,
        title: step.title,
        state,
        seconds: elapsed / 1_000,
        detail,
      });
    }
  }

  /** The last line of `deploy --json` (CONTRACT "JSON shapes"). */
  result(id: string): OperationResult {
    const { journal } = this.#deps;
    const record = journal.operation(id);
    if (!record) throw new ApplianceError('operation_not_found', `there is no operation ${id}`);
    const steps = journal.steps(id);
    return {
      operation: id,
      kind: record.kind,
      from: record.origin,
      to: record.target,
      result: record.result === 'running' ? 'failed' : record.result,
      startedAt: timestamp(record.startedAt),
      actor: record.actor.user,
      seconds: this.#elapsed(record) / 1_000,
      shiftSeconds:
        record.shiftedAt === null ? null : (record.shiftElapsed ?? between(record.startedAt, record.shiftedAt)) / 1_000,
      steps: steps.map(report),
      verdicts: [...steps.flatMap((step) => (step.finding ? [step.finding] : [])), ...this.#deps.verdictsOf(id)],
      ...(record.error ? { error: record.error } : {}),
    };
  }

  /** Waits until nothing else runs, and takes the turn in that very instant. @throws ApplianceError `busy` */
  async #turn(id: string, kind: string, wait: number, signal: AbortSignal): Promise<Turn> {
    const { clock } = this.#deps;
    const until = clock.monotonic() + wait;
    while (this.#current) {
      const left = until - clock.monotonic();
      if (left <= 0) throw this.#busy(kind);
      await Promise.race([this.#current.done, clock.sleep(left, signal)]);
      signal.throwIfAborted();
    }
    return this.#take(id, clock.monotonic());
  }

  #take(id: string, since: number | undefined): Turn {
    const { promise: done, resolve } = Promise.withResolvers<void>();
    const turn: Turn = {
      id,
      done,
      abort: new AbortController(),
      since,
      end: () => {
        this.#current = undefined;
        resolve();
      },
    };
    this.#current = turn;
    return turn;
  }

  /** Title of the step that an operation is at. */
  #title(id: string): string | undefined {
    return this.#deps.journal.steps(id).find(({ state }) => state !== 'verified')?.plan.title;
  }

  #busy(kind: string): ApplianceError {
    const running = this.running();
    if (!running) return new ApplianceError('busy', 'another operation is just beginning', { hint: 'try again' });
    const record = this.#deps.journal.operation(running.id);
    const age = formatDuration(Math.round(record ? this.#elapsed(record) : 0));
    const target = record?.target;
    return new ApplianceError(
      'busy',
      `${running.kind}${target ? ` ${target}` : ''} is running: begun by ${running.actor.user}${running.actor.ssh ? ` from ${running.actor.ssh}` : ''} ${age} ago, now at "${this.#title(running.id) ?? 'its plan'}" (${running.progress} %)`,
      {
        left: 'it goes on; nothing was touched',
        hint: this.#deps.rollouts.hasBegun(running.id)
          ? 'appliance abort takes the rollout back at once; appliance status shows how far it is'
          : `wait for it: appliance ${kind} … --wait 5m`,
      },
    );
  }

  #begin(id: string, wish: { kind: string; input: unknown; actor: Actor }, prepared: Prepared): void {
    const { journal, audit, hub, clock } = this.#deps;
    const { target, origin } = prepared;
    journal.atomically(() => {
      journal.begin({ id, kind: prepared.kind, target, origin, input: wish.input, actor: wish.actor }, clock.now());
      audit.append(this.#now(), wish.actor, prepared.kind, target, 'begun');
    });
    const record = journal.operation(id);
    if (record) hub.publish(this.#startedEvent(record));
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
      result = this.result(id);
    } catch (thrown) {
      result = this.#leftOpen(id, asApplianceError(thrown));
    }
    turn?.end();
    this.#tellEnd(result);
    const { kind } = result;
    this.#deps.hub.publish({ event: 'operation-ended', time: this.#now(), operation: id, kind, result });
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
    const result = this.result(id);
    const error = new ApplianceError('manual_intervention', `the ${result.kind} is left open: ${cause.message}`, {
      left: 'traffic goes on; once there is space the agent finishes it or takes it back by itself',
      hint: 'free some space below the state directory, then look: appliance status; without an agent: appliance up',
      cause,
    });
    return { ...result, result: 'manual', error: error.toBody() };
  }

  /** A refusal that cannot be written down is still a refusal. */
  #auditRefusal({ actor, kind }: { kind: string; actor: Actor }, error: ApplianceError): void {
    try {
      this.#deps.audit.append(this.#now(), actor, kind, null, `refused: ${error.code}`);
    } catch (thrown) {
      this.#deps.onError(asApplianceError(thrown));
    }
  }

  /** Milliseconds that an operation took, or has taken so far. */
  #elapsed({ id, elapsed, startedAt, endedAt }: OperationRecord): number {
    const { clock } = this.#deps;
    const since = this.#current?.id === id ? this.#current.since : undefined;
    return elapsed ?? (since === undefined ? between(startedAt, endedAt ?? clock.now()) : clock.monotonic() - since);
  }

  #startedEvent(record: OperationRecord): ApplianceEvent {
    return {
      event: 'operation-started',
      time: timestamp(record.startedAt),
      operation: record.id,
      kind: record.kind,
      target: record.target,
      actor: record.actor,
      steps: [],
    };
  }

  #stepEvent(operation: string, step: StepRecord): ApplianceEvent {
    const { clock } = this.#deps;
    const time = timestamp(step.endedAt ?? step.startedAt ?? clock.now());
    const begun = this.#current?.id === operation ? this.#current.stepSince : undefined;
    const running = begun === undefined ? 0 : clock.monotonic() - begun;
    const seconds = (step.endedAt === null ? running : tookOf(step)) / 1_000;
    const { position: index, detail } = step;
    const { action: name, title } = step.plan;
    return { event: 'step', time, operation, index, name, title, state: eventState(step.state), seconds, detail };
  }

  #now(): string {
    return timestamp(this.#deps.clock.now());
  }
}

type EventState = Extract<ApplianceEvent, { event: 'step' }>['state'];

function eventState(state: StepRecord['state']): EventState {
  if (state === 'pending' || state === 'applying') return 'running';
  if (state === 'applied') return 'verifying';
  if (state === 'verified') return 'done';
  return state;
}

function plannedEvent(operation: string, time: string, steps: readonly StepRecord[]): ApplianceEvent {
  return {
    event: 'planned',
    time,
    operation,
    steps: steps.map(({ plan }) => ({ name: plan.action, title: plan.title })),
  };
}

function report(step: StepRecord): StepReport {
  const states = {
    pending: 'pending',
    applying: 'running',
    applied: 'running',
    verified: 'done',
    failed: 'failed',
    undoing: 'running',
    undone: 'undone',
  } as const;
  return {
    name: step.plan.action,
    state: states[step.state],
    seconds: tookOf(step) / 1_000,
    detail: step.detail,
  };
}

/** Milliseconds by the wall clock, for what nobody measured: two processes have no other clock in common. */
function between(from: number, to: number): number {
  return Math.max(0, to - from);
}

/** Milliseconds that a step took. */
function tookOf({ elapsed, startedAt, endedAt }: StepRecord): number {
  return elapsed ?? (startedAt === null ? 0 : between(startedAt, endedAt ?? startedAt));
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
