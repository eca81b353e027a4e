import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import type { JobView } from '../api/schedule.ts';
import type { ApplianceEvent, OperationResult } from '../api/schema.ts';
import type { Database } from '../host/sqlite.ts';
import { type Clock, timestamp } from '../lib/clock.ts';
import { ApplianceError, asApplianceError } from '../lib/errors.ts';
import { didYouMean } from '../lib/near.ts';
import { type Due, due, lastSlot, type Moments, type Schedule, type SlotHistory } from '../lib/schedule.ts';
import type { Actor, Journal } from '../operations/journal.ts';
import { type ScheduledRun, ScheduleStore } from '../operations/schedule-store.ts';
import { agentActor } from './identity.ts';
import type { Operations, Prepared } from './operations.ts';

/** Something that runs by the clock, as an operation like any other: with a journal, one at a time. */
export interface Job {
  /** `backup`; the argument of `schedule run`. */
  readonly name: string;
  /** What it does, for people. */
  readonly title: string;
  readonly schedule: Schedule | Moments;
  /** IANA name of the zone whose clock counts. */
  readonly zone: string;
  /** Kind of the operation. */
  readonly kind: string;
  /** False: it is listed and can be run by hand, and the clock does not run it. */
  readonly enabled: boolean;
  /** @param slot name of the run that is due, or `by hand` @throws ApplianceError why it cannot be run */
  prepare(actor: Actor, slot: string): Promise<Prepared> | Prepared;
}

export interface ScheduleDeps {
  /** Name of the appliance; sets its jitter apart. */
  readonly name: string;
  readonly clock: Clock;
  readonly database: Database;
  readonly journal: Pick<Journal, 'operation' | 'recent'>;
  readonly operations: Pick<Operations, 'start' | 'reports'>;
  readonly jobs: readonly Job[];
  readonly onError: (error: ApplianceError) => void;
}

/** Milliseconds that a run waits for its turn, as for a rollout: until the next night at the most. */
const longestWait = 20 * 3_600_000;
/** Operations of the journal that are searched for one that a killed process has begun. */
const searched = 200;
/** What stands in the journal of an operation that a job has begun. */
const ofRun = z.object({ run: z.number() });
/** Runs of this very process; those of another one that are open were cut short. */
const self = randomUUID();
/** Numbers of the runs that this process has under way, whatever generation of the configuration began them. */
const underWay = new Set<number>();

/**
 * Runs jobs when they are due (S1-46). Whoever ticks may do so as rarely and unevenly as it likes: what is due is read
 * from the clock on the wall and from what the database says has been run.
 */
export class ScheduleService {
  readonly #deps: ScheduleDeps;
  readonly #store: ScheduleStore;

  constructor(deps: ScheduleDeps) {
    this.#deps = deps;
    this.#store = new ScheduleStore(deps.database);
  }

  /** Begins what is due, and settles what a killed process has left. Only the one writer may call it. Never throws. */
  tick(signal: AbortSignal): void {
    try {
      this.#settle();
      for (const job of this.#deps.jobs) {
        const { run } = this.#due(job);
        if (run && job.enabled && !signal.aborted) void this.#consume(job, run.key, signal);
      }
    } catch (error) {
      this.#deps.onError(asApplianceError(error));
    }
  }

