import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, cpSync, existsSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { execa } from 'execa';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { acquireExclusive } from '../../src/host/exclusive.ts';
import { buildProgram } from '../e2e/program.ts';
import { temporaryRoot } from '../e2e/stage/face.ts';
import { removeTraces } from '../support/traces.ts';

// The program as it is installed and the installer that came with it, laid down without an installation (which
// install.test.ts does).
const repository = join(import.meta.dirname, '../..');
const name = 'uninstalltest';
const built = temporaryRoot();
let place: ReturnType<typeof temporaryRoot>;
let prefix: string;
let root: string;

beforeAll(() => {
  buildProgram(built.root);
});
afterAll(() => built.remove());
beforeEach(() => {
  place = temporaryRoot();
  // As below /opt, where everybody may look.
  chmodSync(place.root, 0o755);
  prefix = join(place.root, 'opt');
  root = join(place.root, 'data');
  const program = join(prefix, 'programs', '1-x');
  mkdirSync(program, { recursive: true });
  cpSync(join(built.root, 'dist'), join(program, 'dist'), { recursive: true });
  for (const part of ['install.sh', 'packaging'])
    cpSync(join(repository, part), join(program, part), { recursive: true });
  symlinkSync('programs/1-x', join(prefix, 'program'));
  mkdirSync(join(prefix, 'bin'));
  writeFileSync(join(prefix, 'bin', 'appliance'), '');
  writeFileSync(join(prefix, 'root'), `${root}\n`);
  mkdirSync(join(root, 'etc'), { recursive: true });
  mkdirSync(join(root, 'lib'));
  writeFileSync(join(root, 'etc', 'appliance.yaml'), `name: ${name}\nmistake: [\n`);
});
afterEach(() => place.remove());

const argv = (...words: string[]) => [
  '--no-warnings',
  join(prefix, 'program/dist/appliance.js'),
  'uninstall',
  ...words,
];
const uninstall = async (words: readonly string[], before: readonly string[] = []) => {
  const [file = process.execPath, ...more] = [...before, process.execPath, ...argv(...words)];
  const env = { APPLIANCE_ROOT: root };
  const { exitCode, stdout, stderr } = await execa(file, more, {
    reject: false,
    stdin: 'ignore',
    env,
    timeout: 60_000,
  });
  return { exit: exitCode, stdout, stderr };
};
const installed = () => existsSync(join(prefix, 'program/install.sh'));
const timeout = 120_000;

