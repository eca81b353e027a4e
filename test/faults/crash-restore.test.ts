import { existsSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Lab } from '../support/appliance.ts';
import { MortalAgent } from '../support/mortal-agent.ts';
import type { KillOrder } from './kill-order.ts';
import { inThisRun } from './matrix.ts';

// S1-64: kill -9 of the agent at every step boundary of a restore, and inside of each step. Before the exchange the restore
// is taken back, from it on it is finished; there is always exactly one database, with the rows of today or of the snapshot.
const name = 'crashrestore';
const port = 29_530;
const steps = ['stage-restore', 'load-database', 'swap-database', 'wait-healthy', 'finish-restore'] as const;
const pivot = steps.indexOf('swap-database');
const points: readonly { readonly title: string; readonly order: KillOrder; readonly finished: boolean }[] = [
  { title: 'with its plan made', order: { action: 'stage-restore', state: 'planned' }, finished: false },
  ...steps.flatMap((action, index) => [
    { title: `before ${action}`, order: { action, state: 'applying' as const }, finished: index >= pivot },
    { title: `inside ${action}`, order: { action, state: 'applying' as const, after: 400 }, finished: index >= pivot },
    { title: `after ${action}, not verified`, order: { action, state: 'applied' as const }, finished: index >= pivot },
    { title: `after ${action}`, order: { action, state: 'verified' as const }, finished: index >= pivot },
  ]),
];

let lab: Lab;
let agent: MortalAgent;
let snapshot: string;

async function sql(text: string, database = 'routing_ml'): Promise<string> {
  const argv = ['exec', `${name}-core-postgres-1`, 'psql', '-XqAt', '-U', 'routing', '-d', database, '-c', text];
  return (await execa('docker', argv)).stdout.trim();
}

beforeAll(async () => {
  lab = await Lab.make({ name, port, pool: '10.199.0.0/16' });
  for (const verb of [
    ['deploy', 'v1.0', '--yes'],
    ['backup', 'now'],
  ]) {
    const { exitCode, document } = await lab.json(verb);
    expect({ exitCode, error: document.error }).toEqual({ exitCode: 0, error: undefined });
    snapshot = String(document.to);
  }
  agent = new MortalAgent(lab.root);
  await agent.start();
}, 600_000);
afterAll(async () => {
  await agent?.stop('SIGKILL');
  await lab.destroy();
});

describe('kill -9 of the agent in a restore', () => {
  for (const { title, order, finished } of inThisRun(points))
    it(`${title}: is ${finished ? 'finished' : 'taken back'}`, { timeout: 300_000 }, async () => {
      const whole = Number(await sql('SELECT count(*) FROM items'));
      await sql('CREATE TABLE IF NOT EXISTS written_today (n int); INSERT INTO written_today VALUES (1)');
      const words = ['backup', 'restore', snapshot, '--component', 'database', '--skip-safety', '--yes'];
      await agent.killedAt(order, () => lab.run(words));
      await expect
        .poll(async () => (await lab.json(['status'])).document.operation, { timeout: 200_000, interval: 500 })
        .toBeNull();
      const today = await sql("SELECT count(*) FROM pg_tables WHERE tablename = 'written_today'");
      expect({ today, items: Number(await sql('SELECT count(*) FROM items')) }).toEqual({
        today: finished ? '0' : '1',
        items: whole,
      });
      const databases = await sql("SELECT datname FROM pg_database WHERE datname LIKE 'routing%'", 'postgres');
      expect(databases).toBe('routing_ml');
      const staging = join(lab.root, 'lib/backups/restore');
      expect(existsSync(staging) ? await readdir(staging) : []).toEqual([]);
      expect((await fetch(`http://127.0.0.1:${port}/health`)).status).toBe(200);
    });
});

describe('a restore during a deploy', () => {
  it('is refused with who holds the lock; both data and the deploy come out whole', { timeout: 300_000 }, async () => {
    const items = await sql('SELECT count(*) FROM items');
    const deploying = lab.json(['deploy', 'v1.0-p2', '--yes']);
    await expect
      .poll(async () => (await lab.json(['status'])).document.operation, { timeout: 60_000, interval: 100 })
      .toMatchObject({ kind: 'deploy' });
    const { exitCode, document } = await lab.json([
      ...['backup', 'restore', snapshot, '--component', 'database', '--skip-safety', '--yes'],
    ]);
    expect({ exitCode, document }).toMatchObject({
      exitCode: 5,
      document: {
        error: { code: 'busy', message: expect.stringContaining('deploy'), hint: expect.stringMatching(/./) },
      },
    });
    expect(await deploying).toMatchObject({ exitCode: 0, document: { result: 'done', to: 'v1.0-p2' } });
    expect(await sql('SELECT count(*) FROM items')).toBe(items);
  });
});
