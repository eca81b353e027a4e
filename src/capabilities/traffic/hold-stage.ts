import { z } from 'zod';
import { type Colour, colours } from '../../lib/colour.ts';
import { ApplianceError, messageOf } from '../../lib/errors.ts';
import { formatDuration } from '../../lib/units.ts';
import type { Finding } from '../../lib/verdict.ts';
import { defineStep, type StepContext, type StepType } from '../../operations/step.ts';
import { type Assessment, type Decision, decide, judgedFindings } from './rollout-decision.ts';
import type { RolloutStore, StageKind } from './rollout-store.ts';

/** A release on its colour. */
export interface Side {
  readonly release: string;
  readonly tag: string;
  readonly colour: Colour;
}

/** What is asked about a stage. Times are milliseconds. */
export interface Question {
  /** The policy as it was when the rollout began. */
  readonly rules: string;
  readonly candidate: Side;
  /** What it is compared with; null where nothing was live before. */
  readonly baseline: Side | null;
  readonly kind: StageKind;
  /** Share that the candidate gets, 0 to 100. */
  readonly weight: number;
  readonly minRequests: number;
  /** Milliseconds since 1970: when the first stage began, and this one. */
  readonly rolloutSince: number;
  readonly since: number;
  readonly now: number;
  /** Milliseconds that it was watched, and that are left of its least time. */
  readonly held: number;
  readonly left: number;
}

export interface RolloutDeps {
  readonly store: RolloutStore;
  /** Judges what has been measured. What it cannot see it calls inconclusive. */
  readonly assess: (question: Question, signal: AbortSignal) => Promise<Assessment>;
  /** Asks every container of a release at its own address. */
  readonly healthy: (side: Side, context: StepContext) => Promise<Finding>;
  /** Who sends declared requests to a release while a stage of it is held, where a policy allows that. */
  readonly load?: (rules: string, candidate: Side) => Promise<HeldLoad | undefined>;
}

/** Declared requests for the time of one stage. */
export interface HeldLoad {
  /** How many more answers are wanted; 0: none. */
  want(answers: number): void;
  stop(): Promise<void>;
}

const side = z.object({ release: z.string(), tag: z.string(), colour: z.enum(colours) });
const duration = z.number().min(0);
const argsSchema = z.object({
  position: z.number().int().min(0),
  kind: z.enum(['stage', 'bake']),
  candidate: side,
  baseline: side.nullable(),
  /** Share that the candidate gets, 0 to 100. */
  weight: z.number(),
  /** Milliseconds: the least time, the time between two looks, and how much longer it may stay inconclusive. */
  duration,
  every: duration,
  patience: duration,
  minRequests: z.number().min(0),
});
export type HoldStageArgs = z.output<typeof argsSchema>;

/** A colour is called unhealthy after so many looks in a row: one answer may be late. */
const tolerated = 3;
/** Most that counts between two looks, in periods: while the machine slept, nobody watched. */
const longestGap = 3;

/**
 * Step type `hold-stage`: watches a share of traffic, or a release that has all of it, until its policy lets it pass. A
 * failure fails the step, which takes the release back. Cut short, it goes on with the time that is left.
 */
export function holdStage(deps: RolloutDeps): StepType<HoldStageArgs> {
  return defineStep({
    action: 'hold-stage',
    args: argsSchema,
    apply: async (args, context) => {
      const watch = new Watch(deps, args, context);
      try {
        return await watch.run();
      } finally {
        await watch.end();
        deps.store.settle(context.operation);
      }
    },
  });
}

/** One stage while it is held. */
class Watch {
  readonly #deps: RolloutDeps;
  readonly #args: HoldStageArgs;
  readonly #context: StepContext;
  /** Milliseconds that the stage was watched. */
  #held = 0;
  #unhealthy = 0;
  #load: HeldLoad | undefined;

  constructor(deps: RolloutDeps, args: HoldStageArgs, context: StepContext) {
    this.#deps = deps;
    this.#args = args;
    this.#context = context;
  }

