import { z } from 'zod';
import type { ApplianceEvent, Rollout } from '../api/schema.ts';
import { verdictOfStage } from '../capabilities/traffic/index.ts';
import type { JudgedFinding, RolloutStore, StageRecord } from '../capabilities/traffic/rollout-store.ts';
import { type Clock, timestamp } from '../lib/clock.ts';
import { ApplianceError } from '../lib/errors.ts';
import type { ShadowReport } from '../lib/shadow.ts';
import type { AuditLog } from '../operations/audit.ts';
import type { Actor, Journal } from '../operations/journal.ts';
import type { EventHub } from './events.ts';

export interface RolloutsDeps {
  readonly store: RolloutStore;
  readonly journal: Journal;
  readonly audit: AuditLog;
  readonly hub: EventHub;
  readonly clock: Clock;
  /** What copies of requests have shown. */
  readonly shadowOf: (operation: string) => ShadowReport | undefined;
  /** Told of each look at a stage. */
  readonly onSeen: (rollout: Rollout) => void;
}

/** What people see of progressive rollouts, and what they may tell a running one. */
export class Rollouts {
  readonly #deps: RolloutsDeps;

  constructor(deps: RolloutsDeps) {
    this.#deps = deps;
    deps.store.onChange = (operation) => this.#tell(operation);
  }

  /** The rollout that runs now, or null. */
  current(): Rollout | null {
    const open = this.#deps.journal.open().find(({ id }) => this.#deps.store.of(id));
    return open ? this.view(open.id) : null;
  }

  /** How far the rollout of an operation is; null when it is none. */
  view(operation: string): Rollout | null {
    const { store } = this.#deps;
    const rollout = store.of(operation);
    if (!rollout) return null;
    const done = store.stages(operation);
    const planned = this.#planned(operation);
    const last = done.at(-1);
    return {
      operation,
      policy: rollout.policy,
      to: rollout.candidate,
      from: rollout.baseline,
      state: states[rollout.wish],
      stage: last ? last.position + 1 : 0,
      stages: Math.max(planned.length, last ? last.position + 1 : 0),
      kind: last?.kind ?? 'stage',
      weight: last?.weight ?? 0,
      secondsHeld: (last?.held ?? 0) / 1_000,
      secondsAtLeast: (last?.duration ?? 0) / 1_000,
      waiting: last?.waiting ?? null,
      verdict: last ? verdictOfStage(last.findings) : 'inconclusive',
      findings: last?.findings ?? [],
      shadow: this.#deps.shadowOf(operation) ?? null,
      history: done.map(summary),
      ahead: planned
        .filter(({ position }) => position > (last?.position ?? -1))
        .map(({ kind, weight, duration }) => ({ kind, weight, secondsAtLeast: duration / 1_000 })),
    };
  }

  /** Every number that the analysis has seen, stage by stage: part of the verdicts of a deploy. */
  findings(operation: string): JudgedFinding[] {
    return this.#deps.store.stages(operation).flatMap(({ findings, position, kind, weight }) => {
      const where = kind === 'stage' ? `stage ${position + 1}, ${weight} %` : kind;
      return findings.map((finding) => ({ ...finding, id: `${finding.id} (${where})` }));
    });
  }

  pause(actor: Actor): Rollout {
    return this.#want('pause', actor);
  }

  resume(actor: Actor): Rollout {
    return this.#want('run', actor);
  }

  /** Passes the stage that is held, or with `all` every stage that is left. */
  promote(actor: Actor, all: boolean): Rollout {
    const { store } = this.#deps;
    if (all) return this.#want('finish', actor);
    const { operation } = this.#goingOn();
    const held = store.stages(operation).find(({ endedAt }) => endedAt === null);
    if (!held) {
      throw new ApplianceError('rollout_not_found', 'the rollout holds no stage at this moment', {
        left: 'it goes on as before',
        hint: 'look at it with appliance status and try again',
      });
    }
    store.promote(operation, held.position, actor.user);
    return this.#record('promote', operation, actor);
  }

  abort(actor: Actor): Rollout {
    return this.#want('abort', actor);
  }

  #want(wish: 'pause' | 'run' | 'finish' | 'abort', actor: Actor): Rollout {
    const { operation } = wish === 'abort' ? this.#running() : this.#goingOn();
    this.#deps.store.want(operation, wish, actor.user);
    return this.#record(verbs[wish], operation, actor);
  }

  /** The rollout that may still go on: one that was called off cannot be talked out of it. */
  #goingOn(): Rollout {
    const running = this.#running();
    if (running.state !== 'aborting') return running;
    throw new ApplianceError('rollout_not_found', `the rollout of ${running.to} is being taken back already`, {
      left: 'it goes on being taken back',
    });
  }

  #running(): Rollout {
    const rollout = this.current();
    if (rollout) return rollout;
    throw new ApplianceError('rollout_not_found', 'no rollout is running', {
      left: 'nothing was touched',
      hint: 'appliance deploy TAG --policy NAME begins one; appliance rollback goes back from a release that is live',
    });
  }

  #record(verb: string, operation: string, actor: Actor): Rollout {
    const { audit, clock } = this.#deps;
    const rollout = this.view(operation) ?? this.#running();
    audit.append(timestamp(clock.now()), actor, verb, rollout.to, 'done');
    return rollout;
  }

  #planned(operation: string): z.output<typeof plannedStageSchema>[] {
    return this.#deps.journal
      .steps(operation)
      .filter(({ plan }) => plan.action === 'hold-stage' || plan.action === 'shadow-traffic')
      .map(({ plan }) => plannedStageSchema.parse(plan.args));
  }

  #tell(operation: string): void {
    const rollout = this.view(operation);
    if (!rollout) return;
    const event: ApplianceEvent = { event: 'rollout', time: timestamp(this.#deps.clock.now()), operation, rollout };
    this.#deps.hub.publish(event);
    this.#deps.onSeen(rollout);
  }
}

/** What the plan of a stage says of it; copies of requests are a stage without a share. */
const plannedStageSchema = z.object({
  position: z.number(),
  kind: z.enum(['stage', 'bake', 'shadow']).default('shadow'),
  weight: z.number().default(0),
  duration: z.number(),
});

const states = { run: 'running', pause: 'paused', finish: 'finishing', abort: 'aborting' } as const;
const verbs = { run: 'resume', pause: 'pause', finish: 'promote', abort: 'abort' } as const;

function summary({ weight, kind, held, outcome, promoted }: StageRecord): Rollout['history'][number] {
  return { weight, kind, secondsHeld: held / 1_000, outcome, promotedBy: promoted };
}
