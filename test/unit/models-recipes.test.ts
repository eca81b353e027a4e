import { describe, expect, it } from 'vitest';
import { createSplitSteps, type SplitStepDeps } from '../../src/capabilities/models/split-steps.ts';
import { createModelSteps, type ModelStepDeps } from '../../src/capabilities/models/steps.ts';
import { type TrainingDeps, trainModel } from '../../src/capabilities/models/training.ts';
import { directionOf } from '../../src/operations/recovery.ts';
import { planSplit, planSplitEnd } from '../../src/recipes/model-split.ts';
import { planModelRollback, planPromotion, planRetraining } from '../../src/recipes/models.ts';

// Planning asks nothing of the machine.
const steps = {
  ...createModelSteps({} as ModelStepDeps),
  ...createSplitSteps({} as SplitStepDeps),
  trainModel: trainModel({} as TrainingDeps),
};
const side = (version: string) => ({ id: Number(version), name: 'm', version, sha256: version.repeat(64) });
const facts = {
  candidate: side('2'),
  baseline: side('1'),
  split: null,
  actor: 'anna',
  reason: null,
  acceptInconclusive: false,
  bake: 60_000,
  patience: 0,
  confirm: 30_000,
};

describe('the plan of a promotion (S3-18)', () => {
  it('reads like the runbook', () => {
    expect(
      planPromotion(facts, steps).map(({ action, title, pivot }) => `${pivot ? '* ' : ''}${action}: ${title}`),
    ).toEqual([
      'gate-model: test m@2 against its gates',
      'hold-model: keep m@1 for the way back',
      '* switch-model: put m@2 in force',
      'confirm-model: prove that running processes have loaded m@2',
      'record-model: record m@2 as production',
      'bake-model: watch m@2 for 60 s',
    ]);
  });

  it('is taken back before its rename, and finished from it on', () => {
    const plan = planPromotion(facts, steps);
    const cutAt = (count: number) =>
      directionOf(
        plan.map((step, index) => ({
          plan: step,
          state: index < count ? 'verified' : index === count ? 'applying' : 'pending',
        })),
        false,
      );
    expect(plan.map((_, index) => cutAt(index))).toEqual(['back', 'back', 'forward', 'forward', 'forward', 'forward']);
  });

  it('gives the watch the time that its policy lets it stay inconclusive', () => {
    const deadline = (patience: number) => planPromotion({ ...facts, patience }, steps).at(-1)?.deadline;
    expect(deadline(0)).toBe(120_000);
    expect(deadline(1_800_000)).toBe(1_920_000);
  });
});

it('the way back asks no gates and no watch (S2-18)', () => {
  expect(planModelRollback(facts, steps).map(({ action }) => action)).toEqual([
    'hold-model',
    'switch-model',
    'confirm-model',
    'record-model',
  ]);
});

it('the first model has nothing to go back to', () => {
  expect(planModelRollback({ ...facts, baseline: null }, steps)[0]?.title).toBe('note that no model was before');
});

describe('the plan of a split (S3-25)', () => {
  const share = { candidate: side('2'), weight: 0.1 };
  const lines = (plan: ReturnType<typeof planSplit>) =>
    plan.map(({ action, title, pivot }) => `${pivot ? '* ' : ''}${action}: ${title}`);

  it('has the gates before the first request', () => {
    expect(lines(planSplit({ ...facts, weight: 0.1 }, steps))).toEqual([
      'gate-model: test m@2 against its gates',
      'hold-model: keep m@1 in force',
      '* split-model: give m@2 10 % of the requests',
      'confirm-model: prove that running processes have loaded m@2 beside it',
      'record-split: record the share of m@2',
      'watch-split: compare m@2 with m@1 for 60 s',
    ]);
  });

  it('changes a share without asking the gates again, and a failure gives the former share back', () => {
    const plan = planSplit({ ...facts, split: share, weight: 0.5 }, steps);
    expect(plan.map(({ action }) => action)).not.toContain('gate-model');
    expect(plan.find(({ action }) => action === 'split-model')?.args).toMatchObject({
      to: { weight: 0.5 },
      before: { weight: 0.1 },
    });
  });

  it('ends with a promotion, after the rename, so that the candidate keeps requests all the time', () => {
    const plan = planPromotion({ ...facts, split: share }, steps);
    expect(lines(plan).slice(2, 5)).toEqual([
      '* switch-model: put m@2 in force',
      'split-model: end the share of m@2',
      'confirm-model: prove that running processes have loaded m@2',
    ]);
    // One that fails with all requests does not get its share again.
    expect(plan.find(({ action }) => action === 'split-model')?.args).toMatchObject({ to: null, before: null });
  });

  it('ends with a rollback', () => {
    expect(lines(planSplitEnd({ ...facts, split: share }, steps))).toEqual([
      '* split-model: give m@2 no more requests',
      'confirm-model: prove that running processes have only m@1',
      'record-split: record that the share of m@2 has ended',
    ]);
  });
});

it('training is a phase of its own, so that what follows depends on what comes out (S3-26)', () => {
  const [train, ...more] = planRetraining({ marker: 'x', actor: 'anna', timeout: 5_000 }, steps);
  expect(train).toMatchObject({ action: 'train-model', pivot: false, deadline: 5_000 });
  expect(more).toEqual([]);
});
