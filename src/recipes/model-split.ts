import type { PlannedStep } from '../operations/step.ts';
import type { ModelShare, ModelSide, ModelSteps, PromotionFacts } from './models.ts';

export interface SplitFacts extends PromotionFacts {
  readonly baseline: ModelSide;
  /** Share of the requests for the candidate, above 0 and below 1. */
  readonly weight: number;
}

const percent = (weight: number): string => `${Number((weight * 100).toFixed(2))} %`;
const nameOf = ({ name, version }: ModelSide): string => `${name}@${version}`;

/**
 * Gives a candidate a share of the requests beside the model in force, or another share (S3-25). Its gates come before its
 * first request. A failure from the split on gives the requests back, and proves that processes have done so. Pure.
 */
export function planSplit(facts: SplitFacts, steps: ModelSteps): PlannedStep[] {
  const { candidate, baseline, split, weight, actor, reason, acceptInconclusive, bake, confirm } = facts;
  const label = nameOf(candidate);
  const gates = steps.gateModel.plan(
    { candidate, baseline, actor, acceptInconclusive },
    {
      title: `test ${label} against its gates`,
      cause: 'no model gets requests that has not proven itself',
      deadline: 900_000,
    },
  );
  return [
    ...(split ? [] : [gates]),
    keep(baseline, confirm, steps),
    steps.splitModel.plan(
      { to: { candidate, weight }, before: split },
      {
        title: `give ${label} ${percent(weight)} of the requests`,
        cause: 'asked for; one file is replaced, and every state of it is a whole one',
        pivot: true,
      },
    ),
    prove(baseline, `prove that running processes have loaded ${label} beside it`, confirm, steps),
    steps.recordSplit.plan(
      { candidate, weight, actor, reason },
      { title: `record the share of ${label}`, cause: 'the history says which version had requests when' },
    ),
    steps.watchSplit.plan(
      { candidate, baseline, duration: bake },
      {
        title: `compare ${label} with ${nameOf(baseline)} for ${bake / 1_000} s`,
        cause: 'some failures show only under traffic',
        deadline: bake + 60_000,
      },
    ),
  ];
}

/** Ends a split: all requests are for the model in force again. Pure. */
export function planSplitEnd(
  { split, baseline, actor, reason, confirm }: PromotionFacts & { readonly split: ModelShare },
  steps: ModelSteps,
): PlannedStep[] {
  const { candidate } = split;
  return [
    steps.splitModel.plan(
      { to: null, before: split },
      { title: `give ${nameOf(candidate)} no more requests`, cause: 'asked for', pivot: true },
    ),
    ...(baseline
      ? [prove(baseline, `prove that running processes have only ${nameOf(baseline)}`, confirm, steps)]
      : []),
    steps.recordSplit.plan(
      { candidate, weight: null, actor, reason },
      { title: `record that the share of ${nameOf(candidate)} has ended`, cause: 'the history says when' },
    ),
  ];
}

function keep(baseline: ModelSide, confirm: number, steps: ModelSteps): PlannedStep {
  return steps.holdModel.plan(
    { baseline },
    {
      title: `keep ${nameOf(baseline)} in force`,
      cause: 'a failure gives it all requests again, and proves that it serves',
      deadline: confirm,
    },
  );
}

function prove(to: ModelSide, title: string, confirm: number, steps: ModelSteps): PlannedStep {
  return steps.confirmModel.plan(
    { to },
    { title, cause: 'what lies on the disk is not yet what answers (S1-77)', deadline: confirm },
  );
}
