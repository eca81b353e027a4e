import { existsSync } from 'node:fs';
import { appendFile, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { execa } from 'execa';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

const supervisor = join(import.meta.dirname, '..', '..', 'packaging', 'supervise.sh');

let scratch = '';
let pidfile = '';
let log = '';
beforeEach(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'supervise-'));
  pidfile = join(scratch, 'pid');
  log = join(scratch, 'log');
});
afterEach(async () => {
  await supervise(['stop', '--pidfile', pidfile]);
  await rm(scratch, { recursive: true, force: true });
});

const supervise = async (args: readonly string[], env: Readonly<Record<string, string>> = {}) => {
  const { exitCode, stdout, stderr } = await execa(supervisor, args, {
    reject: false,
    stdin: 'ignore',
    env,
    timeout: 60_000,
  });
  return { exit: exitCode, stdout, stderr };
};
const start = (
  command: readonly string[],
  options: readonly string[] = [],
  env: Readonly<Record<string, string>> = {},
) => supervise(['start', '--pidfile', pidfile, '--log', log, ...options, '--', ...command], env);
const status = () => supervise(['status', '--pidfile', pidfile]);
/** The numbers in the pidfile, which is empty for a moment when the supervisor writes others. */
const pids = async () => {
  for (;;) {
    const [supervisorPid = 0, command = 0] = (await readFile(pidfile, 'utf8')).split('\n').map(Number);
    if (supervisorPid > 0 && command > 0) return { supervisor: supervisorPid, command };
    await delay(20);
  }
};
const alive = (pid: number) => {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
};
const logText = () => readFile(log, 'utf8');
/** Milliseconds for something that a busy machine may take its time for. */
const timeout = 30_000;

