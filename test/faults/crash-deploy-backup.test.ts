import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { OperationResult } from '../../src/api/schema.ts';
import { DeployLab } from './deploy-lab.ts';
import { everyDeath, inThisRun } from './matrix.ts';

// kill -9 of the agent in the backup that a deploy makes before it touches anything (S1-48): the deploy is taken back,
// the repository stays whole, and the next deploy makes its backup.
const backup = ['collect-snapshot', 'store-snapshot', 'verify-snapshot'];
const points = everyDeath(backup, { 'store-snapshot': [0.2, 0.5, 0.8] }).slice(1);

let deploys: DeployLab;
/** How long the steps take. */
let usual: OperationResult;

beforeAll(async () => {
  deploys = await DeployLab.make({ name: 'crashbackup', port: 28_316, pool: '10.252.0.0/16', backups: true });
  await deploys.deployNext();
  usual = await deploys.deployNext();
});
afterAll(() => deploys?.lab.destroy());

describe('an agent that is killed in the backup before a deploy', () => {
  it('dies at every step that such a backup has', () => {
    expect(usual.steps.map(({ name }) => name).filter((name) => name.endsWith('-snapshot'))).toEqual(backup);
  });

  it.each(inThisRun(points))('$name', async (point) => {
    await deploys.die({ ...point, pivoted: false }, await deploys.nextVersion(), usual, { reload: false });
  });

  it('leaves a whole repository, nothing half collected, and a working appliance behind', async () => {
    const { lab } = deploys;
    await deploys.expectWorking();
    expect(await readdir(join(lab.root, 'lib/backups/staging'))).toEqual([]);
    const { exitCode, stderr } = await lab.run(['backup', 'verify', '--wait']);
    expect(exitCode, stderr).toBe(0);
  });
});
