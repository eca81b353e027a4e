import { readFile, writeFile } from 'node:fs/promises';
import { execa } from 'execa';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { OperationResult } from '../../src/api/schema.ts';
import { farFromNow } from '../support/night.ts';
import { expectConsistent } from './invariants.ts';
import { FaultLab } from './lab.ts';
import { type DeathPoint, everyDeath, orderFor } from './matrix.ts';

// kill -9 of the agent in each step of a rollback that brings the data of its release along (S1-65, S1-64). However early
// it is cut short, it is finished: d1 serves with the data of its snapshot, and what d2 had is in a safety snapshot.
const name = 'crashdata';
const steps = [
  'collect-snapshot',
  'store-snapshot',
  'verify-snapshot',
  'stage-restore',
  'rehearse-database',
  'start-core',
  'close-edge',
  'stop-colour',
  'keep-database',
  'replace-database',
  'start-colour',
  'wait-healthy',
  'configure-edge',
  'shift-traffic',
  'record-live',
  'finish-restore',
] as const;
const commands = {
  dump: ['cat', '/data/schema'],
  // The server in which it is tried has no volume.
  restore: ['sh', '-c', 'mkdir -p /data && cat >/data/schema'],
  count: ['sh', '-c', 'printf "lines\\t%s\\n" "$(wc -l </data/schema)"'],
};
/** Deaths in the steps that no other rollback has; those of the others are in crash-rollback and crash-deploy-backup. */
const deaths: Readonly<Record<string, readonly DeathPoint['state'][]>> = {
  'stage-restore': ['applying'],
  'rehearse-database': ['applying'],
  'close-edge': ['applied'],
  'stop-colour': ['applying'],
  'keep-database': ['verified'],
  'replace-database': ['applying', 'applied'],
  'finish-restore': ['applying'],
};
const points = everyDeath(steps).filter(
  ({ action, state, part }) => deaths[action]?.includes(state) && (state !== 'applying' || part > 0),
);

let lab: FaultLab;
let snapshot: string;
let usual: OperationResult;

async function store(...argv: string[]): Promise<string> {
  return (await execa('docker', ['exec', `${name}-core-store-1`, ...argv])).stdout;
}

/** Brings d2 into service, and lets it write something that d1 does not know. */
async function deployBreaking(): Promise<void> {
  const result = await lab.operate('deploy', { tag: 'd2', strategy: 'recreate' });
  expect(result, JSON.stringify(result.error)).toMatchObject({ result: 'done' });
  await store('sh', '-c', 'printf "written by d2\\n2\\n" >>/data/schema');
}

beforeAll(async () => {
  lab = await FaultLab.make({ name, port: 28_328, pool: '10.196.0.0/16' });
  const config = await readFile(lab.config, 'utf8');
  const backups = { beforeDeploy: 'never', ...farFromNow(), databases: { store: commands } };
  const quick = config.replace('drain: 2s', 'drain: 1s');
  await writeFile(lab.config, quick.replace(/^backups: .*$/m, `backups: ${JSON.stringify(backups)}`));
  await lab.release('d1', { schema: 1 });
  await lab.release('d2', { schema: 2, readableFrom: 2 });
  await lab.startAgent();
  expect(await lab.operate('deploy', { tag: 'd1' })).toMatchObject({ result: 'done' });
  const { exitCode, stdout, stderr } = await lab.run(['backup', 'now', '--protect', '--json']);
  expect(exitCode, stderr).toBe(0);
  snapshot = /"to":"([^"]+)"/.exec(stdout.trim().split('\n').at(-1) ?? '')?.[1] ?? '';
  await deployBreaking();
  usual = await lab.operate('rollback', { tag: 'd1', restoreData: snapshot });
  expect(usual, JSON.stringify(usual.error)).toMatchObject({ result: 'done', to: 'd1' });
});
afterAll(() => lab?.destroy());

describe('an agent that is killed while it rolls back with data', () => {
  it('dies in every step of its own', () => {
    expect(usual.steps.map(({ name: step }) => step)).toEqual(steps);
    expect(new Set(points.map(({ action }) => action))).toEqual(new Set(Object.keys(deaths)));
  });

  it.each(points)('$name', async (point) => {
    await deployBreaking();
    await lab.order(orderFor(point, usual));
    await lab.operateUntilDeath('rollback', { tag: 'd1', restoreData: snapshot });
    await lab.startAgent();
    // Its last line is the schema that is on record.
    await expectConsistent(lab, { tag: 'd1', result: 'done', idleStopped: true });
    expect(await store('cat', '/data/schema')).toBe('1');
  });

  it('leaves what the other release had written in safety snapshots, and nothing half done', async () => {
    const { stdout } = await lab.run(['backup', 'list', '--json']);
    expect(stdout.match(/"kind":"safety"/g)?.length).toBeGreaterThanOrEqual(points.length);
    const { exitCode, stderr } = await lab.run(['backup', 'verify', '--wait']);
    expect(exitCode, stderr).toBe(0);
  });
});
