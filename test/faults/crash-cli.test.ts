import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { operationResultSchema } from '../../src/api/schema.ts';
import { expectConsistent } from './invariants.ts';
import { FaultLab } from './lab.ts';
import { expectNothingLost, startTraffic } from './traffic.ts';

// Without an agent, the command hosts the operation itself. It can be killed just as well; the next command that changes
// anything settles what it left. And an agent that is asked to end takes back what it has begun before it ends.
let lab: FaultLab;
let count = 0;
let live = '';

async function nextVersion(): Promise<string> {
  count += 1;
  await lab.release(`d${count}`, { schema: count });
  return `d${count}`;
}

beforeAll(async () => {
  lab = await FaultLab.make({ name: 'crashcli', port: 28_292, pool: '10.224.0.0/16' });
  for (let index = 0; index < 2; index += 1) {
    live = await nextVersion();
    const { exitCode, stderr } = await lab.run(['deploy', live, '--yes']);
    expect(exitCode, stderr).toBe(0);
  }
});
afterAll(() => lab.destroy());

describe('a command that is killed while it deploys by itself', () => {
  afterEach(() => lab.stopAgent());

  it.each([
    ['build-images', 'running', false],
    ['migrate', 'running', false],
    ['start-colour', 'running', false],
    ['wait-healthy', 'done', false],
    ['shift-traffic', 'running', true],
    ['shift-traffic', 'done', true],
    ['record-live', 'done', true],
  ])('at %s (%s) is settled by the next command', async (step, state, pivoted) => {
    const before = live;
    const tag = await nextVersion();
    const clients = startTraffic(lab);
    try {
      expect(await lab.dieAt(['deploy', tag, '--yes'], step, state)).toBe('SIGKILL');
      live = pivoted ? tag : before;

      const next = await lab.run(['up', '--json']);
      expect(next.exitCode, next.stdout).toBe(0);
      const settled = (await lab.run(['operations', '--json'])).stdout
        .split('\n')
        .flatMap((line): unknown[] => [JSON.parse(line)].flat())
        .map((operation) => operationResultSchema.parse(operation));
      expect(settled[0]).toMatchObject({ kind: 'up', result: 'done' });
      expect(settled[1]).toMatchObject({ kind: 'deploy', to: tag, result: pivoted ? 'done' : 'failed' });
      await lab.startAgent();
      await expectConsistent(lab, { tag: live });
    } finally {
      await expectNothingLost(clients, { releases: pivoted ? [before, tag] : [before], reload: false });
    }
  });
});

describe('an agent that is asked to end (SIGTERM) in the middle of a deploy', () => {
  it.each(['build-images', 'migrate', 'start-colour'])('takes back what it did: at %s', async (step) => {
    const tag = await nextVersion();
    await lab.startAgent();
    const clients = startTraffic(lab);
    try {
      let ended: Promise<number | null> | undefined;
      const result = await lab.operate('deploy', { tag }, (event) => {
        if (event.event === 'step' && event.name === step) ended ??= lab.stopAgent('SIGTERM');
      });
      expect(result).toMatchObject({ result: 'failed', error: { code: 'interrupted' } });
      expect(await ended).toBe(0);
      await lab.startAgent();
      await expectConsistent(lab, { tag: live, result: 'failed' });
      await lab.stopAgent();
    } finally {
      await expectNothingLost(clients, { releases: [live], reload: false });
    }
  });
});
