import { mkdir, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, it } from 'vitest';
import type { OperationResult } from '../../src/api/schema.ts';
import { DeployLab } from './deploy-lab.ts';
import { expectConsistent } from './invariants.ts';
import { everyDeath } from './matrix.ts';
import { expectNothingLost, startTraffic } from './traffic.ts';

// More deaths during a deploy (crash-deploy.test.ts): around a reload of nginx, a second one while the deploy is taken
// back, and what a death in the middle of writing leaves.

/** Only a change of addresses makes nginx reload. */
const inReload = everyDeath(['configure-edge'], { 'configure-edge': [0.05, 0.2, 0.4, 0.7] }).slice(1);

let deploys: DeployLab;
/** How long the steps take with a reload. */
let reloading: OperationResult;
let replicas = 2;

beforeAll(async () => {
  deploys = await DeployLab.make({ name: 'crashagain', port: 28_312, pool: '10.242.0.0/16' });
  reloading = await deploys.deployNext();
  await deploys.deployNext();
});
afterAll(() => deploys?.lab.destroy());

describe('an agent that is killed while it deploys', () => {
  it.each(inReload)('with other addresses for the edge: $name', async (point) => {
    replicas = replicas === 2 ? 3 : 2;
    await deploys.die(point, await deploys.nextVersion({ replicas }), reloading, { reload: true });
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
    await deploys.occupyBoth();
    const { lab, live } = deploys;
    const tag = await deploys.nextVersion();
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
    const { lab, live } = deploys;
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

  it('leaves a working appliance behind', () => deploys.expectWorking());
});
