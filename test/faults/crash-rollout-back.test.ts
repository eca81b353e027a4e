import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { OperationResult } from '../../src/api/schema.ts';
import type { Load } from '../support/load.ts';
import { expectConsistent } from './invariants.ts';
import type { KillOrder } from './kill-order.ts';
import { type DeathPoint, everyDeathGoingBack, inThisRun, orderFor } from './matrix.ts';
import { type PolicyName, RolloutLab, rolloutSteps, stepsBefore } from './rollout-lab.ts';

// kill -9 of the agent while a rollout is taken back, by its policy or by a person: when the verdict is in the journal,
// and at every boundary and in the middle of each step that is undone. It has gone back in the end, and users whose
// requests are good see no failure, on whichever release they were.
const undone = ['start-colour', 'configure-edge', 'begin-rollout', 'shift-traffic', 'record-live'];
const all = [...stepsBefore, ...rolloutSteps];
/** A rollout that ends in its first stage, and one that ends under the watch over all of the traffic. */
const begun = { stage: all.slice(0, all.indexOf('hold-stage') + 1), bake: all };

let rollouts: RolloutLab;

type Story = (order?: KillOrder) => Promise<OperationResult | undefined>;

/** Runs a rollout that is taken back while users ask. @returns how it ended, when no order kills its agent */
async function goBack(
  policy: PolicyName,
  reason: RegExp,
  order: KillOrder | undefined,
  spoil: () => Promise<Load | undefined>,
) {
  const { lab, live, next } = rollouts;
  const users = rollouts.users();
  let errors: Load | undefined;
  try {
    await lab.order(...(order ? [order] : []));
    const took: Record<number, number> = {};
    const wish = { tag: next, policy };
    const ended: Promise<OperationResult | undefined> = order
      ? lab.operateUntilDeath('deploy', wish).then(() => undefined)
      : lab.operate('deploy', wish, (event) => {
          if (event.event === 'step' && event.state === 'undone') took[event.index] = event.seconds;
        });
    errors = await spoil();
    const result = await ended;
    if (order) await lab.startAgent();
    await expectConsistent(lab, { tag: live, result: 'rolled_back' });
    const [last] = await lab.client((client) => client.ask('operations', {}));
    expect(last?.error?.message).toMatch(reason);
    // How long each step takes to be undone, not done: that is where the middle of it lies.
    return result && { ...result, steps: result.steps.map((step, at) => ({ ...step, seconds: took[at] ?? 0 })) };
  } finally {
    expect((await errors?.stop())?.losses ?? []).toEqual([]);
    const { losses, releases } = await users.stop();
    expect(losses).toEqual([]);
    expect([live, next]).toEqual(expect.arrayContaining([...releases.keys()]));
  }
}

const stories: Record<'stage' | 'bake' | 'abort', Story> = {
  stage: (order) => goBack('brief', /many-errors: .*expected/, order, async () => rollouts.errors()),
  bake: (order) =>
    goBack('wary', /many-errors: .*expected/, order, async () => {
      await rollouts.until(({ kind }) => kind === 'bake');
      return rollouts.errors();
    }),
  abort: (order) =>
    goBack('patient', /called off/, order, async () => {
      await rollouts.until(({ stage, findings }) => stage === 1 && findings.length > 0);
      // Its agent may die before it has answered.
      await rollouts.lab.client((client) => client.ask('abort', {})).catch(() => undefined);
      return undefined;
    }),
};

beforeAll(async () => {
  rollouts = await RolloutLab.make({ name: 'crashrollback', port: 28_308, pool: '10.241.0.0/16' });
});
afterAll(() => rollouts?.lab.destroy());

/** What is the same on every way back is killed on the first of them alone. */
const own = { bake: ['shift-traffic', 'record-live'], abort: ['begin-rollout', 'shift-traffic'] };

describe.each([
  ['by its policy in its first stage', stories.stage, begun.stage, undone, 'rollout_failed'],
  ['by its policy under all of the traffic', stories.bake, begun.bake, own.bake, 'rollout_failed'],
  ['by a person', stories.abort, begun.stage, own.abort, 'rollout_aborted'],
] as const)('an agent that is killed while a rollout is taken back %s', (_, story, taken, deadly, code) => {
  let usual: OperationResult;
  const verdict: DeathPoint = {
    name: 'with the verdict in the journal',
    action: 'hold-stage',
    position: taken.length - 1,
    state: 'failed',
    part: 0,
    pivoted: true,
  };

  it('goes back over every step that has an undo', async () => {
    usual = (await story()) ?? expect.fail('it did not end');
    expect(usual.error).toMatchObject({ code });
    const states = usual.steps.filter(({ state }) => state === 'undone').map(({ name }) => name);
    expect(states).toEqual(taken.filter((name) => undone.includes(name)));
  });

  it.each(inThisRun([verdict, ...everyDeathGoingBack(taken, deadly)]))('$name', async (point) => {
    await story(orderFor(point, usual));
  });
});
