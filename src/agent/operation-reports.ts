import type { ApplianceEvent, OperationResult, OperationView, RunningOperation, StepReport } from '../api/schema.ts';
import { type Clock, timestamp } from '../lib/clock.ts';
import { ApplianceError } from '../lib/errors.ts';
import { formatDuration } from '../lib/units.ts';
import type { Journal, OperationRecord, StepRecord } from '../operations/journal.ts';
import type { RunnerEvent } from '../operations/runner.ts';
import type { Turns } from './turns.ts';

export interface ReportDeps {
  readonly journal: Journal;
  readonly clock: Clock;
  /** Which operations are rollouts that have begun to shift traffic. */
  readonly rollouts: { hasBegun(operation: string): boolean };
  /** Findings of the analysis of a rollout. */
  readonly verdictsOf: (operation: string) => OperationResult['verdicts'];
  /** What its steps have reported besides. */
  readonly reportsOf?: (operation: string) => Pick<OperationResult, 'drains' | 'shadow'>;
}

/** What is told of operations: by the journal, and by the clock of the one that runs. */
export class OperationReports {
  readonly #deps: ReportDeps;
  readonly #turns: Turns;

  constructor(deps: ReportDeps, turns: Turns) {
    this.#deps = deps;
    this.#turns = turns;
  }

  /** What is running right now. */
  running(): RunningOperation | null {
    const id = this.#turns.current?.id;
    const record = id === undefined ? undefined : this.#deps.journal.operation(id);
    if (!record) return null;
    const steps = this.#deps.journal.steps(record.id);
    const done = steps.filter((step) => step.state === 'verified').length;
    return {
      id: record.id,
      kind: record.kind,
      step: unfinished(steps)?.plan.action ?? null,
      progress: steps.length === 0 ? 0 : Math.round((100 * done) / steps.length),
      actor: record.actor,
      startedAt: timestamp(record.startedAt),
    };
  }

  /** The last line of `deploy --json` (CONTRACT "JSON shapes"). What could not be ended needs a person. */
  result(id: string): OperationResult {
    const { result, ...rest } = this.view(id);
    return { ...rest, result: result === 'running' ? 'manual' : result };
  }

