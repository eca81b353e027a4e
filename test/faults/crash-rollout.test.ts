import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { OperationResult } from '../../src/api/schema.ts';
import { expectConsistent } from './invariants.ts';
import { everyDeath, inThisRun, orderFor } from './matrix.ts';
import { RolloutLab, rolloutSteps, stepsBefore } from './rollout-lab.ts';
import { expectNothingLost } from './traffic.ts';

// kill -9 of the agent at every step boundary of a rollout by policy, and in the middle of each step, under traffic. From
// the first share on it goes on where it was; before that it is taken back. Users see no failure either way.
const steps = [...stepsBefore, ...rolloutSteps, 'retain'];
const points = everyDeath(steps, { 'hold-stage': [0.2, 0.5, 0.8], 'shift-traffic': [0.2, 0.5, 0.8] }).filter(
  ({ action }) => rolloutSteps.includes(action),
);

let rollouts: RolloutLab;
let usual: OperationResult;

beforeAll(async () => {
  rollouts = await RolloutLab.make({ name: 'crashroll', port: 28_304, pool: '10.240.0.0/16' });
  const users = rollouts.users();
  const ended = await rollouts.begin('brief');
  await users.stop();
  if (ended instanceof Error) throw ended;
  expect(ended, JSON.stringify(ended.error)).toMatchObject({ result: 'done' });
  usual = ended;
  rollouts.served();
});
afterAll(() => rollouts?.lab.destroy());

describe('an agent that is killed during a rollout', () => {
  it('dies at every step that a rollout has', () => {
    expect(usual.steps.map(({ name }) => name)).toEqual(steps);
  });

  it.each(inThisRun(points))('$name', async (point) => {
    const { lab, live, next } = rollouts;
    const users = rollouts.users();
    try {
      await lab.order(orderFor(point, usual));
      await lab.operateUntilDeath('deploy', { tag: next, policy: 'brief' });
      await lab.startAgent();
      if (point.pivoted) rollouts.served();
      await expectConsistent(lab, { tag: rollouts.live, result: point.pivoted ? 'done' : 'failed' });
      if (point.pivoted) await expectEachStageOnce(rollouts);
    } finally {
      await expectNothingLost(users, { releases: point.pivoted ? [live, next] : [live], reload: false });
    }
  });
});

/** Every stage was passed, by its figures, whoever watched it. */
async function expectEachStageOnce({ lab }: RolloutLab): Promise<void> {
  const [last] = await lab.client((client) => client.ask('operations', {}));
  const passed = (last?.verdicts ?? []).filter(({ id }) => id.startsWith('few-errors'));
  expect(passed).toMatchObject([
    { id: 'few-errors (stage 1, 40 %)', verdict: 'pass' },
    { id: 'few-errors (bake)', verdict: 'pass' },
  ]);
}

describe('an agent that is killed while people steer a rollout', () => {
  const held = () => rollouts.until(({ stage, findings }) => stage === 1 && findings.length > 0);

  it('knows after it what was promoted a moment before', async () => {
    const { lab, live, next } = rollouts;
    const users = rollouts.users();
    try {
      const ended = rollouts.begin('patient');
      await held();
      await lab.client((client) => client.ask('promote', { all: false }));
      await lab.stopAgent('SIGKILL');
      await ended;
      await lab.startAgent();
      rollouts.served();
      await expectConsistent(lab, { tag: next, result: 'done' });
    } finally {
      await expectNothingLost(users, { releases: [live, next], reload: false });
    }
  });

  it.each([
    ['hold-stage', 'applied'],
    ['hold-stage', 'verified'],
    ['record-live', 'applying'],
  ] as const)('goes on after a promotion when it dies at %s, %s', async (action, state) => {
    const { lab, live, next } = rollouts;
    const users = rollouts.users();
    try {
      await lab.order({ action, state });
      const died = lab.operateUntilDeath('deploy', { tag: next, policy: 'patient' });
      await held();
      await lab.client((client) => client.ask('promote', { all: false })).catch(() => undefined);
      await died;
      await lab.startAgent();
      rollouts.served();
      await expectConsistent(lab, { tag: next, result: 'done' });
    } finally {
      await expectNothingLost(users, { releases: [live, next], reload: false });
    }
  });

  it('leaves what is paused paused, for as long as it was held', async () => {
    const { lab, live, next } = rollouts;
    const users = rollouts.users();
    try {
      const ended = rollouts.begin('patient');
      await held();
      await lab.client((client) => client.ask('pause', {}));
      const paused = await rollouts.until(({ waiting }) => waiting?.startsWith('paused') ?? false);
      await lab.stopAgent('SIGKILL');
      await ended;
      await lab.startAgent();
      const after = await rollouts.until(({ waiting }) => waiting?.startsWith('paused') ?? false);
      expect(after).toMatchObject({ stage: 1, weight: 40, state: 'paused', secondsHeld: paused.secondsHeld });
      await lab.client((client) => client.ask('promote', { all: true }));
      rollouts.served();
      await expectConsistent(lab, { tag: next, result: 'done' });
    } finally {
      await expectNothingLost(users, { releases: [live, next], reload: false });
    }
  });
});