describe.runIf(process.getuid?.() === 0)('appliance uninstall', { timeout }, () => {
  it('removes the program that runs, and leaves the data', async () => {
    const { exit, stdout, stderr } = await uninstall(['--yes', '--json']);
    expect({ exit, stderr: stderr.includes('Left alone: the Docker Engine') }).toEqual({ exit: 0, stderr: true });
    expect(JSON.parse(stdout)).toMatchObject({ result: 'done', prefix, root, purged: false });
    expect(JSON.parse(stdout).kept).toEqual(expect.arrayContaining([join(root, 'etc'), join(root, 'lib')]));
    expect(existsSync(prefix)).toBe(false);
    expect(existsSync(join(root, 'etc/appliance.yaml'))).toBe(true);
  });

  it('removes the data as well with --purge, and tells people', async () => {
    const { exit, stdout, stderr } = await uninstall(['--purge', '--yes']);
    expect({ exit, stderr }).toEqual({ exit: 0, stderr: '' });
    expect(stdout).toContain('Removed data, volumes');
    expect([existsSync(prefix), existsSync(root)]).toEqual([false, false]);
  });

  it('leaves a network that somebody else is on, and says so', async () => {
    writeFileSync(join(root, 'etc', 'appliance.yaml'), `name: ${name}\n`);
    const docker = async (...words: string[]) => (await execa('docker', words)).stdout;
    const network = async (colour: string) => {
      const subnet = { blue: '10.160.0.0/24', green: '10.243.1.0/24' }[colour] ?? '';
      await docker('network', 'create', '--subnet', subnet, '--label', `appliance.name=${name}`, `${name}-${colour}`);
    };
    await removeTraces(name);
    try {
      await network('blue');
      await network('green');
      await docker(
        'run',
        '--detach',
        '--name',
        `${name}-guest`,
        '--network',
        `${name}-blue`,
        'appliance/base:1',
        'sleep',
        '600',
      );
      const { exit, stdout, stderr } = await uninstall(['--purge', '--yes']);
      expect({ exit, stderr }).toEqual({ exit: 0, stderr: '' });
      expect(stdout).toContain(`the networks ${name}-blue\n`);
      expect(await docker('network', 'ls', '--filter', `name=${name}`, '--format', '{{.Name}}')).toBe(`${name}-blue`);
      expect([existsSync(prefix), existsSync(root)]).toEqual([false, false]);
    } finally {
      await removeTraces(name);
    }
  });

  it.each<[string, string[], number, string]>([
    ['without a confirmation', [], 2, 'add --yes if you mean it'],
    ['for another root', ['--yes', '--root', '/elsewhere'], 2, 'not for /elsewhere'],
  ])('is refused %s, and touches nothing', async (_, words, status, said) => {
    const { exit, stdout, stderr } = await uninstall(words);
    expect({ exit, stdout }).toEqual({ exit: status, stdout: '' });
    expect(stderr).toContain(said);
    expect(installed()).toBe(true);
  });

  it('is refused to others than root', async () => {
    const other =
      '--reuid 65534 --regid 65534 --clear-groups --inh-caps +dac_read_search --ambient-caps +dac_read_search';
    const { exit, stdout } = await uninstall(['--yes', '--json'], ['setpriv', ...other.split(' ')]);
    expect(exit).toBe(7);
    expect(JSON.parse(stdout)).toMatchObject({
      error: { code: 'not_permitted', hint: `sudo ${prefix}/bin/appliance uninstall` },
    });
    expect(installed()).toBe(true);
  });

  it('waits for nobody: another one, or a command at work, is told', async () => {
    const holder = { pid: process.pid, what: 'appliance deploy', user: 'anna', since: '2026-01-01T00:00:00Z' };
    const lock = acquireExclusive(join(root, 'lib/writer.lock'), holder);
    const { exit, stderr } = await uninstall(['--yes']);
    if ('release' in lock) lock.release();
    expect(exit).toBe(5);
    expect(stderr).toContain('appliance deploy by anna');
    const update = acquireExclusive(join(prefix, 'update.lock'), { ...holder, what: 'appliance self-update' });
    const meanwhile = await uninstall(['--yes']);
    if ('release' in update) update.release();
    expect(meanwhile.exit).toBe(5);
    expect(meanwhile.stderr).toContain('appliance self-update by anna');
    const second = await uninstall(['--yes'], ['flock', prefix]);
    expect(second.exit).toBe(5);
    expect(second.stderr).toContain('another install.sh is at work');
    expect(installed()).toBe(true);
  });

  it('goes on when the command that began it is killed, and takes its time when interrupted', async () => {
    // An engine that answers late.
    const slow = join(place.root, 'slow');
    mkdirSync(slow);
    const { stdout: docker } = await execa('sh', ['-c', 'command -v docker']);
    writeFileSync(join(slow, 'docker'), `#!/bin/sh\ntouch ${slow}/begun\nsleep 1\nexec ${docker} "$@"\n`, {
      mode: 0o755,
    });
    const env = { ...process.env, APPLIANCE_ROOT: root, PATH: `${slow}:${process.env.PATH}` };
    const begin = async () => {
      rmSync(join(slow, 'begun'), { force: true });
      const child = spawn(process.execPath, argv('--yes'), { env, stdio: 'ignore' });
      await expect.poll(() => existsSync(join(slow, 'begun')), { timeout: 30_000 }).toBe(true);
      return child;
    };
    const interrupted = await begin();
    interrupted.kill('SIGINT');
    expect(await once(interrupted, 'exit')).toEqual([130, null]);
    expect(installed()).toBe(true);
    const killed = await begin();
    killed.kill('SIGKILL');
    await expect.poll(() => existsSync(prefix), { timeout: 60_000 }).toBe(false);
    expect(existsSync(join(root, 'etc/appliance.yaml'))).toBe(true);
  });

  it('of a program that was not installed says what to type', async () => {
    const main = join(repository, 'src/main.ts');
    const argv = ['--no-warnings', main, 'uninstall', '--yes', '--json'];
    const { exitCode, stdout } = await execa(process.execPath, argv, { reject: false });
    expect(exitCode).toBe(2);
    expect(JSON.parse(stdout)).toMatchObject({
      error: { code: 'usage', hint: expect.stringContaining('--uninstall') },
    });
  });
});
