import { execa } from 'execa';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { OperationResult } from '../../src/api/schema.ts';
import { expectConsistent } from './invariants.ts';
import { FaultLab } from './lab.ts';
import { type DeathPoint, everyDeath, inThisRun, orderFor } from './matrix.ts';
import { expectNothingLost, startTraffic } from './traffic.ts';

// kill -9 of the agent at every step boundary of a rollback, and in the middle of each step, under traffic, on each of
// its three paths. A rollback is asked for in an emergency: however early it is cut short, it is finished.
const paths = {
  warm: ['wait-healthy', 'configure-edge', 'shift-traffic', 'record-live'],
  cold: [
    'start-core',
    'remove-colour',
    'start-colour',
    'wait-healthy',
    'configure-edge',
    'shift-traffic',
    'record-live',
  ],
};
const rebuild = ['build-images', ...paths.cold];
const middles = {
  'remove-colour': [0.2, 0.5, 0.8],
  'start-colour': [0.1, 0.2, 0.35, 0.5, 0.65, 0.8],
  'build-images': [0.2, 0.5, 0.8],
};

let lab: FaultLab;
/** Newest first: live, warm, kept. */
let turn: [string, string, string] = ['b3', 'b2', 'b1'];

/** Rolls back to a tag without a death, and says how long each step takes. */
async function usually(tag: string, steps: readonly string[]): Promise<OperationResult> {
  const result = await lab.operate('rollback', { tag });
  expect(result, JSON.stringify(result.error)).toMatchObject({ result: 'done' });
  expect(result.steps.map(({ name }) => name)).toEqual(steps);
  return result;
}

async function dieRollingBack(point: DeathPoint, tag: string, usual: OperationResult): Promise<void> {
  const before = (await lab.status()).release?.tag ?? '';
  const clients = startTraffic(lab);
  try {
    await lab.order(orderFor(point, usual));
    await lab.operateUntilDeath('rollback', { tag });
    await lab.startAgent();
    await expectConsistent(lab, { tag, result: 'done' });
  } finally {
    await expectNothingLost(clients, { releases: [before, tag], reload: false });
  }
}

beforeAll(async () => {
  lab = await FaultLab.make({ name: 'crashback', port: 28_284, pool: '10.222.0.0/16' });
  await lab.startAgent();
  for (const tag of ['b1', 'b2', 'b3']) {
    await lab.release(tag, { schema: 1 });
    expect(await lab.operate('deploy', { tag })).toMatchObject({ result: 'done' });
  }
});
afterAll(() => lab.destroy());

describe('an agent that is killed while it rolls back to a colour that still runs', () => {
  let usual: OperationResult;
  beforeAll(async () => {
    await usually('b2', paths.warm);
    usual = await usually('b3', paths.warm);
  });

  it.each(inThisRun(everyDeath(paths.warm)))('$name', async (point) => {
    const [live, warm, kept] = turn;
    turn = [warm, live, kept];
    await dieRollingBack(point, warm, usual);
  });
});

describe('an agent that is killed while it rolls back to a release that must be started', () => {
  let usual: OperationResult;
  beforeAll(async () => {
    const [live, warm, kept] = turn;
    turn = [kept, live, warm];
    usual = await usually(kept, paths.cold);
  });

  it.each(inThisRun(everyDeath(paths.cold, middles)))('$name', async (point) => {
    const [live, warm, kept] = turn;
    turn = [kept, live, warm];
    await dieRollingBack(point, kept, usual);
  });
});

describe('an agent that is killed while it rolls back to a release that must be built', () => {
  let usual: OperationResult;
  beforeAll(async () => {
    const [live, warm, kept] = turn;
    turn = [kept, live, warm];
    await removeImages(kept);
    usual = await usually(kept, rebuild);
  });

  it.each(everyDeath(rebuild, middles).filter(({ action }) => action === 'build-images'))('$name', async (point) => {
    const [live, warm, kept] = turn;
    turn = [kept, live, warm];
    await removeImages(kept);
    await dieRollingBack(point, kept, usual);
  });

  it('leaves a working appliance and a free lock behind', async () => {
    expect(await lab.stopAgent()).toBe(0);
    const { exitCode, stderr } = await lab.run(['rollback', '--json']);
    expect(exitCode, stderr).toBe(0);
  });
});

/** Somebody tidied up: what the release was built of is gone. */
async function removeImages(tag: string): Promise<void> {
  const pattern = `appliance.local/${lab.options.name}/*`;
  const { stdout } = await execa('docker', ['images', '--format', '{{.Repository}}:{{.Tag}}', pattern]);
  const images = stdout.split('\n').filter((image) => image.includes(`:${tag}-`) && !image.includes('/store:'));
  expect(images.length).toBeGreaterThan(0);
  await execa('docker', ['rmi', '--force', ...images]);
}
