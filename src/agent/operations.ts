import { randomBytes } from 'node:crypto';
import type { ApplianceEvent, OperationResult, RunningOperation, StepReport } from '../api/schema.ts';
import { type Clock, timestamp } from '../lib/clock.ts';
import { ApplianceError, asApplianceError } from '../lib/errors.ts';
import { formatDuration } from '../lib/units.ts';
import type { AuditLog } from '../operations/audit.ts';
import type { Actor, Journal, OperationRecord, StepRecord } from '../operations/journal.ts';
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
  /** Which operations are rollouts that have begun to shift traffic. */
  readonly rollouts: { hasBegun(operation: string): boolean };
  /** Findings of the analysis of a rollout. */
  readonly verdictsOf: (operation: string) => OperationResult['verdicts'];
}

interface Current {
  readonly id: string;
  /** Resolves when it has ended, or was refused. */
  readonly done: Promise<void>;
  readonly abort: AbortController;
}

/** Runs one operation at a time and tells what happens. The lock between processes is held by whoever owns this object. */
export class Operations {
  readonly #deps: OperationDeps;
  #current: Current | undefined;

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
    await this.#turn(wish.kind, wish.wait, signal);
    const id = `${wish.kind}-${randomBytes(5).toString('hex')}`;
    const events = this.#deps.hub.subscribe(signal);
    const abort = new AbortController();
    const { promise: done, resolve } = Promise.withResolvers<void>();
    this.#current = { id, done, abort };
    try {
      const prepared = await prepare();
      this.#begin(id, wish, prepared);
      void this.#run(id, () => this.#deps.runner.run(id, prepared.phases, abort.signal)).finally(resolve);
    } catch (thrown) {
      const error = asApplianceError(thrown);
      this.#deps.audit.append(this.#now(), wish.actor, wish.kind, null, `refused: ${error.code}`);
      this.#current = undefined;
      resolve();
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

  /** Finishes or takes back what was open when the last writer ended. */
  async recover(signal: AbortSignal): Promise<OperationResult[]> {
    const { journal, runner, urgentKinds } = this.#deps;
    const results: OperationResult[] = [];
    for (const record of journal.open()) {
      const abort = new AbortController();
      const { promise: done, resolve } = Promise.withResolvers<void>();
      this.#current = { id: record.id, done, abort };
      const stop = (): void => this.stop();
      signal.addEventListener('abort', stop, { once: true });
      if (signal.aborted) this.stop();
      const result = await this.#run(record.id, () => recover(record, { journal, runner, urgentKinds }, abort.signal));
      signal.removeEventListener('abort', stop);
      resolve();
      if (result) results.push(result);
    }
    return results;
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
    const { journal, clock } = this.#deps;
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
      seconds: ((record.endedAt ?? clock.now()) - record.startedAt) / 1_000,
      shiftSeconds: record.shiftedAt === null ? null : (record.shiftedAt - record.startedAt) / 1_000,
      steps: steps.map(report),
      verdicts: [...steps.flatMap((step) => (step.finding ? [step.finding] : [])), ...this.#deps.verdictsOf(id)],
      ...(record.error ? { error: record.error } : {}),
    };
  }

  /** Waits until nothing else runs. @throws ApplianceError `busy` */
  async #turn(kind: string, wait: number, signal: AbortSignal): Promise<void> {
    const { clock } = this.#deps;
    const until = clock.monotonic() + wait;
    while (this.#current) {
      const left = until - clock.monotonic();
      if (left <= 0) throw this.#busy(kind);
      await Promise.race([this.#current.done, clock.sleep(left, signal)]);
      signal.throwIfAborted();
    }
  }

  /** Title of the step that an operation is at. */
  #title(id: string): string | undefined {
    return this.#deps.journal.steps(id).find(({ state }) => state !== 'verified')?.plan.title;
  }

  #busy(kind: string): ApplianceError {
    const running = this.running();
    if (!running) return new ApplianceError('busy', 'another operation is just beginning', { hint: 'try again' });
    const age = formatDuration(this.#deps.clock.now() - Date.parse(running.startedAt));
    const target = this.#deps.journal.operation(running.id)?.target;
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
    journal.begin({ id, kind: prepared.kind, target, origin, input: wish.input, actor: wish.actor }, clock.now());
    audit.append(this.#now(), wish.actor, prepared.kind, target, 'begun');
    const record = journal.operation(id);
    if (record) hub.publish(this.#startedEvent(record));
  }

  /** @returns undefined when it was left open for the next writer */
  async #run(id: string, work: () => Promise<RunOutcome>): Promise<OperationResult | undefined> {
    const { journal, audit, hub, clock } = this.#deps;
    let outcome: RunOutcome;
    try {
      outcome = await work();
    } catch (thrown) {
      outcome = { result: 'failed', error: asApplianceError(thrown) };
    }
    if (outcome.result === 'suspended') {
      this.#current = undefined;
      return undefined;
    }
    journal.end(id, outcome.result, clock.now(), outcome.error?.toBody() ?? null);
    const record = journal.operation(id);
    const result = this.result(id);
    if (record) audit.append(this.#now(), record.actor, record.kind, record.target, outcome.result);
    this.#current = undefined;
    this.#deps.onEnded?.(result);
    hub.publish({ event: 'operation-ended', time: this.#now(), operation: id, kind: result.kind, result });
    return result;
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
    const time = timestamp(step.endedAt ?? step.startedAt ?? this.#deps.clock.now());
    const seconds = ((step.endedAt ?? this.#deps.clock.now()) - (step.startedAt ?? this.#deps.clock.now())) / 1_000;
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
    seconds: step.startedAt === null ? 0 : ((step.endedAt ?? step.startedAt) - step.startedAt) / 1_000,
    detail: step.detail,
  };
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
