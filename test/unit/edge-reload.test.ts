import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { askReload } from '../../src/capabilities/traffic/configuration.ts';
import type { TrafficParts } from '../../src/capabilities/traffic/deps.ts';
import { edgeFiles } from '../../src/capabilities/traffic/files.ts';
import { configSchema } from '../../src/config/schema.ts';
import { edgeControl } from '../../src/host/nginx.ts';
import { pathsFor } from '../../src/lib/paths.ts';
import { FastClock } from '../support/fast-clock.ts';

// What is made of the looks at the processes of nginx; the real ones: test/integration/edge-configure.test.ts.

const root = mkdtempSync(join(tmpdir(), 'edge-reload-'));
afterAll(() => rmSync(root, { recursive: true }));
const paths = pathsFor(root);
const files = edgeFiles(paths);
const { signal } = new AbortController();
const config = configSchema.parse({
  name: 'edge-reload',
  source: { repository: '/nowhere' },
  services: { web: { role: 'app' } },
  routes: [{ path: '/', service: 'web', port: 8000 }],
});

type Look = Readonly<Record<number, string>> | 'nobody answers';

/** An edge that shows its processes by id and title, look after look; the last one stays. */
function edge(looks: readonly Look[]) {
  const clock = new FastClock();
  let looked = 0;
  const exec: TrafficParts['exec'] = async (argv) => {
    if (argv[0] === 'nginx') return { exitCode: 0, stdout: '', stderr: '' };
    const look = looks[Math.min(looked, looks.length - 1)] ?? {};
    looked += 1;
    if (look === 'nobody answers') return { exitCode: 126, stdout: '', stderr: 'no process could be started' };
    const pattern = new RegExp(`^(?:${/'(.*)'/.exec(argv.join(' '))?.[1]})$`);
    const found = Object.entries(look).filter(([, title]) => pattern.test(title));
    return {
      exitCode: found.length > 0 ? 0 : 1,
      stdout: found.map(([id]) => `/proc/${id}/cmdline\n`).join(''),
      stderr: '',
    };
  };
  const parts: TrafficParts = { config, paths, files, clock, exec, control: edgeControl(files.control) };
  return { parts, looked: () => looked };
}

const master = { 1: 'nginx: master process nginx -g daemon off;' };
const worker = 'nginx: worker process';
const ending = 'nginx: worker process is shutting down';

test('a reload is over when the workers that take requests are new ones', async () => {
  const both = { ...master, 20: worker, 30: worker };
  const { parts, looked } = edge([{ ...master, 20: worker }, both, both, { ...master, 20: ending, 30: worker }]);
  await (await askReload(parts, signal)).handedOver();
  expect(looked()).toBe(4);
});

test('a look that fails, or sees no worker, does not say that the old ones are gone', async () => {
  const { parts, looked } = edge([
    { ...master, 20: worker },
    'nobody answers',
    { ...master, 20: ending, 30: master[1] },
    { ...master, 20: ending, 30: worker },
  ]);
  await (await askReload(parts, signal)).handedOver();
  expect(looked()).toBe(4);
});

test('a worker that bears no title yet is an old one all the same', async () => {
  const { parts, looked } = edge([
    { ...master, 20: worker, 21: master[1] },
    { ...master, 20: ending, 21: worker, 30: worker },
    { ...master, 20: ending, 21: ending, 30: worker },
  ]);
  await (await askReload(parts, signal)).handedOver();
  expect(looked()).toBe(3);
});

test('old workers that go on are told, and an edge that nobody can look into is another matter', async () => {
  const stuck = edge([{ ...master, 20: worker }]);
  await expect((await askReload(stuck.parts, signal)).handedOver()).rejects.toMatchObject({
    code: 'edge_refused',
    message: expect.stringContaining('after 15 s its old workers still take requests'),
  });
  const gone = edge([{ ...master, 20: worker }, 'nobody answers']);
  await expect((await askReload(gone.parts, signal)).handedOver()).rejects.toMatchObject({
    code: 'edge_unreachable',
    message: expect.stringContaining('no process could be started'),
  });
  await expect(askReload(edge(['nobody answers']).parts, signal)).rejects.toMatchObject({ code: 'edge_unreachable' });
});
