import type { Clock } from '../lib/clock.ts';
import { ApplianceError, asApplianceError, type ErrorCode } from '../lib/errors.ts';
import { formatDuration } from '../lib/units.ts';
import { mendedHint } from './again.ts';
import type { Journal, OperationOutcome, StepRecord, StepState } from './journal.ts';
import type { BoundStep, PlannedStep, StepContext, StepType } from './step.ts';

/** What the runner tells whoever listens. Transitions are told after they stand in the journal. */
export type RunnerEvent =
  | { readonly kind: 'planned'; readonly operation: string; readonly steps: readonly PlannedStep[] }
  | {
      readonly kind: 'step';
      readonly operation: string;
      readonly position: number;
      readonly step: PlannedStep;
      readonly state: StepState;
      /** Milliseconds since the step began. */
      readonly elapsed: number;
      readonly detail: string;
    }
  | { readonly kind: 'progress'; readonly operation: string; readonly position: number; readonly text: string };

export interface RunnerDeps {
  readonly journal: Journal;
  readonly clock: Clock;
  /** Every step type that a plan may name. */
  readonly steps: ReadonlyMap<string, Pick<StepType<never>, 'action' | 'bind'>>;
  readonly onEvent: (event: RunnerEvent) => void | Promise<void>;
  /** Told of each transition before it is written: the disk may be full, and space may be kept back for it. */
  readonly onWrite?: (operation: string, state: StepState) => void;
  /** How long an aborted step may take to notice, in milliseconds, before it is left behind. Default: 15,000. */
  readonly abortGrace?: number;
}

/** Looks at the machine and says what to do. */
export type Planner = (signal: AbortSignal) => Promise<readonly PlannedStep[]>;

export interface RunOutcome {
  /** `suspended`: left open in the journal, for the next writer to go on with. */
  readonly result: OperationOutcome | 'suspended';
  readonly error: ApplianceError | null;
}

/**
 * The reason with which a signal leaves an operation open instead of taking it back: a rollout of many hours survives an
 * agent that is told to stop, just as it survives one that is killed.
 */
export class Suspension extends Error {
  override readonly name = 'Suspension';
}

/** How often, and how far apart, a step is taken back before a person is asked. */
const undoAttempts = 20;
const undoPause = 3_000;
/** What may be restarting, so that taking back is worth all attempts. */
const passing: ReadonlySet<ErrorCode> = new Set(['engine_unreachable', 'edge_unreachable', 'database_unreachable']);

/**
 * Runs planned steps in order; on a failure takes back, in reverse order, what was begun. Knows nothing about what the
 * steps do.
 */
export class Runner {
  readonly #deps: RunnerDeps;
  /** When operations began that this process has begun, by the clock that is never set. */
  readonly #begun = new Map<string, number>();

  constructor(deps: RunnerDeps) {
    this.#deps = deps;
  }

  /**
   * Plans and runs an operation that stands in the journal. The outcome says how it ended.
   * @throws ApplianceError only when the journal cannot be written (`disk_full`): the operation stays open then, and
   *   `recover` settles it once there is room
   * @param phases planners; each sees the machine as the steps before it left it
   */
  async run(operation: string, phases: readonly Planner[], signal: AbortSignal): Promise<RunOutcome> {
    this.#begun.set(operation, this.#deps.clock.monotonic());
    try {
      return await this.#phases(operation, phases, signal);
    } finally {
      this.#begun.delete(operation);
    }
  }

