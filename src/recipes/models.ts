import type { PlannedStep, StepType } from '../operations/step.ts';

/** A registered version of a model. */
export interface ModelSide {
  readonly id: number;
  readonly name: string;
  readonly version: string;
  readonly sha256: string;
}

/** A version that answers a share of the requests beside the one in force. */
export interface ModelShare {
  readonly candidate: ModelSide;
  /** Above 0 and below 1. */
  readonly weight: number;
}

/** What the recipes of models put in order. */
export interface ModelSteps {
  readonly gateModel: StepType<{
    readonly candidate: ModelSide;
    readonly baseline: ModelSide | null;
    readonly actor: string;
    readonly acceptInconclusive: boolean;
  }>;
  readonly holdModel: StepType<{ readonly baseline: ModelSide | null }>;
  readonly switchModel: StepType<{ readonly to: ModelSide; readonly from: ModelSide | null }>;
  readonly confirmModel: StepType<{ readonly to: ModelSide }>;
  readonly recordModel: StepType<{
    readonly to: ModelSide;
    readonly from: ModelSide | null;
    readonly actor: string;
    readonly event: 'promoted' | 'rolled-back';
    readonly reason: string | null;
  }>;
  readonly splitModel: StepType<{ readonly to: ModelShare | null; readonly before: ModelShare | null }>;
  readonly recordSplit: StepType<{
    readonly candidate: ModelSide;
    readonly weight: number | null;
    readonly actor: string;
    readonly reason: string | null;
  }>;
  readonly watchSplit: StepType<{
    readonly candidate: ModelSide;
    readonly baseline: ModelSide;
    readonly duration: number;
  }>;
  readonly trainModel: StepType<{ readonly marker: string; readonly actor: string }>;
  readonly bakeModel: StepType<{ readonly to: ModelSide; readonly duration: number; readonly patience: number }>;
}

export interface PromotionFacts {
  readonly candidate: ModelSide;
  /** What is in force now; null before the first promotion. */
  readonly baseline: ModelSide | null;
  /** What is being compared with the model in force; it ends when another one is put in force. */
  readonly split: ModelShare | null;
  readonly actor: string;
  readonly reason: string | null;
  readonly acceptInconclusive: boolean;
  /** Milliseconds. */
  readonly bake: number;
  readonly patience: number;
  /** Milliseconds that running processes may take, restarts included. */
  readonly confirm: number;
}

/** Two weeks, in milliseconds: timers of Node.js end at 24.8 days. */
const longest = 14 * 86_400_000;

/**
 * From a registered version to one that serves: gates, one rename, proof by the running processes, a watch (S3-18). Pure.
 * A failure after the rename takes the rename back, and proves that processes have loaded the old model again.
 */
export function planPromotion(facts: PromotionFacts, steps: ModelSteps): PlannedStep[] {
  const { candidate, baseline, actor, acceptInconclusive, bake, patience } = facts;
  const label = `${candidate.name}@${candidate.version}`;
  return [
    steps.gateModel.plan(
      { candidate, baseline, actor, acceptInconclusive },
      {
        title: `test ${label} against its gates`,
        cause: 'no model serves that has not proven itself',
        deadline: 900_000,
      },
    ),
    ...inForce(facts, 'promoted', steps),
    steps.bakeModel.plan(
      { to: candidate, duration: bake, patience },
      {
        title: `watch ${label} for ${bake / 1_000} s`,
        cause: 'some failures show only under traffic',
        deadline: Math.min(longest, bake + patience + 60_000),
      },
    ),
  ];
}

/** The way back to an older version: it has passed its gates once, and somebody needs it now (S2-18, S3-17). Pure. */
export function planModelRollback(facts: PromotionFacts, steps: ModelSteps): PlannedStep[] {
  return inForce(facts, 'rolled-back', steps);
}

/** Has the application train; what comes out is registered under a marker, by which the next phase finds it. Pure. */
export function planRetraining(
  { marker, actor, timeout }: { readonly marker: string; readonly actor: string; readonly timeout: number },
  steps: ModelSteps,
): PlannedStep[] {
  return [
    steps.trainModel.plan(
      { marker, actor },
      {
        title: 'have the application train, and register what comes out',
        cause: 'asked for; promoted only if it is better (S3-26)',
        deadline: timeout,
      },
    ),
  ];
}

function inForce(
  { candidate, baseline, split, actor, reason, confirm }: PromotionFacts,
  event: 'promoted' | 'rolled-back',
  steps: ModelSteps,
): PlannedStep[] {
  const label = `${candidate.name}@${candidate.version}`;
  return [
    steps.holdModel.plan(
      { baseline },
      {
        title: baseline
          ? `keep ${baseline.name}@${baseline.version} for the way back`
          : 'note that no model was before',
        cause: 'a failure goes back to it by itself, and proves that it serves',
        deadline: confirm,
      },
    ),
    steps.switchModel.plan(
      { to: candidate, from: baseline },
      { title: `put ${label} in force`, cause: 'one rename: there is no moment without a model', pivot: true },
    ),
    ...(split
      ? [
          steps.splitModel.plan(
            // A candidate that fails with all of the requests does not get its share again.
            { to: null, before: event === 'promoted' ? null : split },
            {
              title: `end the share of ${split.candidate.name}@${split.candidate.version}`,
              cause: 'one model answers all',
            },
          ),
        ]
      : []),
    steps.confirmModel.plan(
      { to: candidate },
      {
        title: `prove that running processes have loaded ${label}`,
        cause: 'what lies on the disk is not yet what answers (S1-77)',
        deadline: confirm,
      },
    ),
    steps.recordModel.plan(
      { to: candidate, from: baseline, actor, event, reason },
      { title: `record ${label} as production`, cause: 'the history says who was production when' },
    ),
  ];
}