  async run(): Promise<string> {
    const { store } = this.#deps;
    const { operation, clock, signal } = this.#context;
    const { position, every } = this.#args;
    const stage = store.enter(operation, this.#args, clock.now());
    if (stage.outcome === 'passed' || stage.outcome === 'promoted') return this.#done(stage.outcome);
    this.#held = stage.held;
    this.#load = await this.#deps.load?.(store.of(operation)?.rules ?? '', this.#args.candidate);
    for (let before = clock.monotonic(); ; ) {
      const changed = store.changeOf(operation);
      const assessment = await this.#assess(stage.startedAt);
      const now = clock.monotonic();
      const rollout = store.of(operation);
      if (rollout?.wish !== 'pause') this.#held += Math.min(now - before, Math.max(1_000, every * longestGap));
      before = now;
      const { promoted } = store.stage(operation, position);
      const state = { wish: rollout?.wish ?? 'run', promoted, held: this.#held, assessment };
      const decision = decide(this.#args, state);
      const findings = judgedFindings(assessment);
      const waiting = decision.do === 'hold' ? decision.waiting : '';
      store.look(operation, position, { held: this.#held, waiting, findings });
      if (decision.do === 'back') throw this.#back(decision, rollout?.reason ?? null);
      if (decision.do === 'advance') {
        store.leave(operation, position, decision.outcome, clock.now());
        return this.#done(decision.outcome);
      }
      this.#context.progress(waiting);
      this.#load?.want(state.wish === 'run' ? (assessment.toSend ?? 0) : 0);
      await this.#sleep(every, changed, signal);
      // Whoever pauses or calls it off does not wait for the next look.
      if (store.of(operation)?.wish !== 'run') this.#load?.want(0);
    }
  }

  /** Whatever ends the stage ends what was sent for it: a verdict, a person, a stop of the agent. */
  async end(): Promise<void> {
    await this.#load?.stop();
  }

  async #assess(since: number): Promise<Assessment> {
    const { assess, store } = this.#deps;
    const { operation, clock, signal } = this.#context;
    const { candidate, baseline, kind, weight, minRequests } = this.#args;
    const rollout = store.of(operation);
    const health = await this.#health();
    let seen: Assessment;
    try {
      seen = await assess(
        {
          rules: rollout?.rules ?? '',
          candidate,
          baseline,
          kind,
          weight,
          minRequests,
          rolloutSince: rollout?.startedAt ?? since,
          since,
          now: clock.now(),
          held: this.#held,
          left: Math.max(0, this.#args.duration - this.#held),
        },
        signal,
      );
    } catch (error) {
      signal.throwIfAborted();
      // An analysis that fails is no reason to go back, and even less one to go on.
      const observed = `the analysis failed: ${messageOf(error)}`;
      seen = { gates: [{ id: 'analysis', verdict: 'inconclusive', observed }], rollback: [], investigate: [] };
    }
    // Health is a gate: one bad look holds the stage, several in a row take the release back.
    return this.#unhealthy < tolerated
      ? { ...seen, gates: [...seen.gates, health] }
      : { ...seen, rollback: [health, ...seen.rollback] };
  }

  /** One look at the containers. An engine that does not answer says nothing about the release. */
  async #health(): Promise<Finding> {
    const { signal } = this.#context;
    try {
      const finding = await this.#deps.healthy(this.#args.candidate, this.#context);
      this.#unhealthy = finding.verdict === 'fail' ? this.#unhealthy + 1 : 0;
      return finding;
    } catch (error) {
      signal.throwIfAborted();
      const observed = messageOf(error);
      return { id: `healthy-${this.#args.candidate.colour}`, verdict: 'inconclusive', observed };
    }
  }

  #back(decision: Extract<Decision, { do: 'back' }>, reason: string | null): ApplianceError {
    const { tag } = this.#args.candidate;
    this.#deps.store.leave(this.#context.operation, this.#args.position, decision.outcome, this.#context.clock.now());
    const who = decision.outcome === 'aborted' && reason !== null ? ` by ${reason}` : '';
    return new ApplianceError(decision.code, `${tag} was taken back at ${this.#place()}: ${decision.why}${who}`, {
      left: 'all traffic is on the release before it',
      hint:
        decision.outcome === 'inconclusive'
          ? 'send it more traffic, or pass a stage by hand next time: appliance promote'
          : decision.outcome === 'failed'
            ? 'the verdicts of this deploy (--json) have every number'
            : undefined,
    });
  }

  #place(): string {
    const { kind, weight } = this.#args;
    return kind === 'bake' ? 'the watch after the shift' : `${weight} %`;
  }

  #done(outcome: 'passed' | 'promoted'): string {
    return `${this.#place()} ${outcome === 'promoted' ? 'passed by hand' : 'passed'} after ${formatDuration(this.#held)}`;
  }

  /** Until the next look, or until somebody wants something else. */
  async #sleep(ms: number, changed: AbortSignal, signal: AbortSignal): Promise<void> {
    try {
      await this.#context.clock.sleep(Math.max(1, ms), AbortSignal.any([changed, signal]));
    } catch {
      signal.throwIfAborted();
    }
  }
}
