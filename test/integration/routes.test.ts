import { readFile, writeFile } from 'node:fs/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { FaultLab } from '../faults/lab.ts';
import { Load, type Loss } from '../support/load.ts';

// Routes belong to the release: a service that is renamed between two releases is found by both colours, on the way
// there and on each way back.
const port = 28_260;
let lab: FaultLab;

const load = () => new Load({ port, path: '/', keepAlive: 8, fresh: 2, pause: 1 });
/** Changes appliance.yaml, as its owner would. */
const edit = async (from: string, to: string) =>
  writeFile(lab.config, (await readFile(lab.config, 'utf8')).replaceAll(from, to));
const succeed = async (...args: string[]) => {
  const { exitCode, stdout, stderr } = await lab.run([...args, '--json']);
  expect(exitCode, `${stdout}\n${stderr}`).toBe(0);
  return stdout;
};
/** nginx before 1.27.4 closes idle connections at a reload, and a client that never retries may be using one (docs/limits.md). */
const closedByReload = ({ client, why }: Loss) =>
  client.startsWith('keep-alive') && /socket hang up|ECONNRESET/.test(why);

beforeAll(async () => {
  lab = await FaultLab.make({ name: 'routetest', port, pool: '10.227.0.0/16' });
  await lab.release('v1', { schema: 1 });
  await succeed('deploy', 'v1', '--yes');
  await edit('backend', 'api');
  for (const tag of ['v2', 'v3', 'v4']) await lab.release(tag, { schema: 1, service: 'api' });
}, 400_000);
afterAll(() => lab.destroy());

it('a deploy that renames a service loses nothing, nor does the warm rollback: the edge is not even reloaded', async () => {
  const clients = load();
  const deployed = await succeed('deploy', 'v2', '--yes');
  const rolledBack = await succeed('rollback', 'v1', '--yes');
  const { losses, releases, requests } = await clients.stop();
  expect(losses).toEqual([]);
  expect([...releases.keys()]).toEqual(['v1', 'v2']);
  expect(requests).toBeGreaterThan(500);
  for (const stdout of [deployed, rolledBack]) expect(stdout).toContain('unchanged, no reload');
});

it('a cold rollback over the renaming loses nothing', async () => {
  await succeed('rollback', 'v2', '--yes');
  await succeed('deploy', 'v3', '--yes');
  const clients = load();
  await succeed('rollback', 'v1', '--yes');
  const { losses, releases } = await clients.stop();
  expect(losses).toEqual([]);
  expect([...releases.keys()]).toEqual(['v3', 'v1']);
});

it('routes that come and change are shown by plan and diff, and belong to the release from then on', async () => {
  await edit(
    'routes: [{ path: /, service: api, port: 8000 }]',
    'routes: [{ path: /, service: api, port: 8000, timeout: 3s }, { path: /new/, service: api, port: 8000 }]',
  );
  const { changes, notes } = JSON.parse(await succeed('plan', 'v4'));
  const before = '8000, 1 min 00 s, 10.0 MiB';
  const wanted = [
    { area: 'topology', name: '/', kind: 'changed', from: `backend:${before}`, to: 'api:8000, 3.0 s, 10.0 MiB' },
    { area: 'topology', name: '/new/', kind: 'added', from: null, to: `api:${before}` },
  ];
  expect(changes).toEqual(expect.arrayContaining(wanted));
  expect(notes).toContainEqual(expect.stringMatching(/deploy\.drain/));
  const clients = load();
  await succeed('deploy', 'v4', '--yes');
  const { losses } = await clients.stop();
  expect(losses.filter((loss) => !closedByReload(loss))).toEqual([]);
  const diff = JSON.parse(await succeed('releases', 'diff', 'v1', 'v4'));
  expect(diff.changes).toEqual(expect.arrayContaining(wanted));
  const on = async (colour: string) =>
    (await fetch(`http://127.0.0.1:${port}/new`, { redirect: 'manual', headers: { 'x-appliance-preview': colour } }))
      .status;
  // v1 has no such prefix: its own service answers.
  expect([await on('blue'), await on('green')].sort()).toEqual([200, 301]);
  await edit('timeout: 3s', 'timeout: 4s');
  const again = JSON.parse(await succeed('plan', 'v4'));
  expect(again.changes.filter(({ area }: { area: string }) => area !== 'image')).toEqual([
    {
      area: 'topology',
      name: '/',
      kind: 'changed',
      from: 'api:8000, 3.0 s, 10.0 MiB',
      to: 'api:8000, 4.0 s, 10.0 MiB',
    },
  ]);
  expect(again.steps).toContainEqual(expect.objectContaining({ action: 'shift-traffic' }));
});
