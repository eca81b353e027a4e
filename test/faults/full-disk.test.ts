import { existsSync } from 'node:fs';
import { mkdir, rm, stat, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { operationResultSchema } from '../../src/api/schema.ts';
import { unmount } from '../support/mounts.ts';
import { expectConsistent } from './invariants.ts';
import { FaultLab } from './lab.ts';
import { expectNothingLost, startTraffic } from './traffic.ts';

// A state directory on a small file system of its own that is really full.
let lab: FaultLab;
let mounted = false;
const roomy = 8 * 1_024 ** 3;
const patience = { timeout: 60_000, interval: 200 };

beforeAll(async () => {
  lab = await FaultLab.make({ name: 'fullfault', port: 28_360, pool: '10.229.0.0/16' });
  await mkdir(lib());
  mounted =
    (await execa('mount', ['-t', 'tmpfs', '-o', `size=${roomy}`, 'tmpfs', lib()], { reject: false })).exitCode === 0;
  if (!mounted) return;
  await lab.startAgent();
  for (const tag of ['f1', 'f2']) {
    await lab.release(tag, { schema: 1 });
    expect(await lab.operate('deploy', { tag })).toMatchObject({ result: 'done' });
  }
  await lab.release('f3', { schema: 1 });
  await vi.waitFor(ballastIsHeld, patience);
});
afterAll(async () => {
  await lab.stopAgent();
  if (mounted) unmount(lib());
  await lab.destroy();
});

const lib = () => join(lab.root, 'lib');
const ballast = () => join(lib(), 'ballast');

async function ballastIsHeld(): Promise<void> {
  expect((await stat(ballast())).size).toBe(32 * 1_024 * 1_024);
}

/** Makes the file system exactly as small as what lies in it: nothing more fits. */
async function fill(): Promise<void> {
  for (let mounted = false; !mounted; ) {
    const { blocks, bfree, bsize } = await statfs(lib());
    const remount = ['-o', `remount,size=${(blocks - bfree) * bsize}`, lib()];
    // Refused when somebody has written meanwhile.
    mounted = (await execa('mount', remount, { reject: false })).exitCode === 0;
  }
  expect((await statfs(lib())).bavail).toBeLessThan(256);
}

/** Gives it room again: a deploy wants gigabytes. */
async function empty(): Promise<void> {
  await execa('mount', ['-o', `remount,size=${roomy}`, lib()]);
}

/** Runs an operation on the command line. @returns exit status and the last document */
async function operate(...args: string[]) {
  const { exitCode, stdout } = await lab.run([...args, '--json']);
  const last: unknown = JSON.parse(stdout.split('\n').at(-1) ?? '');
  return { exitCode, last };
}

describe('a full disk below the state directory', () => {
  it('refuses a deploy, lets a rollback through, and is recovered from without a restart', async ({ skip }) => {
    if (!mounted) return skip('a tmpfs cannot be mounted here');
    const clients = startTraffic(lab);
    try {
      await fill();
      const refused = await operate('deploy', 'f3', '--yes');
      expect(refused).toMatchObject({ exitCode: 1, last: { error: { code: 'disk_full' } } });
      await ballastIsHeld();

      const back = await operate('rollback', 'f1');
      expect(back).toMatchObject({ exitCode: 0, last: { result: 'done', to: 'f1' } });
      expect(existsSync(ballast())).toBe(false);
      expect(await operate('releases', 'prune')).toMatchObject({ exitCode: 0, last: { result: 'done' } });

      // Now nothing is left, not even what was kept back.
      await fill();
      expect(await operate('rollback', 'f2')).toMatchObject({ exitCode: 1, last: { error: { code: 'disk_full' } } });
      expect(await lab.status()).toMatchObject({ release: { tag: 'f1' }, operation: null });

      await empty();
      await vi.waitFor(ballastIsHeld, patience);
      expect(await operate('rollback', 'f2')).toMatchObject({ exitCode: 0, last: { result: 'done', to: 'f2' } });
      await expectConsistent(lab, { tag: 'f2' });
    } finally {
      await empty();
      await expectNothingLost(clients, { releases: ['f2', 'f1'], reload: false });
    }
  });

  it('that fills up in the middle leaves the operation open and settles it once there is room', async ({ skip }) => {
    if (!mounted) return skip('a tmpfs cannot be mounted here');
    const clients = startTraffic(lab);
    try {
      let filled: Promise<void> | undefined;
      const result = await lab.operate('deploy', { tag: 'f3' }, (event) => {
        if (event.event !== 'step' || event.name !== 'start-colour' || event.state !== 'running') return;
        filled ??= rm(ballast()).then(() => fill());
      });
      await filled;
      expect(operationResultSchema.parse(result)).toMatchObject({
        result: 'manual',
        error: { code: 'manual_intervention', exit: 9, hint: expect.stringContaining('free some space') },
      });
      expect((await lab.status()).release).toMatchObject({ tag: 'f2' });
      await empty();
      await vi.waitFor(async () => {
        const [last] = await lab.client((client) => client.ask('operations', {}));
        expect(last).toMatchObject({ kind: 'deploy', result: 'failed' });
        await ballastIsHeld();
      }, patience);
      await expectConsistent(lab, { tag: 'f2', result: 'failed' });
      expect(await lab.operate('deploy', { tag: 'f3' })).toMatchObject({ result: 'done' });
      await expectConsistent(lab, { tag: 'f3' });
    } finally {
      await empty();
      await expectNothingLost(clients, { releases: ['f2', 'f3'], reload: false });
    }
  });

  it('does not keep the agent from starting, nor a command from rolling back without one', async ({ skip }) => {
    if (!mounted) return skip('a tmpfs cannot be mounted here');
    await vi.waitFor(ballastIsHeld, patience);
    try {
      expect(await lab.stopAgent()).toBe(0);
      await fill();
      await lab.startAgent();
      expect(await lab.status()).toMatchObject({ release: { tag: 'f3' } });
      await empty();
      await vi.waitFor(ballastIsHeld, patience);

      expect(await lab.stopAgent()).toBe(0);
      await fill();
      expect(await operate('rollback', 'f2')).toMatchObject({ exitCode: 0, last: { result: 'done', to: 'f2' } });
    } finally {
      await empty();
    }
    await lab.startAgent();
    await vi.waitFor(ballastIsHeld, patience);
    await expectConsistent(lab, { tag: 'f2' });
  });
});
