import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { execa } from 'execa';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { Engine } from '../../src/host/docker.ts';
import { EngineProxy } from '../faults/engine-proxy.ts';

// Backups, drills and every list of snapshots wait for a container. When the engine goes away meanwhile, whoever waits must
// hear of it: a screen that hears nothing shows an old list for ever.
const label = 'appliance.test=docker-task';
let folder: string;
let proxy: EngineProxy;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'docker-task-'));
  proxy = await EngineProxy.open(join(folder, 'engine.sock'));
});
afterEach(async () => {
  await proxy.cut();
  const ids = (await execa('docker', ['ps', '--all', '--quiet', '--filter', `label=${label}`])).stdout.split('\n');
  if (ids[0]) await execa('docker', ['rm', '--force', ...ids]);
  await rm(folder, { recursive: true, force: true });
});

const task = (...argv: string[]) => ({
  name: `docker-task-${randomUUID()}`,
  image: 'debian:trixie-slim',
  argv,
  mounts: [],
  network: 'none' as const,
  hostname: 'test',
  capabilities: [],
  cpus: 1,
  share: 'half' as const,
  memory: 64 * 1024 * 1024,
  labels: { 'appliance.test': 'docker-task' },
  timeout: 60_000,
  signal: AbortSignal.timeout(60_000),
});

it('tells how a task has ended, and what it said', async () => {
  const lines: string[] = [];
  const result = await new Engine(proxy.path).runTask({
    ...task('sh', '-c', 'echo one; echo two; echo three >&2; exit 3'),
    onLine: (line) => lines.push(line),
  });
  expect(result).toMatchObject({ exitCode: 3, outOfMemory: false, stderr: 'three\n' });
  expect(lines).toEqual(['one', 'two']);
});

it('hears everything that a task has said, however fast it ends', async () => {
  const engine = new Engine(proxy.path);
  for (let run = 0; run < 3; run += 1) {
    let last = '';
    const { stderr } = await engine.runTask({
      ...task('sh', '-c', 'seq 50000; seq 2000 >&2; echo the reason >&2'),
      onLine: (line) => {
        last = line;
      },
    });
    expect([last, stderr.split('\n').at(-2)]).toEqual(['50000', 'the reason']);
  }
}, 60_000);

it('an engine that goes away is reported, not waited for', async () => {
  const said = Promise.withResolvers<string>();
  const running = new Engine(proxy.path).runTask({
    ...task('sh', '-c', 'echo running; exec sleep 50'),
    onLine: said.resolve,
  });
  const outcome = expect(running).rejects.toMatchObject({ code: 'engine_unreachable' });
  expect(await said.promise).toBe('running');
  // The engine has begun its answer to the question how the task ends.
  await delay(500);
  await proxy.cut();
  await outcome;
}, 40_000);

it('does not wait for one that tries again and again without a chance', async () => {
  const trying = 'trap "exit 9" INT; echo "no space left" >&2; while :; do sleep 1; done';
  const { exitCode, stderr } = await new Engine(proxy.path).runTask({
    ...task('bash', '-c', trying),
    hopeless: /no space/,
  });
  expect([exitCode, stderr]).toEqual([9, 'no space left\n']);
}, 60_000);