  async #phases(operation: string, phases: readonly Planner[], signal: AbortSignal): Promise<RunOutcome> {
    let outcome: RunOutcome = { result: 'done', error: null };
    for (const plan of phases) {
      try {
        const steps = await plan(signal);
        this.#deps.journal.plan(operation, steps);
        await this.#deps.onEvent({ kind: 'planned', operation, steps });
      } catch (error) {
        return this.back(operation, asApplianceError(error));
      }
      outcome = await this.forward(operation, signal);
      if (outcome.result !== 'done') break;
    }
    return outcome;
  }

  /** Goes on from the first step that is not verified. Safe after a crash, because steps are idempotent. */
  async forward(operation: string, signal: AbortSignal): Promise<RunOutcome> {
    for (const record of this.#deps.journal.steps(operation)) {
      if (record.state === 'verified') continue;
      const error = await this.#runStep(operation, record, signal);
      if (error === 'suspended') return { result: 'suspended', error: null };
      if (error === null || record.plan.optional) continue;
      return this.back(operation, error);
    }
    return { result: 'done', error: null };
  }

  /** Takes back every step that was begun, last first. */
  async back(operation: string, why: ApplianceError): Promise<RunOutcome> {
    const begun = this.#deps.journal.steps(operation).filter((record) => record.state !== 'pending');
    const pivoted = begun.some((record) => record.plan.pivot);
    for (const record of begun.filter(({ state }) => state !== 'undone').reverse()) {
      const failure = await this.#undoStep(operation, record);
      if (failure !== null)
        return { result: 'manual', error: this.#needsPerson(operation, record.plan.title, why, failure) };
    }
    const lasting = begun.flatMap(({ plan }) => this.#bind(plan).lasting?.() ?? []);
    return { result: pivoted ? 'rolled_back' : 'failed', error: withLasting(why, lasting) };
  }

  #needsPerson(operation: string, title: string, why: ApplianceError, failure: ApplianceError): ApplianceError {
    const record = this.#deps.journal.operation(operation);
    const hints = [...(failure.hint ? [failure.hint] : []), ...(record ? [mendedHint(record)] : [])];
    const message = `${why.message}; taking back "${title}" failed too: ${failure.message}`;
    return new ApplianceError('manual_intervention', message, {
      left: 'the journal keeps what is open; traffic stays where it is',
      hint: hints.join('; then '),
      cause: why,
    });
  }

  async #runStep(
    operation: string,
    record: StepRecord,
    signal: AbortSignal,
  ): Promise<ApplianceError | 'suspended' | null> {
    const { plan, position } = record;
    const { clock } = this.#deps;
    const started = clock.monotonic();
    const deadline = AbortSignal.timeout(plan.deadline);
    const context = this.#context(operation, position, AbortSignal.any([signal, deadline]));
    let detail = '';
    try {
      signal.throwIfAborted();
      const bound = this.#bind(plan);
      await this.#mark(operation, record, 'applying', started, '');
      detail = await this.#settled(bound.apply(context), context.signal);
      context.signal.throwIfAborted();
      await this.#mark(operation, record, 'applied', started, detail);
      const finding = bound.verify && (await this.#settled(bound.verify(context), context.signal));
      if (finding && finding.verdict !== 'pass') {
        throw new ApplianceError(
          'step_failed',
          `${plan.title}: ${finding.observed}${finding.expected ? ` (expected ${finding.expected})` : ''}`,
          {
            hint: finding.hint,
          },
        );
      }
      if (plan.pivot) this.#shifted(operation);
      await this.#mark(operation, record, 'verified', started, detail, finding);
      return null;
    } catch (thrown) {
      if (signal.reason instanceof Suspension) return 'suspended';
      const error =
        deadline.aborted && !signal.aborted
          ? new ApplianceError('timeout', `${plan.title}: not done after ${formatDuration(plan.deadline)}`, {
              cause: thrown,
            })
          : signal.aborted
            ? interrupted(plan.title, signal.reason, thrown)
            : asApplianceError(thrown);
      await this.#mark(operation, record, 'failed', started, error.message);
      return error;
    }
  }

  #shifted(operation: string): void {
    const { journal, clock } = this.#deps;
    const begun = this.#begun.get(operation);
    journal.shifted(operation, clock.now(), begun === undefined ? undefined : clock.monotonic() - begun);
  }

  async #undoStep(operation: string, record: StepRecord): Promise<ApplianceError | null> {
    const { clock } = this.#deps;
    const started = clock.monotonic();
    let bound: BoundStep;
    try {
      bound = this.#bind(record.plan);
    } catch (error) {
      return asApplianceError(error);
    }
    if (!bound.undo) return null;
    await this.#mark(operation, record, 'undoing', started, record.detail);
    for (let attempt = 1; ; attempt += 1) {
      const deadline = AbortSignal.timeout(record.plan.deadline);
      try {
        await this.#settled(bound.undo(this.#context(operation, record.position, deadline)), deadline);
        await this.#mark(operation, record, 'undone', started, record.detail);
        return null;
      } catch (thrown) {
        if (deadline.aborted) {
          const what = `it was not taken back after ${formatDuration(record.plan.deadline)}`;
          return new ApplianceError('timeout', what, { cause: thrown });
        }
        const error = asApplianceError(thrown);
        const worthWaiting = passing.has(error.code) || attempt < 3;
        // A step that asks for a person has tried for as long as it may.
        if (error.code === 'manual_intervention' || !worthWaiting || attempt >= undoAttempts) return error;
        await clock.sleep(undoPause);
      }
    }
  }

  /** Waits for work, but not forever once the signal has aborted: an engine that hangs answers to nobody. */
  async #settled<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
    const { promise: leftBehind, reject } = Promise.withResolvers<never>();
    let timer: NodeJS.Timeout | undefined;
    const give = (): void => {
      timer = setTimeout(() => reject(signal.reason), this.#deps.abortGrace ?? 15_000);
    };
    if (signal.aborted) give();
    else signal.addEventListener('abort', give, { once: true });
    try {
      return await Promise.race([work, leftBehind]);
    } finally {
      clearTimeout(timer);
      signal.removeEventListener('abort', give);
    }
  }

  #bind(plan: PlannedStep): BoundStep {
    const type = this.#deps.steps.get(plan.action);
    if (!type) {
      throw new ApplianceError(
        'state_corrupt',
        `the journal names a step "${plan.action}" that this version does not know`,
        {
          hint: 'install the version that began the operation, let it finish, then upgrade again',
        },
      );
    }
    return type.bind(plan.args);
  }

  #context(operation: string, position: number, signal: AbortSignal): StepContext {
    return {
      operation,
      signal,
      clock: this.#deps.clock,
      progress: (text) => {
        void this.#deps.onEvent({ kind: 'progress', operation, position, text });
      },
    };
  }

  async #mark(
    operation: string,
    record: StepRecord,
    state: StepState,
    started: number,
    detail: string,
    finding?: unknown,
  ): Promise<void> {
    const { journal, clock, onEvent, onWrite } = this.#deps;
    onWrite?.(operation, state);
    const elapsed = clock.monotonic() - started;
    const forward = state === 'applied' || state === 'verified' || state === 'failed';
    journal.step(operation, record.position, state, clock.now(), {
      detail,
      ...(forward ? { elapsed } : {}),
      ...(finding === undefined ? {} : { finding }),
    });
    await onEvent({
      kind: 'step',
      operation,
      position: record.position,
      step: record.plan,
      state,
      elapsed,
      detail,
    });
  }
}

/** An error that also says what could not be taken back. */
function withLasting(error: ApplianceError, lasting: readonly string[]): ApplianceError {
  if (lasting.length === 0) return error;
  const { code, message, hint, cause } = error;
  const left = [...(error.left === undefined ? [] : [error.left]), ...lasting].join('; ');
  return new ApplianceError(code, message, { left, hint, cause });
}

/** The error of a step that was cut short; who stopped it knows what comes next. */
function interrupted(title: string, reason: unknown, cause: unknown): ApplianceError {
  const { message, left, hint } =
    reason instanceof ApplianceError ? reason : new ApplianceError('interrupted', 'interrupted');
  return new ApplianceError('interrupted', `${title}: ${message}`, { left, hint, cause });
}
