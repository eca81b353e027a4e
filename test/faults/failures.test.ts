import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { execa } from 'execa';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { operationResultSchema } from '../../src/api/schema.ts';
import { unmount } from '../support/mounts.ts';
import { expectConsistent } from './invariants.ts';
import { FaultLab, type Version } from './lab.ts';
import { expectNothingLost, startTraffic } from './traffic.ts';

// Deploys that fail by themselves: production keeps serving, nothing half-done stays, and the command says what happened.
let lab: FaultLab;

beforeAll(async () => {
  lab = await FaultLab.make({ name: 'failfault', port: 28_300, pool: '10.226.0.0/16' });
  await lab.startAgent();
  for (const tag of ['f1', 'f2']) {
    await lab.release(tag, { schema: 1 });
    expect(await lab.operate('deploy', { tag })).toMatchObject({ result: 'done' });
  }
});
afterAll(() => lab.destroy());

/** Deploys on the command line. @returns exit status and the last document */
async function deploy(tag: string, ...more: string[]) {
  const { exitCode, stdout } = await lab.run(['deploy', tag, '--yes', '--json', ...more]);
  return { exitCode, result: operationResultSchema.parse(JSON.parse(stdout.split('\n').at(-1) ?? '')) };
}

describe('a deploy that fails leaves production untouched', () => {
  const failures: [string, string, Version, string, RegExp][] = [
    ['a version that never becomes healthy', 'sick', { schema: 1, sick: true }, 'unhealthy', /status 503/],
    [
      'a version that cannot be built',
      'unbuildable',
      { schema: 1, dockerfile: 'FROM debian:trixie-slim\nRUN echo no such header >&2; exit 7\n' },
      'build_failed',
      /no such header/,
    ],
    [
      'a migration that fails',
      'unmigratable',
      { schema: 2, migration: 'echo column already exists; exit 3' },
      'migration_failed',
      /exit status 3[\s\S]*column already exists/,
    ],
    [
      // /dev/shm of a build is a file system of 64 MB, so this is the real error of a full disk.
      'a disk that is full while the image is built',
      'too-big',
      {
        schema: 1,
        dockerfile: 'FROM debian:trixie-slim\nRUN dd if=/dev/zero of=/dev/shm/full bs=1M count=200\n',
      },
      'disk_full',
      /no space left/i,
    ],
  ];
  it.each(failures)('%s', async (_, tag, version, code, message) => {
    await lab.release(tag, version);
    const clients = startTraffic(lab);
    try {
      const { exitCode, result } = await deploy(tag);
      expect(exitCode).toBe(1);
      expect(result).toMatchObject({
        result: 'failed',
        from: 'f2',
        to: tag,
        error: { code, exit: 1, message: expect.stringMatching(message) },
      });
      await expectConsistent(lab, { tag: 'f2', result: 'failed' });
    } finally {
      await expectNothingLost(clients, { releases: ['f2'], reload: false });
    }
  });

  it('a configuration that nginx refuses', async () => {
    // Another number of replicas means other addresses, which nginx is asked about; its key has become unusable.
    await lab.release('refused', { schema: 1, replicas: 3 });
    const key = join(lab.root, 'lib/edge/certs/edge/current/key.pem');
    const good = await readFile(key);
    const clients = startTraffic(lab);
    try {
      await writeFile(key, 'this is no key\n');
      const { exitCode, result } = await deploy('refused');
      expect(exitCode).toBe(1);
      expect(result).toMatchObject({ result: 'failed', error: { code: 'edge_refused', exit: 1 } });
      await writeFile(key, good);
      await expectConsistent(lab, { tag: 'f2', result: 'failed' });
    } finally {
      await writeFile(key, good);
      await expectNothingLost(clients, { releases: ['f2'], reload: false });
    }
  });

  it('a state directory without room for another release', async ({ skip }) => {
    await lab.release('no-room', { schema: 1 });
    const releases = join(lab.root, 'lib/releases');
    // Room in bytes, none in files: the release is begun, and then cannot be written.
    const mounted = await execa('mount', ['-t', 'tmpfs', '-o', 'size=2g,nr_inodes=4', 'tmpfs', releases], {
      reject: false,
    });
    if (mounted.exitCode !== 0) return skip(`a tmpfs cannot be mounted here: ${mounted.stderr}`);
    try {
      const { exitCode, result } = await deploy('no-room');
      expect(exitCode).toBe(1);
      expect(result).toMatchObject({ result: 'failed', error: { code: 'disk_full', exit: 1 } });
      expect((await execa('ls', ['-A', releases])).stdout).toBe('');
    } finally {
      unmount(releases);
    }
    await expectConsistent(lab, { tag: 'f2', result: 'failed' });
  });

  it('with strategy recreate, the old release is started again', async () => {
    await lab.release('sick-recreate', { schema: 1, sick: true });
    const { exitCode, result } = await deploy('sick-recreate', '--strategy', 'recreate');
    expect(exitCode).toBe(1);
    expect(result).toMatchObject({ result: 'failed', error: { code: 'unhealthy' } });
    await expectConsistent(lab, { tag: 'f2', result: 'failed' });
  });
});

/** What a version does whose deploy lasts until `letGo`. */
const held = (schema: number): Version => ({
  schema,
  migration: `until [ -e /data/go-${schema} ]; do sleep 0.1; done; echo ${schema} >>/data/schema`,
});
const letGo = (schema: number) =>
  execa('docker', ['exec', `${lab.options.name}-core-store-1`, 'touch', `/data/go-${schema}`]);

describe('two at once', () => {
  it('the second is told who holds the lock (exit 5); with --wait it takes its turn', async () => {
    await lab.release('f3', held(2));
    await lab.release('f4', { schema: 2 });
    const first = deploy('f3');
    while ((await lab.status()).operation === null) await delay(20);
    const busy = await lab.run(['deploy', 'f4', '--yes', '--json']);
    expect(busy.exitCode).toBe(5);
    expect(busy.stdout).toMatch(/"code":"busy".*deploy f3 is running: begun by \w+/);
    const second = deploy('f4', '--wait', '4m');
    await letGo(2);
    expect(await first).toMatchObject({ exitCode: 0, result: { to: 'f3', result: 'done' } });
    expect(await second).toMatchObject({ exitCode: 0, result: { from: 'f3', to: 'f4', result: 'done' } });
    await expectConsistent(lab, { tag: 'f4' });
  });

  it('without an agent too', async () => {
    await lab.stopAgent();
    await lab.release('f5', held(3));
    const others: ReturnType<FaultLab['run']>[] = [];
    const first = await lab.followCli(['deploy', 'f5', '--yes'], (name, state) => {
      if (name !== 'build-images' || state !== 'running') return;
      const busy = lab.run(['rollback', 'f3', '--json']).finally(() => letGo(3));
      others.push(busy, lab.run(['rollback', 'f3', '--json', '--wait', '4m']));
    });
    expect(first.exitCode, first.stdout).toBe(0);
    const [busy, waiting] = await Promise.all(others);
    expect(busy?.exitCode).toBe(5);
    expect(busy?.stdout).toMatch(/"code":"busy".*appliance deploy by \w+ holds the lock since .*process \d+/);
    expect(waiting?.exitCode, waiting?.stdout).toBe(0);
    await lab.startAgent();
    await expectConsistent(lab, { tag: 'f3' });
  });
});
