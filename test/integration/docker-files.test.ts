import { createHash, randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { execa } from 'execa';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { Engine } from '../../src/host/docker.ts';
import { unmount } from '../support/mounts.ts';

// Dumps go past the engine: by a pipe that this process and the program in the container share.
const engine = new Engine();
const sha256 = (data: Buffer): string => createHash('sha256').update(data).digest('hex');
const name = 'docker-files';
/** Of dumps, so that nothing fits into a pipe. */
const bytes = randomBytes(3_000_001);
let folder: string;
let container: string;

beforeAll(async () => {
  await execa('docker', ['rm', '--force', name]);
  const run = ['run', '--detach', '--init', '--network', 'none', '--name', name, 'debian:trixie-slim', 'sleep', '600'];
  container = (await execa('docker', run)).stdout;
  // A program that the kernel knows by other words than those it was started with.
  const script = '#!/bin/sh\nexec sha256sum\n';
  await execa('docker', ['exec', '-i', name, 'sh', '-c', 'cat >/usr/local/bin/hash; chmod +x /usr/local/bin/hash'], {
    input: script,
  });
});
afterAll(() => execa('docker', ['rm', '--force', name]));
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'docker-files-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const timeout = 60_000;
async function input(content: Buffer | string): Promise<string> {
  const file = join(folder, 'in');
  await writeFile(file, content);
  return file;
}
/** What of our programs still runs inside, by the words that `sleep` and init are not. */
const inside = async (): Promise<string[]> => {
  const { stdout } = await execa('docker', ['top', name, '-eo', 'pid,args']);
  return stdout
    .split('\n')
    .slice(1)
    .filter((line) => !/^\d+ +(?:sleep 600|\/sbin\/docker-init)/.test(line));
};
/** Waits until nothing of ours runs inside. */
const quiet = async (): Promise<void> => {
  await vi.waitFor(async () => expect(await inside()).toEqual([]), { timeout: 30_000, interval: 100 });
};

describe('a program that reads a file of the host', () => {
  it('reads all of it', async () => {
    const file = await input(bytes);
    const { exitCode, stdout } = await engine.execFrom(container, { argv: ['sha256sum'], file, timeout });
    expect({ exitCode, hash: stdout.slice(0, 64) }).toEqual({ exitCode: 0, hash: sha256(bytes) });
  });

  it('reads an empty one to its end', async () => {
    const file = await input('');
    expect(await engine.execFrom(container, { argv: ['wc', '-c'], file, timeout })).toMatchObject({ stdout: '0\n' });
  });

  it('reads it through the engine where nobody can tell that it is that program', async () => {
    const file = await input(bytes);
    const { exitCode, stdout } = await engine.execFrom(container, { argv: ['hash'], file, timeout });
    expect({ exitCode, hash: stdout.slice(0, 64) }).toEqual({ exitCode: 0, hash: sha256(bytes) });
  });

  it('may have had enough before its end, and its exit status counts', async () => {
    const file = await input(bytes);
    const argv = ['sh', '-c', 'head -c 10 >/dev/null; echo why >&2; exit 3'];
    expect(await engine.execFrom(container, { argv, file, timeout })).toMatchObject({ exitCode: 3, stderr: 'why\n' });
  });

  it('is not there: that is told', async () => {
    const file = await input(bytes);
    const { exitCode, stdout } = await engine.execFrom(container, { argv: ['no-such-program'], file, timeout });
    expect([126, 127]).toContain(exitCode);
    expect(stdout).toContain('no-such-program');
    await expect(engine.execFrom(container, { argv: ['cat'], file: join(folder, 'none'), timeout })).rejects.toThrow(
      'ENOENT',
    );
  });

  it('hears the end when whoever feeds it gives up', async () => {
    const file = await input(bytes);
    const argv = ['sh', '-c', 'sleep 1; cat >/dev/null; sleep 1'];
    const signal = AbortSignal.timeout(400);
    await expect(engine.execFrom(container, { argv, file, timeout, signal })).rejects.toThrow();
    await quiet();
  });
});

describe('a program whose output becomes a file of the host', () => {
  const into = (argv: readonly string[], more: { signal?: AbortSignal; timeout?: number; file?: string } = {}) =>
    engine.execInto(container, { argv, file: join(folder, 'out'), timeout, shell: true, ...more });

  it('is written as a whole, and what else it says is told', async () => {
    await execa('docker', ['exec', '-i', name, 'sh', '-c', 'cat >/tmp/bytes'], { input: bytes });
    const argv = ['sh', '-c', 'cat /tmp/bytes; echo told >&2; exit 4'];
    expect(await into(argv)).toEqual({ exitCode: 4, stderr: 'told\n' });
    expect(sha256(await readFile(join(folder, 'out')))).toBe(sha256(bytes));
    expect((await stat(join(folder, 'out'))).mode & 0o777).toBe(0o600);
  });

  it('goes past the engine', async () => {
    const slow = into(['sh', '-c', 'echo x; until [ -e /tmp/seen ]; do sleep 0.1; done']);
    const copying = () => execa('pgrep', ['--parent', String(process.pid), '--exact', 'cat']);
    await vi.waitFor(copying, { timeout: 20_000, interval: 100 });
    await execa('docker', ['exec', name, 'touch', '/tmp/seen']);
    expect(await slow).toEqual({ exitCode: 0, stderr: '' });
  });

  it('comes through the engine where the container has another shell', async () => {
    const shell = '#!/bin/bash\nexec bash "$@"\n';
    const place = ['exec', '-i', name, 'bash', '-c', 'cat >/usr/local/bin/sh; chmod +x /usr/local/bin/sh'];
    await execa('docker', place, { input: shell });
    try {
      expect(await into(['bash', '-c', 'seq 200000; echo told >&2'])).toEqual({ exitCode: 0, stderr: 'told\n' });
    } finally {
      await execa('docker', ['exec', name, 'rm', '/usr/local/bin/sh']);
    }
    const lines = (await readFile(join(folder, 'out'), 'utf8')).trimEnd().split('\n');
    expect([lines.length, lines.at(-1)]).toEqual([200_000, '200000']);
  });

  it('tells of a full disk, and the program ends', async () => {
    const small = join(folder, 'small');
    await mkdir(small);
    await execa('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'none', small]);
    try {
      const file = join(small, 'out');
      await expect(into(['yes'], { file })).rejects.toMatchObject({ code: 'ENOSPC' });
    } finally {
      unmount(small);
    }
    await quiet();
  });

  it('ends when nobody waits for it any more', async () => {
    await expect(into(['yes'], { signal: AbortSignal.timeout(500) })).rejects.toThrow();
    await quiet();
    await expect(into(['sh', '-c', 'while sleep 0.1; do echo; done'], { timeout: 5_000 })).rejects.toMatchObject({
      code: 'timeout',
    });
    await quiet();
  });

  it('ends with the process that has started it', async () => {
    const file = join(folder, 'out');
    const code = `
      import { Engine } from ${JSON.stringify(new URL('../../src/host/docker.ts', import.meta.url).href)};
      await new Engine().execInto(${JSON.stringify(container)}, {
        argv: ['yes'], file: ${JSON.stringify(file)}, timeout: 60000, shell: true });`;
    const child = execa(process.execPath, ['--input-type=module', '--eval', code], { reject: false });
    const ended = child.then(({ stderr }) => stderr);
    const written = async () => (existsSync(file) ? (await stat(file)).size : 0);
    while ((await written()) < 1_000_000) expect(await Promise.race([ended, delay(50)])).toBeUndefined();
    child.kill('SIGKILL');
    await child;
    await quiet();
    const { size } = await stat(file);
    await delay(300);
    expect((await stat(file)).size).toBe(size);
  });
});

it.each(['created, not started', 'gone'])(
  'a container that is %s runs nothing, and that is an answer',
  async (state) => {
    const { stdout: id } = await execa('docker', ['create', '--network', 'none', 'debian:trixie-slim', 'true']);
    if (state === 'gone') await execa('docker', ['rm', id]);
    const file = join(folder, 'file');
    await writeFile(file, bytes);
    const said = { exitCode: -1, stderr: 'the container does not run' };
    try {
      expect(await engine.exec(id, ['true'], { timeout })).toMatchObject(said);
      expect(await engine.execStream(id, { argv: ['true'], timeout })).toMatchObject(said);
      expect(await engine.execFrom(id, { argv: ['true'], file, timeout })).toMatchObject(said);
      expect(await engine.execInto(id, { argv: ['true'], file, shell: true, timeout })).toMatchObject(said);
    } finally {
      await execa('docker', ['rm', id], { reject: false });
    }
  },
);
