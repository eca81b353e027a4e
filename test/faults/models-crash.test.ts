import { readlink } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { execa } from 'execa';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { addVersion } from '../../src/capabilities/models/add.ts';
import { ModelRegistry } from '../../src/capabilities/models/registry.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { Lab } from '../support/appliance.ts';
import { Load } from '../support/load.ts';
import { MortalAgent } from '../support/mortal-agent.ts';
import type { KillOrder } from './kill-order.ts';
import { inThisRun } from './matrix.ts';

// kill -9 of the agent at every step boundary of a promotion, and inside of each step, under load. Before the rename the
// promotion is taken back, from it on it is finished; always pointer, registry and running processes end up agreed.
const port = 28_780;
const name = 'modelscrash';
const reference = resolve(import.meta.dirname, '../../compose/routing-ml');
const steps = ['gate-model', 'hold-model', 'switch-model', 'confirm-model', 'record-model', 'bake-model'] as const;
const pivot = steps.indexOf('switch-model');
const points: readonly { readonly title: string; readonly order: KillOrder; readonly pivoted: boolean }[] = [
  { title: 'with its plan made', order: { action: 'gate-model', state: 'planned' }, pivoted: false },
  ...steps.flatMap((action, index) => [
    { title: `before ${action}`, order: { action, state: 'applying' as const }, pivoted: index >= pivot },
    { title: `inside ${action}`, order: { action, state: 'applying' as const, after: 15 }, pivoted: index >= pivot },
    { title: `after ${action}, not verified`, order: { action, state: 'applied' as const }, pivoted: index >= pivot },
    { title: `after ${action}`, order: { action, state: 'verified' as const }, pivoted: index >= pivot },
  ]),
];
const versions = ['2025.3', '2026.1'];

let lab: Lab;
let agent: MortalAgent;
let inForce = '';

const models = () => join(lab.root, 'lib/persistent/models');

/** What everybody says is in force: the pointer, the registry, and each running process. */
async function opinions(): Promise<string[]> {
  const registry = new ModelRegistry(models(), { clock: systemClock, access: 'read' });
  const labels = new Map(registry.page({ limit: 10 }).map(({ sha256, version }) => [sha256, version]));
  const production = registry.production()?.version ?? 'none';
  registry.close();
  const pointer = (await readlink(join(models(), 'current'))).split('/').at(-1) ?? 'none';
  const filters = ['--filter', `label=appliance.name=${name}`, '--filter', 'label=appliance.service=backend'];
  const { stdout } = await execa('docker', ['ps', '--quiet', ...filters]);
  const format = '{{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}';
  const running: string[] = [];
  for (const id of stdout.split('\n')) {
    const address = (await execa('docker', ['inspect', '--format', format, id])).stdout.trim().split(' ')[0];
    const answer = (await (await fetch(`http://${address}:8000/api/models/active`)).json()) as { sha256: string };
    running.push(labels.get(answer.sha256) ?? answer.sha256);
  }
  return [pointer, production, ...running];
}

beforeAll(async () => {
  // Gates without a container: what dies here is the agent, not the trial.
  const edit = (yaml: string) => yaml.replace(/^ {2}trial:\n(?: {4}.*\n)+/m, '');
  lab = await Lab.make({ name, port, pool: '10.195.0.0/16', edit });
  const { exitCode, document } = await lab.json(['deploy', 'v1.0', '--yes']);
  expect({ exitCode, error: document.error }).toEqual({ exitCode: 0, error: undefined });
  const registry = new ModelRegistry(models(), { clock: systemClock, access: 'write' });
  const about = { requirements: undefined, change: { actor: 'test' }, uid: 0, signal: AbortSignal.timeout(60_000) };
  for (const source of ['versions/v0.9/models', 'app/models'])
    await addVersion(registry, { source: join(reference, source), ...about });
  registry.close();
  agent = new MortalAgent(lab.root);
  await agent.start();
  const first = await lab.json(['models', 'promote', '2025.3', '--bake', '1s', '--accept-inconclusive']);
  expect({ exitCode: first.exitCode, error: first.document.error }).toEqual({ exitCode: 0, error: undefined });
  inForce = '2025.3';
});
afterAll(async () => {
  await agent?.stop('SIGKILL');
  await lab.destroy();
});

describe('kill -9 of the agent', () => {
  for (const { title, order, pivoted } of inThisRun(points))
    it(`${title}: ends ${pivoted ? 'finished' : 'taken back'}, and no request is lost`, async () => {
      const to = versions.find((version) => version !== inForce) ?? '';
      const load = new Load({ port, path: '/health', keepAlive: 8, fresh: 2, pause: 5 });
      await agent.killedAt(order, () => lab.run(['models', 'promote', to, '--bake', '1s', '--accept-inconclusive']));
      if (pivoted) inForce = to;
      await expect.poll(opinions, { timeout: 180_000, interval: 300 }).toEqual([inForce, inForce, inForce, inForce]);
      await expect
        .poll(async () => (await lab.json(['status'])).document.operation, { timeout: 180_000, interval: 300 })
        .toBeNull();
      const { losses } = await load.stop();
      expect(losses).toEqual([]);
    });
});