describe('supervise.sh', () => {
  it('starts a command, says so, and stops it cleanly', async () => {
    expect(
      await start(['sh', '-c', 'trap "echo goodbye; exit 0" TERM; echo ready; while :; do sleep 0.1; done']),
    ).toMatchObject({
      exit: 0,
    });
    const { supervisor: parent, command } = await pids();
    expect(await status()).toEqual({
      exit: 0,
      stdout: `running, supervisor ${parent}, command ${command}`,
      stderr: '',
    });
    await expect.poll(logText, { timeout }).toContain('ready');
    expect(await supervise(['stop', '--pidfile', pidfile])).toMatchObject({ exit: 0 });
    // Gone at once, but counted among the living until process 1 has collected it.
    await expect.poll(() => [alive(parent), alive(command)], { timeout }).toEqual([false, false]);
    expect(await logText()).toContain('goodbye');
    expect(await status()).toMatchObject({ exit: 3, stdout: 'not running' });
  });

  it('refuses a second start with exit 5 and names the first', async () => {
    await start(['sleep', '100']);
    const { supervisor: parent } = await pids();
    const second = await start(['sleep', '200']);
    expect(second.exit).toBe(5);
    expect(second.stderr).toContain(`supervisor ${parent}`);
    expect((await pids()).supervisor).toBe(parent);
  });

  it('lets one of two starts at the same time win', async () => {
    const exits = await Promise.all(Array.from({ length: 5 }, () => start(['sleep', '100'])));
    const supervisors = async () => (await execa('pgrep', ['--full', '--count', `run --pidfile ${pidfile}`])).stdout;
    await expect.poll(supervisors, { timeout }).toBe('1');
    expect(exits.filter(({ exit }) => exit !== 0 && exit !== 5)).toEqual([]);
    expect(exits.some(({ exit }) => exit === 0)).toBe(true);
  });

  it('leaves nothing running when a stop meets starts', async () => {
    await start(['sleep', '100']);
    const late = Array.from({ length: 4 }, () => start(['sleep', '100']));
    expect(await supervise(['stop', '--pidfile', pidfile])).toMatchObject({ exit: 0 });
    for (const { exit } of await Promise.all(late)) expect([0, 5]).toContain(exit);
    // A start that came after the stop has won; one that came before it must not take over afterwards.
    await supervise(['stop', '--pidfile', pidfile]);
    await delay(1_500);
    expect(await status()).toMatchObject({ exit: 3 });
  });

  it('is not told to start by a start that was slow, after a stop', async () => {
    // Its supervisor comes late.
    await mkdir(join(scratch, 'slow'));
    const { stdout: setsid } = await execa('sh', ['-c', 'command -v setsid']);
    const [begun, go] = [join(scratch, 'begun'), join(scratch, 'go')];
    const script = `#!/bin/sh\ntouch ${begun}\n{ until [ -e ${go} ]; do sleep 0.1; done; exec ${setsid} "$@"; } &\n`;
    await writeFile(join(scratch, 'slow/setsid'), script, { mode: 0o755 });
    const slow = start(['sleep', '100'], [], { PATH: `${scratch}/slow:${process.env.PATH}` });
    await expect.poll(() => existsSync(begun), { timeout }).toBe(true);
    expect(await start(['sleep', '100'])).toMatchObject({ exit: 0 });
    await writeFile(go, '');
    expect((await slow).exit).toBe(5);
    expect(await supervise(['stop', '--pidfile', pidfile])).toMatchObject({ exit: 0 });
    await delay(3_000);
    expect(await status()).toMatchObject({ exit: 3 });
  });

  it('starts a killed command again', async () => {
    await start(['sleep', '100'], ['--first-pause', '100']);
    const { supervisor: parent, command } = await pids();
    process.kill(command, 'SIGKILL');
    await expect.poll(async () => (await pids()).command, { timeout }).not.toBe(command);
    const after = await pids();
    expect(after.supervisor).toBe(parent);
    expect(alive(after.command)).toBe(true);
    expect(await logText()).toContain('ended with status 137');
  });

  it('waits twice as long each time, up to the limit', async () => {
    await start(['false'], ['--first-pause', '50', '--last-pause', '200']);
    const pauses = async () => [...(await logText()).matchAll(/again in ([0-9.]+) s/g)].map(([, pause]) => pause);
    await expect.poll(async () => (await pauses()).length, { timeout }).toBeGreaterThanOrEqual(5);
    expect((await pauses()).slice(0, 5)).toEqual(['0.050', '0.100', '0.200', '0.200', '0.200']);
  });

  it('begins with the first pause again after a life that was long enough', async () => {
    await start(['sh', '-c', 'sleep 0.3; exit 4'], ['--first-pause', '50', '--steady', '200']);
    const pauses = async () =>
      [...(await logText()).matchAll(/status 4 .* again in ([0-9.]+) s/g)].map(([, pause]) => pause);
    await expect.poll(async () => (await pauses()).length, { timeout }).toBeGreaterThanOrEqual(3);
    expect(new Set(await pauses())).toEqual(new Set(['0.050']));
  });

  it('stops during a pause without starting once more', async () => {
    await start(['false'], ['--first-pause', '60000', '--last-pause', '60000']);
    await expect.poll(logText, { timeout }).toContain('again in 60.000 s');
    const begun = performance.now();
    expect(await supervise(['stop', '--pidfile', pidfile])).toMatchObject({ exit: 0 });
    expect(performance.now() - begun).toBeLessThan(timeout);
    expect((await logText()).match(/ended with status/g)).toHaveLength(1);
  });

  it('stops also when it is asked to just before a pause', async () => {
    // It writes the time before it rests.
    await mkdir(join(scratch, 'slow'));
    const { stdout: date } = await execa('sh', ['-c', 'command -v date']);
    const begun = join(scratch, 'begun');
    await writeFile(join(scratch, 'slow/date'), `#!/bin/sh\ntouch ${begun}\nsleep 1\nexec ${date} "$@"\n`, {
      mode: 0o755,
    });
    await start(['false'], ['--first-pause', '60000', '--last-pause', '60000'], {
      PATH: `${scratch}/slow:${process.env.PATH}`,
    });
    await expect.poll(() => existsSync(begun), { timeout }).toBe(true);
    expect(await supervise(['stop', '--pidfile', pidfile])).toMatchObject({ exit: 0 });
    expect(await status()).toMatchObject({ exit: 3 });
  });

  it('replaces the command on restart and keeps the supervisor', async () => {
    await start(['sleep', '100']);
    const before = await pids();
    expect(await supervise(['restart', '--pidfile', pidfile])).toMatchObject({ exit: 0 });
    const after = await pids();
    expect(after.supervisor).toBe(before.supervisor);
    expect(after.command).not.toBe(before.command);
    expect([alive(before.command), alive(after.command)]).toEqual([false, true]);
  });

  it('kills a command that ignores the request to stop', async () => {
    await start(['bash', '-c', 'trap "" TERM; echo deaf; while :; do sleep 0.2; done'], ['--patience', '400']);
    const { command } = await pids();
    await expect.poll(logText, { timeout }).toContain('deaf');
    expect(await supervise(['stop', '--pidfile', pidfile])).toMatchObject({ exit: 0 });
    expect(alive(command)).toBe(false);
    expect(await logText()).toContain('killing it');
  });

  it('is not fooled by a pidfile that a reboot left and whose number another process has now', async () => {
    await writeFile(pidfile, `${process.pid}\n${process.pid}\n`);
    expect(await status()).toMatchObject({ exit: 3 });
    expect(await supervise(['stop', '--pidfile', pidfile])).toMatchObject({ exit: 0 });
    expect(await start(['sleep', '100'])).toMatchObject({ exit: 0 });
    expect((await pids()).supervisor).not.toBe(process.pid);
  });

  it('can be started again after it was killed itself', async () => {
    await start(['sleep', '100']);
    const { supervisor: parent, command } = await pids();
    process.kill(parent, 'SIGKILL');
    await expect.poll(status, { timeout }).toMatchObject({ exit: 3 });
    expect(await start(['sleep', '100'])).toMatchObject({ exit: 0 });
    expect((await pids()).supervisor).not.toBe(parent);
    expect(alive(command)).toBe(false);
    expect(await logText()).toContain(`ending the command (${command}) of a supervisor that was killed`);
  });

  it('tells nobody the numbers of one that was killed for its own', async () => {
    const other = execa('sleep', ['100'], { reject: false });
    // So long that it takes a while to read after the lock was taken.
    await writeFile(pidfile, `${other.pid}\n${other.pid}\n`);
    await appendFile(pidfile, 'x\n'.repeat(200_000));
    expect(await start(['sleep', '100'])).toMatchObject({ exit: 0 });
    expect((await pids()).supervisor).not.toBe(other.pid);
    expect(alive(other.pid ?? 0)).toBe(true);
    other.kill();
    await other;
  });

  it('is stopped while it still waits for the end of a command from before', async () => {
    await start(['sh', '-c', 'trap "" TERM; echo deaf; while :; do sleep 0.1; done']);
    const before = await pids();
    await expect.poll(logText, { timeout }).toContain('deaf');
    process.kill(before.supervisor, 'SIGKILL');
    await expect.poll(status, { timeout }).toMatchObject({ exit: 3 });
    const starting = start(['sleep', '100'], ['--patience', '3000']);
    await expect.poll(logText, { timeout }).toContain('ending the command');
    expect(await supervise(['stop', '--pidfile', pidfile])).toMatchObject({ exit: 0 });
    expect(alive(before.command)).toBe(false);
    expect(await status()).toMatchObject({ exit: 3 });
    expect((await starting).exit).toBe(1);
  });

  it('lets a process be that has the number of a command from before', async () => {
    const other = execa('sleep', ['100'], { reject: false });
    await writeFile(pidfile, `999999\n${other.pid}\n00000000-0000-0000-0000-000000000000 1\n`);
    expect(await start(['sleep', '100'])).toMatchObject({ exit: 0 });
    expect(alive(other.pid ?? 0)).toBe(true);
    other.kill();
    await other;
  });

  it.each([
    ['that ends at once', ['head', '-c', '300000', '/dev/zero']],
    ['that lives a while', ['sh', '-c', 'head -c 300000 /dev/zero; sleep 0.3']],
  ])('keeps the log of a command %s bounded', async (_, command) => {
    await start(command, ['--first-pause', '20', '--last-pause', '20', '--log-bytes', '200000']);
    await delay(3_000);
    await supervise(['stop', '--pidfile', pidfile]);
    for (const file of [log, `${log}.1`].filter(existsSync))
      expect((await readFile(file)).length).toBeLessThan(800_000);
  });

  it.each([
    [[]],
    [['start']],
    [['start', '--pidfile']],
    [['launch', '--pidfile', '/tmp/x']],
    [['status', '--patience', 'soon']],
  ])('refuses %j with exit 2', async (args) => {
    expect((await supervise(args)).exit).toBe(2);
  });
});
