import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { addVersion } from '../../src/capabilities/models/add.ts';
import { ModelRegistry } from '../../src/capabilities/models/registry.ts';
import { readSplit } from '../../src/capabilities/models/split.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { activeModels } from '../support/active-models.ts';
import { Lab } from '../support/appliance.ts';
import { Load } from '../support/load.ts';
import { MortalAgent } from '../support/mortal-agent.ts';
import type { KillOrder } from './kill-order.ts';
import { inThisRun } from './matrix.ts';

// kill -9 of the agent inside of each step of a split, and of its completion, under load (S3-25). Before the split begins it
// is taken back, from then on it is finished; always the file and the running processes end up agreed.
const port = 28_960;
const name = 'splitcrash';
const reference = resolve(import.meta.dirname, '../../compose/routing-ml');
const points = (steps: readonly string[]): KillOrder[] =>
  steps.flatMap((action) => [
    { action, state: 'applying', after: 10 },
    { action, state: 'applied' },
  ]);
const splitSteps = ['gate-model', 'hold-model', 'split-model', 'confirm-model', 'record-split', 'watch-split'];
const wholeSteps = ['switch-model', 'split-model', 'confirm-model', 'record-model'];

let lab: Lab;
let agent: MortalAgent;

const models = () => join(lab.root, 'lib/persistent/models');

/** What the file says, and each running process: current, candidate, its share. */
async function opinions(): Promise<string[]> {
  const registry = new ModelRegistry(models(), { clock: systemClock, access: 'read' });
  const production = registry.production()?.version;
  registry.close();
  const split = await readSplit(models());
  const text = (current: string | undefined, share: { version: string; weight: number } | null) =>
    share ? `${current} + ${share.weight} ${share.version}` : `${current}`;
  const running = (await activeModels(name)).map(({ version, candidate }) => text(version, candidate));
  return [text(production, split), ...running];
}

async function settled(expected: string): Promise<void> {
  await expect.poll(opinions, { timeout: 120_000, interval: 300 }).toEqual([expected, expected, expected]);
  await expect
    .poll(async () => (await lab.json(['status'])).document.operation, { timeout: 120_000, interval: 300 })
    .toBeNull();
}

async function killed(order: KillOrder, args: readonly string[]): Promise<void> {
  const load = new Load({ port, path: '/health', keepAlive: 4, fresh: 1, pause: 10 });
  await agent.killedAt(order, () => lab.run(['models', ...args]));
  expect((await load.stop()).losses).toEqual([]);
}

async function done(...args: string[]): Promise<void> {
  const { exitCode, document } = await lab.json(['models', ...args]);
  expect({ exitCode, error: document.error }).toEqual({ exitCode: 0, error: undefined });
}

beforeAll(async () => {
  // Gates without a container: what dies here is the agent, not the trial.
  const edit = (yaml: string) => yaml.replace(/^ {2}trial:\n(?: {4}.*\n)+/m, '');
  lab = await Lab.make({ name, port, pool: '10.234.0.0/16', edit });
  const { exitCode, document } = await lab.json(['deploy', 'v1.0', '--yes']);
  expect({ exitCode, error: document.error }).toEqual({ exitCode: 0, error: undefined });
  const registry = new ModelRegistry(models(), { clock: systemClock, access: 'write' });
  const about = { requirements: undefined, change: { actor: 'test' }, uid: 0, signal: AbortSignal.timeout(60_000) };
  for (const source of ['versions/v0.9/models', 'app/models'])
    await addVersion(registry, { source: join(reference, source), ...about });
  registry.close();
  agent = new MortalAgent(lab.root);
  await agent.start();
  await done('promote', '2026.1', '--bake', '0s', '--accept-inconclusive');
});
afterAll(async () => {
  await agent?.stop('SIGKILL');
  await lab.destroy();
});

describe('kill -9 of the agent while a split begins', () => {
  const split = ['promote', '2025.3', '--weight', '25%', '--bake', '0s', '--accept-inconclusive'];
  for (const order of inThisRun(points(splitSteps))) {
    const begun = splitSteps.indexOf(order.action) >= splitSteps.indexOf('split-model');
    it(`${order.state} ${order.action}: ends ${begun ? 'finished' : 'taken back'}`, async () => {
      await killed(order, split);
      await settled(begun ? '2026.1 + 0.25 2025.3' : '2026.1');
      if (begun) await done('rollback');
      await settled('2026.1');
    });
  }
});

describe('kill -9 of the agent while a split becomes a promotion', () => {
  for (const order of inThisRun(points(wholeSteps)))
    it(`${order.state} ${order.action}: ends finished`, async () => {
      await done('promote', '2025.3', '--weight', '25%', '--bake', '0s', '--accept-inconclusive');
      await killed(order, ['promote', '--bake', '0s', '--accept-inconclusive']);
      await settled('2025.3');
      await done('rollback', '2026.1');
      await settled('2026.1');
    });
});

it('nothing of it was taken for the work of somebody else', () => {
  const registry = new ModelRegistry(models(), { clock: systemClock, access: 'read' });
  const events = registry.history({ limit: 10_000 }).map(({ event }) => event);
  registry.close();
  expect(events).not.toContain('taken-over');
  expect(events).not.toContain('withdrawn');
});
