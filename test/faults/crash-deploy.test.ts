import { mkdir, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { OperationResult } from '../../src/api/schema.ts';
import { expectConsistent } from './invariants.ts';
import { FaultLab } from './lab.ts';
import { type DeathPoint, everyDeath, orderFor } from './matrix.ts';
import { expectNothingLost, startTraffic } from './traffic.ts';

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

/** Only a change of addresses makes nginx reload. */
const inReload = everyDeath(['configure-edge'], { 'configure-edge': [0.05, 0.2, 0.4, 0.7] }).slice(1);

const port = 28_280;
let lab: FaultLab;
/** How long the steps take, without and with a reload. */
let usual: OperationResult;
let reloading: OperationResult;
let count = 0;
let live = '';
let replicas = 2;

/** A version that migrates the database, whatever was deployed before. */
async function nextVersion(about: { replicas?: number } = {}): Promise<string> {
  count += 1;
  const tag = `a${count}`;
  await lab.release(tag, { schema: count, ...about });
  return tag;
}

async function deployNext(): Promise<OperationResult> {
  const tag = await nextVersion();
  const result = await lab.operate('deploy', { tag });
  expect(result, JSON.stringify(result.error)).toMatchObject({ result: 'done' });
  live = tag;
  return result;
}

async function dieDeploying(point: DeathPoint, tag: string, reload: boolean): Promise<void> {
  const before = live;
  const clients = startTraffic(lab);
  try {
    await lab.order(orderFor(point, reload ? reloading : usual));
    await lab.operateUntilDeath('deploy', { tag });
    await lab.startAgent();
    live = point.pivoted ? tag : before;
    await expectConsistent(lab, { tag: live, result: point.pivoted ? 'done' : 'failed' });
  } finally {
    await expectNothingLost(clients, { releases: point.pivoted ? [before, tag] : [before], reload });
  }
}

beforeAll(async () => {
  lab = await FaultLab.make({ name: 'crashdeploy', port, pool: '10.221.0.0/16' });
  await lab.startAgent();
  reloading = await deployNext();
  await deployNext();
  usual = await deployNext();
});
afterAll(() => lab.destroy());

describe('an agent that is killed while it deploys', () => {
  it('dies at every step that a deploy has', () => {
    expect(usual.steps.map(({ name }) => name)).toEqual(steps);
  });

  it.each(points)('$name', async (point) => {
    // An earlier death may have left the other colour empty; then there would be nothing to clear.
    const idle = await lab.containers(await lab.idleColour());
    if (point.action === 'remove-colour' && idle.length === 0) await deployNext();
    await dieDeploying(point, await nextVersion(), false);
  });

  it.each(inReload)('with other addresses for the edge: $name', async (point) => {
    replicas = replicas === 2 ? 3 : 2;
    await dieDeploying(point, await nextVersion({ replicas }), true);
  });

  it.each([
    ['start-colour', 'undoing', 0],
    ['start-colour', 'undoing', 100],
    ['start-colour', 'undone', 0],
    ['migrate', 'undoing', 0],
    ['migrate', 'undone', 0],
    ['remove-colour', 'undoing', 0],
    ['remove-colour', 'undone', 0],
  ] as const)('and again while the next one takes it back: %s %s, %i ms later', async (action, state, after) => {
    if ((await lab.containers(await lab.idleColour())).length === 0) await deployNext();
    const tag = await nextVersion();
    const clients = startTraffic(lab);
    try {
      await lab.order({ action: 'wait-healthy', state: 'applying' }, { action, state, after });
      await lab.operateUntilDeath('deploy', { tag });
      await lab.startAgentToDie();
      await lab.startAgent();
      await expectConsistent(lab, { tag: live, result: 'failed' });
    } finally {
      await expectNothingLost(clients, { releases: [live], reload: false });
    }
  });

  it('leaves nothing behind that a death in the middle of writing leaves', async () => {
    const lib = join(lab.root, 'lib');
    await lab.stopAgent('SIGKILL');
    const left = ['compose/.0123456789ab.tmp', 'edge/state/.0123456789ab.tmp', 'core/.0123456789ab.tmp'];
    for (const path of left) await writeFile(join(lib, path), 'half a fi');
    await mkdir(join(lib, 'releases/.staging-0123456789ab/source'), { recursive: true });
    await mkdir(join(lib, 'scratch/plan-abcdef/source'), { recursive: true });
    await utimes(join(lib, 'scratch/plan-abcdef'), 1, 1);
    await lab.startAgent();
    await expectConsistent(lab, { tag: live });
  });

  it('leaves a working appliance behind', async () => {
    await deployNext();
    await expectConsistent(lab, { tag: live });
    expect(await lab.stopAgent()).toBe(0);
    const { exitCode } = await lab.run(['rollback', '--json']);
    expect(exitCode).toBe(0);
  });
});