  /**
   * Runs a job now; a success stands for the slot that came last.
   * @param wait milliseconds to wait for another operation
   * @throws ApplianceError `job_not_found`; `busy`
   */
  run(name: string, actor: Actor, wait: number, signal: AbortSignal): AsyncGenerator<ApplianceEvent> {
    const job = this.#deps.jobs.find((one) => one.name === name);
    if (!job) {
      const names = this.#deps.jobs.map((one) => one.name);
      throw new ApplianceError('job_not_found', `there is no job ${name}`, {
        left: 'nothing was touched',
        hint: didYouMean(name, names) ?? `there are ${names.join(', ')}`,
      });
    }
    const slot = lastSlot(this.#scheduled(job), this.#deps.clock.now());
    return this.#run(job, slot?.key ?? 'by hand', actor, wait, signal);
  }

  /** Every job: when it ran last, how that ended, and when it is next. */
  list(): JobView[] {
    return this.#deps.jobs.map((job) => {
      const { next, missing } = this.#due(job);
      const [last, success] = [this.#store.lastEnded(job.name), this.#store.lastSuccess(job.name)];
      const running = this.#store.recent(job.name, 1).find(({ result }) => result === 'running');
      return {
        name: job.name,
        title: job.title,
        schedule: wordsOf(job.schedule),
        zone: job.zone,
        enabled: job.enabled,
        state: !job.enabled ? 'off' : !running ? 'idle' : running.operation === null ? 'waiting' : 'running',
        waitsFor: running && running.operation === null ? this.#reason(job) : null,
        last: last ? viewOf(last) : null,
        lastSuccess: success ? timestamp(success.endedAt ?? success.startedAt) : null,
        nextRun: job.enabled && next !== null ? timestamp(next) : null,
        overdueSeconds: missing && job.enabled ? Math.max(0, (this.#deps.clock.now() - missing.at) / 1_000) : 0,
      };
    });
  }

  #scheduled(job: Job) {
    return { schedule: job.schedule, zone: job.zone, seed: `${this.#deps.name} ${job.name}` };
  }

  #due(job: Job): Due {
    const now = this.#deps.clock.now();
    const { readonly, memory } = this.#deps.database;
    const since = readonly || memory ? (this.#store.known(job.name) ?? now) : this.#store.since(job.name, now);
    const historyOf = (slot: string): SlotHistory => this.#store.history(job.name, slot);
    return due(this.#scheduled(job), since, historyOf, now);
  }

  /** What another operation does that a run waits for. */
  #reason(job: Job): string {
    return this.#deps.operations.reports.busy(job.kind).message;
  }

  async #consume(job: Job, slot: string, signal: AbortSignal): Promise<void> {
    try {
      for await (const _ of this.#run(job, slot, agentActor, longestWait, signal)) {
        // Whoever wants to watch follows the operation.
      }
    } catch (error) {
      if (!signal.aborted) this.#deps.onError(asApplianceError(error));
    }
  }

  /** Runs a job, and writes down that it began before it does and how it ended after it has. */
  async *#run(job: Job, slot: string, actor: Actor, wait: number, signal: AbortSignal): AsyncGenerator<ApplianceEvent> {
    const { clock, operations } = this.#deps;
    const id = this.#store.begin(job.name, slot, self, clock.now());
    underWay.add(id);
    let result: OperationResult | undefined;
    try {
      const wish = { kind: job.kind, input: { job: job.name, slot, run: id }, actor, wait };
      for await (const event of operations.start(wish, () => job.prepare(actor, slot), signal)) {
        if (event.event === 'operation-started') this.#store.runs(id, event.operation);
        if (event.event === 'operation-ended') {
          result = event.result;
          this.#end(id, result);
        }
        yield event;
      }
    } catch (error) {
      const { code, message } = asApplianceError(error);
      this.#store.end(id, code === 'interrupted' ? 'interrupted' : 'failed', clock.now(), message);
      throw error;
    } finally {
      underWay.delete(id);
    }
  }

  #end(id: number, { result, error }: Pick<OperationResult, 'result' | 'error'>): void {
    const message = error?.message ?? null;
    this.#store.end(id, result === 'done' ? 'done' : 'failed', this.#deps.clock.now(), message);
  }

  /**
   * What nobody has written the end of: the journal knows how the operation ended, and where there is none, the process
   * ended before it began. So a night that was cut short is tried again, and one that was whole is not run twice.
   */
  #settle(): void {
    for (const run of this.#store.open()) {
      if (underWay.has(run.id)) continue;
      const operation = run.operation === null ? this.#begunBy(run) : this.#deps.journal.operation(run.operation);
      if (operation?.result === 'running') {
        // It is being finished or taken back.
        if (run.operation === null) this.#store.runs(run.id, operation.id);
        continue;
      }
      const done = operation?.result === 'done';
      const why = operation?.error?.message ?? 'the agent or the host stopped before it began';
      this.#store.end(run.id, done ? 'done' : 'interrupted', this.#deps.clock.now(), done ? null : why);
    }
  }

  /** The operation of a run whose process ended before it could note which. */
  #begunBy({ id }: ScheduledRun) {
    return this.#deps.journal.recent(searched).find(({ input }) => ofRun.safeParse(input).data?.run === id);
  }
}

const weekdays = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday'] as const;

/** `daily at 02:00`. */
function wordsOf(schedule: Schedule | Moments): string {
  if ('words' in schedule) return schedule.words;
  const { at, weekday } = schedule;
  const clock = (time: number): string =>
    `${String(Math.floor(time / 60)).padStart(2, '0')}:${String(time % 60).padStart(2, '0')}`;
  const day = weekday === undefined ? 'daily' : `${weekdays[weekday] ?? 'weekly'}s`;
  return `${day} at ${at.map(clock).join(' and ')}`;
}

function viewOf({ slot, startedAt, endedAt, result, operation, error }: ScheduledRun): JobView['last'] {
  return {
    slot,
    startedAt: timestamp(startedAt),
    endedAt: endedAt === null ? null : timestamp(endedAt),
    result,
    operation,
    error,
  };
}
