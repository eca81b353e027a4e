import { execa } from 'execa';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { operationResultSchema, planSchema } from '../../src/api/schema.ts';
import type { KillOrder } from '../faults/kill-order.ts';
import { Lab } from '../support/appliance.ts';
import { Load } from '../support/load.ts';
import { MortalAgent } from '../support/mortal-agent.ts';

// S1-65: back to a release that cannot read the database of today, together with its data, under clients that count every
// answer. v1.1 migrates to schema 3, which v1.0 (schema 1) cannot read.
const name = 'restoredata';
const port = 28_700;
const done = { result: 'done' };
let lab: Lab;
let agent: MortalAgent;
let snapshot: string;

async function sql(text: string): Promise<string> {
  const argv = ['psql', '-XqAt', '-v', 'ON_ERROR_STOP=1', '-U', 'routing', '-d', 'routing_ml', '-c', text];
  return (await execa('docker', ['exec', `${name}-core-postgres-1`, ...argv])).stdout.trim();
}

const releaseOf = async (): Promise<string | null> =>
  (await fetch(`http://127.0.0.1:${port}/health`)).headers.get('x-appliance-release');

/** Runs an operation to its end, however long a busy host takes. @returns its last document */
async function operate(...words: readonly string[]): Promise<{ exitCode: number | undefined; document: unknown }> {
  const { exitCode, stdout } = await execa(
    process.execPath,
    ['--no-warnings', lab.entry, ...words, '--yes', '--json'],
    { reject: false, stdin: 'ignore', env: { APPLIANCE_ROOT: lab.root }, timeout: 800_000 },
  );
  const last = stdout.split('\n').findLast((line) => line !== '') ?? 'null';
  return { exitCode, document: JSON.parse(last) };
}

const deployBreaking = async (): Promise<void> => {
  expect(await operate('deploy', 'v1.1', '--strategy', 'recreate')).toMatchObject({ exitCode: 0, document: done });
  await sql('CREATE TABLE written_by_v11 (n int); INSERT INTO written_by_v11 VALUES (1)');
};
const tables = (): Promise<string> =>
  sql("SELECT string_agg(tablename, ',' ORDER BY tablename) FROM pg_tables WHERE tablename LIKE 'written_by%'");

beforeAll(async () => {
  lab = await Lab.make({
    name,
    port,
    pool: '10.205.0.0/16',
    backups: true,
    edit: (yaml) => yaml.replace('drain: 120s', 'drain: 5s'),
  });
  agent = new MortalAgent(lab.root);
  await agent.start();
  expect(await operate('deploy', 'v1.0')).toMatchObject({ exitCode: 0, document: done });
  await sql('CREATE TABLE written_by_v10 (n int); INSERT INTO written_by_v10 SELECT generate_series(1, 1000)');
  await deployBreaking();
}, 1_500_000);
afterAll(async () => {
  await agent?.stop();
  await lab.destroy();
});

