import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { OperationResult } from '../../src/api/schema.ts';
import { expectConsistent } from './invariants.ts';
import { FaultLab } from './lab.ts';
import { everyDeath, inThisRun, orderFor } from './matrix.ts';

// Strategy recreate stops what users get before it starts what they will get. A death in between must not leave them
// with nothing: taken back, the old release serves again. Likewise `up`, which is always finished.
const recreate = [
  'check-host',
  'resolve-release',
  'build-images',
  'start-core',
  'remove-colour',
  'stop-colour',
  'migrate',
  'record-schema',
  'start-colour',
  'wait-healthy',
  'configure-edge',
  'shift-traffic',
  'record-live',
  'retain',
];
/** What comes before does the same as with blue and green. */
const ownSteps = recreate.slice(recreate.indexOf('stop-colour'), recreate.indexOf('retain'));
const up = ['start-core', 'start-colour', 'wait-healthy', 'configure-edge', 'shift-traffic', 'record-live'];
const middles = { 'stop-colour': [0.2, 0.5, 0.8] };

let lab: FaultLab;
let usual: OperationResult;
let count = 0;
let live = '';

async function nextVersion(): Promise<string> {
  count += 1;
  await lab.release(`c${count}`, { schema: count });
  return `c${count}`;
}

async function deployNext(): Promise<OperationResult> {
  const tag = await nextVersion();
  const result = await lab.operate('deploy', { tag, strategy: 'recreate' });
  expect(result, JSON.stringify(result.error)).toMatchObject({ result: 'done' });
  live = tag;
  return result;
}

beforeAll(async () => {
  lab = await FaultLab.make({ name: 'crashrecreate', port: 28_288, pool: '10.223.0.0/16' });
  await lab.startAgent();
  for (let index = 0; index < 3; index += 1) usual = await deployNext();
});
afterAll(() => lab.destroy());

describe('an agent that is killed while it deploys with strategy recreate', () => {
  it('dies at every step that such a deploy has', () => {
    expect(usual.steps.map(({ name }) => name)).toEqual(recreate);
  });

  // Before a step is after the one before it.
  const points = everyDeath(recreate, middles).filter(
    ({ action, state, part }) => ownSteps.includes(action) && (state !== 'applying' || part > 0),
  );
  it.each(inThisRun(points))('$name', async (point) => {
    const before = live;
    const tag = await nextVersion();
    await lab.order(orderFor(point, usual));
    await lab.operateUntilDeath('deploy', { tag, strategy: 'recreate' });
    await lab.startAgent();
    live = point.pivoted ? tag : before;
    await expectConsistent(lab, { tag: live, result: point.pivoted ? 'done' : 'failed', idleStopped: true });
  });
});

describe('an agent that is killed while it brings everything up', () => {
  beforeAll(async () => {
    expect(await lab.operate('down', {})).toMatchObject({ result: 'done' });
    usual = await lab.operate('up', {});
    expect(usual.steps.map(({ name }) => name)).toEqual(up);
  });

  const points = everyDeath(up).filter(({ part }) => part > 0);
  it.each(inThisRun(points))('$name', async (point) => {
    expect(await lab.operate('down', {})).toMatchObject({ result: 'done' });
    await lab.order(orderFor(point, usual));
    await lab.operateUntilDeath('up', {});
    await lab.startAgent();
    await expectConsistent(lab, { tag: live, result: 'done' });
  });
});
