import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { addVersion } from '../../src/capabilities/models/add.ts';
import { ModelRegistry } from '../../src/capabilities/models/registry.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { activeModels } from '../support/active-models.ts';
import { Lab } from '../support/appliance.ts';
import { Load } from '../support/load.ts';

// Two versions of a model side by side, by weight (S3-25). The tests build on each other.
const port = 28_940;
const name = 'modelssplit';
const reference = resolve(import.meta.dirname, '../../compose/routing-ml');
let lab: Lab;
let token: string;

const file = () => join(lab.root, 'lib/persistent/models/candidate.json');
const reported = async () =>
  (await activeModels(name)).map(({ version, candidate }) =>
    candidate ? `${version} + ${candidate.weight} ${candidate.version}` : version,
  );

async function post(path: string, body: unknown, headers: Readonly<Record<string, string>> = {}): Promise<Response> {
  const answer = await fetch(`http://127.0.0.1:${port}${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
  });
  expect(answer.status, path).toBe(200);
  return answer;
}

/** Which version answers a prediction, by the header and by the answer itself. */
async function answeredBy(variant?: 'current' | 'candidate'): Promise<string> {
  const item = { item_code: `ITEM_A${String(1 + Math.floor(Math.random() * 90)).padStart(3, '0')}` };
  const headers = { authorization: `Bearer ${token}`, ...(variant ? { 'x-model-variant': variant } : {}) };
  const answer = await post('/api/routing/predict', item, headers);
  const { model } = z.object({ model: z.object({ version: z.string() }) }).parse(await answer.json());
  expect(answer.headers.get('x-model-version')).toBe(model.version);
  return model.version;
}

/** Share of so many predictions that 2025.3 answers. */
async function share(count: number): Promise<number> {
  let candidates = 0;
  for (let asked = 0; asked < count; asked += 20) {
    const versions = await Promise.all(Array.from({ length: 20 }, () => answeredBy()));
    candidates += versions.filter((version) => version === '2025.3').length;
  }
  return candidates / count;
}

async function done(...args: string[]): Promise<Record<string, unknown>> {
  const { exitCode, document } = await lab.json(['models', ...args]);
  expect({ exitCode, error: document.error }).toEqual({ exitCode: 0, error: undefined });
  return document;
}

const history = async () => {
  const { stdout } = await lab.run(['models', 'history', '--json']);
  const entries = z.array(z.object({ event: z.string(), version: z.string(), reason: z.string().nullable() }));
  return entries.parse(JSON.parse(stdout)).map(({ event, version, reason }) => `${event} ${version} ${reason}`);
};

beforeAll(async () => {
  // The gates are proven elsewhere; a container for each would take most of the time.
  const edit = (yaml: string) => yaml.replace(/^ {2}trial:\n(?: {4}.*\n)+/m, '');
  lab = await Lab.make({ name, port, pool: '10.249.0.0/16', edit });
  const { exitCode, document } = await lab.json(['deploy', 'v1.0', '--yes']);
  expect({ exitCode, error: document.error }).toEqual({ exitCode: 0, error: undefined });
  const registry = new ModelRegistry(join(lab.root, 'lib/persistent/models'), { clock: systemClock, access: 'write' });
  const about = { requirements: undefined, change: { actor: 'test' }, uid: 0, signal: AbortSignal.timeout(60_000) };
  for (const source of ['versions/v0.9/models', 'app/models'])
    await addVersion(registry, { source: join(reference, source), ...about });
  registry.close();
  await lab.startAgent();
  const password = /^DEMO_PASSWORD=(.+)$/m.exec(await readFile(join(lab.root, 'etc/routing-ml.env'), 'utf8'))?.[1];
  const login = await post('/api/auth/login', { username: 'demo', password });
  token = z.object({ access_token: z.string() }).parse(await login.json()).access_token;
}, 400_000);
afterAll(() => lab.destroy());

describe('a split by weight (S3-25)', () => {
  it('is refused before a registered version is in force', async () => {
    const { exitCode, document } = await lab.json(['models', 'promote', '2025.3', '--weight', '30%']);
    expect({ exitCode, document }).toMatchObject({ exitCode: 2, document: { error: { code: 'usage' } } });
    await done('promote', '2026.1', '--bake', '1s', '--accept-inconclusive');
    const inForce = await lab.json(['models', 'promote', '2026.1', '--weight', '30%']);
    expect(inForce).toMatchObject({ exitCode: 2, document: { error: { code: 'usage' } } });
    expect(existsSync(file())).toBe(false);
  });

  it('gives a version its share, which running processes report, and loses no request', async () => {
    const load = new Load({ port, path: '/health', keepAlive: 8, fresh: 2, pause: 5 });
    const result = await done('promote', '2025.3', '--weight', '30%', '--bake', '1s', '--accept-inconclusive');
    expect((await load.stop()).losses).toEqual([]);
    expect(result).toMatchObject({ kind: 'model-promote', result: 'done' });
    expect(await reported()).toEqual(['2026.1 + 0.3 2025.3', '2026.1 + 0.3 2025.3']);
    const measured = await share(600);
    expect(measured).toBeGreaterThan(0.2);
    expect(measured).toBeLessThan(0.4);
    expect([await answeredBy('current'), await answeredBy('candidate')]).toEqual(['2026.1', '2025.3']);
    expect((await history())[0]).toBe('split 2025.3 30 % of the requests');
    const { stdout } = await lab.run(['models', 'list', '--json']);
    expect(JSON.parse(stdout)).toMatchObject([
      { version: '2026.1', inForce: true, weight: null, state: 'production' },
      { version: '2025.3', inForce: false, weight: 0.3 },
    ]);
  });

  it('keeps others away from it', async () => {
    const before = await readFile(file(), 'utf8');
    for (const args of [['archive', '2025.3'], ['promote', '2026.1'], ['retrain']]) {
      const { exitCode, document } = await lab.json(['models', ...args]);
      expect({ exitCode, document }, args.join(' ')).toMatchObject({
        exitCode: 2,
        document: { error: { code: 'usage' } },
      });
    }
    expect(await readFile(file(), 'utf8')).toBe(before);
  });

  it('changes the share, and a process that is started anew has it as well', async () => {
    await done('promote', '2025.3', '--weight', '60%', '--bake', '1s');
    expect(await reported()).toEqual(['2026.1 + 0.6 2025.3', '2026.1 + 0.6 2025.3']);
    expect((await lab.json(['restart', 'backend'])).exitCode).toBe(0);
    await expect.poll(reported, { timeout: 60_000 }).toEqual(['2026.1 + 0.6 2025.3', '2026.1 + 0.6 2025.3']);
  });

  it('ends with a rollback: the model in force answers all', async () => {
    await done('rollback', '--reason', 'no better');
    expect(existsSync(file())).toBe(false);
    expect(await reported()).toEqual(['2026.1', '2026.1']);
    expect(await share(60)).toBe(0);
    expect((await history())[0]).toBe('split-ended 2025.3 no better');
  });

  it('ends with a promotion of what had the share', async () => {
    await done('promote', '2025.3', '--weight', '50%', '--bake', '0s', '--accept-inconclusive');
    const load = new Load({ port, path: '/health', keepAlive: 8, fresh: 2, pause: 5 });
    await done('promote', '--bake', '1s', '--accept-inconclusive');
    expect((await load.stop()).losses).toEqual([]);
    expect(existsSync(file())).toBe(false);
    expect(await reported()).toEqual(['2025.3', '2025.3']);
    expect(await share(40)).toBe(1);
    const nothing = await lab.json(['models', 'promote']);
    expect(nothing).toMatchObject({ exitCode: 2, document: { error: { code: 'usage' } } });
  });
});