describe('rollback TAG --restore-data', { timeout: 900_000 }, () => {
  it('is what a refused rollback proposes, with the snapshot that was made before the migration (S0-11)', async () => {
    const { exitCode, document } = await lab.json(['rollback', 'v1.0']);
    expect(exitCode).not.toBe(0);
    expect(document).toMatchObject({ error: { code: 'schema_gate', message: expect.stringContaining('schema 3') } });
    const { hint } = operationHint(document);
    snapshot = /--restore-data=(\S+)/.exec(hint)?.[1] ?? '';
    await expect
      .poll(async () => (await lab.json(['backup', 'list'])).documents.flat(), { timeout: 300_000, interval: 1_000 })
      .toContainEqual(expect.objectContaining({ id: snapshot, kind: 'pre-migration' }));
    expect(await releaseOf()).toBe('v1.1');
  });

  it('shows rows, steps and a downtime before anything is touched', async () => {
    const { exitCode, document } = await lab.json(['rollback', 'v1.0', '--restore-data', snapshot, '--plan']);
    expect(exitCode).toBe(0);
    const plan = planSchema.parse(document);
    expect(plan).toMatchObject({ from: 'v1.1', to: 'v1.0', strategy: `with the data of ${snapshot}` });
    expect(plan.changes).toContainEqual(
      expect.objectContaining({ area: 'rows', name: 'routing_ml public.written_by_v11', kind: 'removed' }),
    );
    expect(plan.predictedDowntimeSeconds).toBeGreaterThan(0);
    expect(await tables()).toBe('written_by_v10,written_by_v11');
  });

  it('serves the old release with its data; clients get the maintenance page meanwhile, and nothing else', async () => {
    const clients = new Load({ port, path: '/health', keepAlive: 4, fresh: 4, pause: 10 });
    const { exitCode, document } = await operate('rollback', 'v1.0', '--restore-data', snapshot);
    // So that the end of the downtime is seen.
    if (exitCode === 0) await expect.poll(() => [...clients.releases.keys()], { timeout: 60_000 }).toContain('v1.0');
    const { losses, releases, requests } = await clients.stop();
    expect({ exitCode, document }).toMatchObject({ exitCode: 0, document: done });
    const result = operationResultSchema.parse(document);
    expect(result).toMatchObject({ kind: 'rollback', from: 'v1.1', to: 'v1.0', result: 'done' });
    expect([...releases.keys()]).toEqual(['v1.1', 'v1.0']);
    // nginx closes idle connections when it is told new addresses; a client that never retries may just be using one.
    const odd = losses.filter(
      ({ client, why }) =>
        !why.startsWith('status 503') && !(client.startsWith('keep-alive') && /hang up|ECONNRESET/.test(why)),
    );
    expect(odd).toEqual([]);
    const closed = losses.filter(({ why }) => why.startsWith('status 503')).map(({ at }) => at);
    const seconds = (Math.max(...closed) - Math.min(...closed)) / 1_000;
    process.stderr.write(
      `downtime of the rollback with data: ${seconds.toFixed(2)} s of ${result.seconds.toFixed(1)} s; `,
    );
    process.stderr.write(`${closed.length} of ${requests} requests got the maintenance page\n`);
    expect(closed.length).toBeGreaterThan(0);
    expect(seconds).toBeLessThan(result.seconds);
    expect(await tables()).toBe('written_by_v10');
    expect(await sql('SELECT count(*) FROM written_by_v10')).toBe('1000');
  });

  it('leaves today in a protected snapshot, one database, and the schema of the snapshot on record', async () => {
    await expect
      .poll(async () => (await lab.json(['backup', 'list'])).documents.flat(), { timeout: 300_000, interval: 1_000 })
      .toContainEqual(expect.objectContaining({ kind: 'safety', protected: true }));
    expect(await sql("SELECT string_agg(datname, ',') FROM pg_database WHERE datname LIKE 'routing%'")).toBe(
      'routing_ml',
    );
    const { document } = await lab.json(['plan', 'v1.1']);
    expect(document).toMatchObject({ error: { code: 'schema_gate' } });
  });

  it('is finished by the next agent when this one is killed between the exchange and the old release', async () => {
    await deployBreaking();
    const order: KillOrder = { action: 'swap-database', state: 'applied' };
    await agent.killedAt(order, () => operate('rollback', 'v1.0', '--restore-data'));
    await expect
      .poll(async () => (await lab.json(['status'])).document, { timeout: 600_000, interval: 500 })
      .toMatchObject({ operation: null, release: { tag: 'v1.0' } });
    expect(await releaseOf()).toBe('v1.0');
    expect(await tables()).toBe('written_by_v10');
    expect(await sql("SELECT string_agg(datname, ',') FROM pg_database WHERE datname LIKE 'routing%'")).toBe(
      'routing_ml',
    );
  });
});

function operationHint({ error }: Record<string, unknown>): { hint: string } {
  return { hint: typeof error === 'object' && error !== null && 'hint' in error ? String(error.hint) : '' };
}