  /** How an operation has ended, or how far it is. */
  view(id: string): OperationView {
    const record = this.record(id);
    const steps = this.#deps.journal.steps(id);
    return {
      operation: id,
      kind: record.kind,
      from: record.origin,
      to: record.target,
      result: record.result,
      startedAt: timestamp(record.startedAt),
      actor: record.actor.user,
      seconds: this.#elapsed(record) / 1_000,
      shiftSeconds:
        record.shiftedAt === null ? null : (record.shiftElapsed ?? between(record.startedAt, record.shiftedAt)) / 1_000,
      steps: steps.map(report),
      verdicts: [...steps.flatMap((step) => (step.finding ? [step.finding] : [])), ...this.#deps.verdictsOf(id)],
      ...this.#deps.reportsOf?.(id),
      ...(record.error ? { error: record.error } : {}),
    };
  }

  /** @throws ApplianceError `operation_not_found` */
  record(id: string): OperationRecord {
    const record = this.#deps.journal.operation(id);
    if (!record) throw new ApplianceError('operation_not_found', `there is no operation ${id}`);
    return record;
  }

  /** The refusal of an operation while another one runs. */
  busy(kind: string): ApplianceError {
    const running = this.running();
    const { about, since } = this.#turns.current ?? {};
    if (!running) {
      const age = formatDuration(Math.round(this.#deps.clock.monotonic() - (since ?? 0)));
      const what = about
        ? `${about.kind} is running: begun by ${about.user} ${age} ago`
        : 'another operation is running';
      return new ApplianceError('busy', about && !about.idle ? `${what}, now at its plan` : what, {
        left: 'it goes on; nothing was touched',
        hint: waitHint(kind),
      });
    }
    const record = this.#deps.journal.operation(running.id);
    const age = formatDuration(Math.round(record ? this.#elapsed(record) : 0));
    const target = record?.target ? ` ${record.target}` : '';
    const from = running.actor.ssh ? ` from ${running.actor.ssh}` : '';
    const title = unfinished(this.#deps.journal.steps(running.id))?.plan.title ?? 'its plan';
    return new ApplianceError(
      'busy',
      `${running.kind}${target} is running: begun by ${running.actor.user}${from} ${age} ago, now at "${title}" (${running.progress} %)`,
      {
        left: 'it goes on; nothing was touched',
        hint: this.#deps.rollouts.hasBegun(running.id)
          ? 'appliance abort takes the rollout back at once; appliance status shows how far it is'
          : waitHint(kind),
      },
    );
  }

  /** All that has happened to an operation so far, as events. */
  *past(id: string): Generator<ApplianceEvent> {
    const record = this.record(id);
    yield this.started(record);
    yield this.planned(id);
    for (const step of this.#deps.journal.steps(id)) if (step.state !== 'pending') yield this.#step(id, step);
    if (record.result !== 'running') yield this.ended(this.result(id));
  }

  started({ id, kind, target, actor, startedAt }: OperationRecord): ApplianceEvent {
    const time = timestamp(startedAt);
    return { event: 'operation-started', time, operation: id, kind, target, actor, steps: [] };
  }

  planned(operation: string): ApplianceEvent {
    const steps = this.#deps.journal.steps(operation).map(({ plan }) => ({ name: plan.action, title: plan.title }));
    return { event: 'planned', time: this.#now(), operation, steps };
  }

  ended(result: OperationResult): ApplianceEvent {
    const { operation, kind } = result;
    return { event: 'operation-ended', time: this.#now(), operation, kind, result };
  }

  /** What the runner tells, for those who listen. */
  live(event: RunnerEvent): ApplianceEvent {
    const { operation } = event;
    const time = this.#now();
    if (event.kind === 'planned') return this.planned(operation);
    if (event.kind === 'progress') {
      return { event: 'progress', time, operation, index: event.position, text: event.text };
    }
    const { position: index, detail } = event;
    const { action: name, title } = event.step;
    const [state, seconds] = [eventState(event.state), event.elapsed / 1_000];
    return { event: 'step', time, operation, index, name, title, state, seconds, detail };
  }

  #step(operation: string, step: StepRecord): ApplianceEvent {
    const { clock } = this.#deps;
    const time = timestamp(step.endedAt ?? step.startedAt ?? clock.now());
    const begun = this.#turns.of(operation)?.stepSince;
    const running = begun === undefined ? 0 : clock.monotonic() - begun;
    const seconds = (step.endedAt === null ? running : tookOf(step)) / 1_000;
    const { position: index, detail } = step;
    const { action: name, title } = step.plan;
    return { event: 'step', time, operation, index, name, title, state: eventState(step.state), seconds, detail };
  }

  /** Milliseconds that an operation took, or has taken so far. */
  #elapsed({ id, elapsed, startedAt, endedAt }: OperationRecord): number {
    const { clock } = this.#deps;
    const since = this.#turns.of(id)?.since;
    return elapsed ?? (since === undefined ? between(startedAt, endedAt ?? clock.now()) : clock.monotonic() - since);
  }

  #now(): string {
    return timestamp(this.#deps.clock.now());
  }
}

function unfinished(steps: readonly StepRecord[]): StepRecord | undefined {
  return steps.find(({ state }) => state !== 'verified');
}

type EventState = Extract<ApplianceEvent, { event: 'step' }>['state'];

function eventState(state: StepRecord['state']): EventState {
  if (state === 'pending' || state === 'applying') return 'running';
  if (state === 'applied') return 'verifying';
  if (state === 'verified') return 'done';
  return state;
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

/** @param kind of an operation, or the words of a verb */
function waitHint(kind: string): string {
  const verb = kind
    .replace(/^model-/, 'models ')
    .replace(/^backup-/, 'backup ')
    .replace(/^backup$/, 'backup now');
  return `wait for it: appliance ${verb} … --wait 5m`;
}
