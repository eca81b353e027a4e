import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { OperationResult } from '../../src/api/schema.ts';
import { DeployLab } from './deploy-lab.ts';
import { everyDeath, inThisRun } from './matrix.ts';

// kill -9 of the agent at every step boundary of a deploy, and in the middle of each step, under traffic. Each case
// deploys a version of its own, with a migration, so that each plan has every step; the next case proves that the
// appliance is fit for work. Before the pivot a deploy is taken back, from the pivot on it is finished (recovery.ts).
const steps = [
  'check-host',
  'resolve-release',
  'build-images',
  'start-core',
  'remove-colour',
  'migrate',
  'record-schema',
  'start-colour',
  'wait-healthy',
  'configure-edge',
  'shift-traffic',
  'record-live',
  'retain',
];
const several = [0.2, 0.5, 0.8];
const points = everyDeath(steps, {
  'resolve-release': several,
  'build-images': several,
  'remove-colour': several,
  migrate: [0.1, 0.2, 0.3, 0.5, 0.8],
  'start-colour': [0.1, 0.2, 0.35, 0.5, 0.65, 0.8],
  'shift-traffic': several,
});

let deploys: DeployLab;
/** How long the steps take. */
let usual: OperationResult;

beforeAll(async () => {
  deploys = await DeployLab.make({ name: 'crashdeploy', port: 28_280, pool: '10.221.0.0/16' });
  for (let index = 0; index < 3; index += 1) usual = await deploys.deployNext();
});
afterAll(() => deploys?.lab.destroy());

describe('an agent that is killed while it deploys', () => {
  it('dies at every step that a deploy has', () => {
    expect(usual.steps.map(({ name }) => name)).toEqual(steps);
  });

  it.each(inThisRun(points))('$name', async (point) => {
    if (point.action === 'remove-colour') await deploys.occupyBoth();
    await deploys.die(point, await deploys.nextVersion(), usual, { reload: false });
  });

  it('leaves a working appliance behind', () => deploys.expectWorking());
});
