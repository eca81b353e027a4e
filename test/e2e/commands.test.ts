import { type ChildProcess, spawn } from 'node:child_process';
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { buildProgram, end, playStage } from './program.ts';
import { temporaryRoot } from './stage/face.ts';
import { TestTerminal } from './terminal.ts';

const place = temporaryRoot();
/** Where a step takes so long that whoever is late still finds it. */
const slow = temporaryRoot();
let program: string;
const stages: ChildProcess[] = [];
const opened: TestTerminal[] = [];

/** Stands in for docker(1): says which words it was given and whether it has a terminal, and ends as it is told. */
const docker = `#!/bin/sh
for word in "$@"; do printf '<%s>' "$word"; done
if [ -t 0 ] && [ -t 1 ]; then echo ' terminal'; else echo ' no terminal'; fi
exit 42
`;

beforeAll(async () => {
  program = buildProgram(place.root);
  stages.push(await playStage(place.root, 300), await playStage(slow.root, 3_000));
  mkdirSync(join(place.root, 'bin'));
  writeFileSync(join(place.root, 'bin/docker'), docker);
  chmodSync(join(place.root, 'bin/docker'), 0o755);
});
afterEach(() => {
  for (const terminal of opened.splice(0)) terminal.hangUp();
});
afterAll(async () => {
  for (const stage of stages) await end(stage);
  place.remove();
  slow.remove();
});

const environment = (root: string) => ({
  ...process.env,
  APPLIANCE_ROOT: root,
  TERM: 'xterm-256color',
  LANG: 'C.UTF-8',
  PATH: `${join(place.root, 'bin')}:${process.env.PATH}`,
});

function open(command: string, { root } = place): TestTerminal {
  const terminal = new TestTerminal(command, place.root, { columns: 80, rows: 24 }, environment(root));
  opened.push(terminal);
  return terminal;
}

/** Runs a line of sh(1) without a terminal, with `appliance` in it. */
async function shell(line: string, { root } = place): Promise<{ exit: number | null; stdout: string; stderr: string }> {
  const child = spawn('sh', ['-c', `appliance() { ${process.execPath} ${program} "$@"; }\n${line}`], {
    env: environment(root),
  });
  const written = { stdout: '', stderr: '' };
  child.stdout.on('data', (data: Buffer) => {
    written.stdout += data;
  });
  child.stderr.on('data', (data: Buffer) => {
    written.stderr += data;
  });
  child.stdin.end();
  const exit = await new Promise<number | null>((resolve) => child.once('close', resolve));
  return { exit, ...written };
}

describe('in pipes', () => {
  it('logs -f | head ends quietly', async () => {
    const { exit, stdout, stderr } = await shell('appliance logs -f | head -n 3; echo "ended"');
    expect({ exit, stderr }).toEqual({ exit: 0, stderr: '' });
    expect(stdout.trim().split('\n')).toHaveLength(4);
  });

  it('an operation goes on to its end when nobody reads', async () => {
    const { stderr } = await shell('(appliance deploy v1.1 --json; echo "exit $?" >&2) | true');
    expect(stderr).toContain('exit 0');
  });

  it('without a terminal and without words it prints help', async () => {
    const { exit, stdout } = await shell('appliance');
    expect(exit).toBe(0);
    expect(stdout).toContain('Usage: appliance');
    // biome-ignore lint/suspicious/noControlCharactersInRegex: looks for colours
    expect(stdout).not.toMatch(/\u001b/);
  });

  it('--json is one document, whatever happens', async () => {
    for (const line of [
      'status',
      'deploy nope',
      'logs nope',
      'wat',
      'status --wat',
      'releases show nope',
      'down --volumes',
    ]) {
      const { stdout } = await shell(`appliance ${line} --json`);
      expect(stdout.endsWith('\n')).toBe(true);
      expect(() => JSON.parse(stdout)).not.toThrow();
    }
  });
});

describe('exec', () => {
  it('hands every word over as it is, and passes on the exit status', async () => {
    const { exit, stdout } = await shell(`appliance exec backend-1 -- sh -c 'echo "$HOME" ; ls *' --json '' '$(id)'`);
    expect(exit).toBe(42);
    expect(stdout).toBe(
      '<exec><--interactive><container-of-backend-1><sh><-c><echo "$HOME" ; ls *><--json><><$(id)> no terminal\n',
    );
  });

  it('asks for a terminal only where there is one', async () => {
    const terminal = open(`${process.execPath} ${program} exec edge`);
    expect(await terminal.ended()).toBe(42);
    expect(terminal.text).toContain('<exec><--interactive><--tty><container-of-edge><sh> terminal');
  });
});

describe('on a terminal', () => {
  it('a deploy shows a live line and leaves finished ones', async () => {
    const terminal = open(`${process.execPath} ${program} deploy v1.2`, slow);
    await terminal.shows(/⠋|⠙|⠹|⠸|⠼|⠴|⠦|⠧|⠇|⠏/);
    await terminal.shows(/✓ check the host +100 ms/);
    expect(await terminal.ended()).toBe(0);
    await terminal.shows(/✓ v1\.2 is live/);
    expect(terminal.text).not.toMatch(/[⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏]/);
    for (const step of ['start the idle colour', 'wait until it is healthy', 'shift the traffic']) {
      expect(terminal.text.match(new RegExp(`✓ ${step}`, 'g'))).toHaveLength(1);
    }
  });

  it('Ctrl-C detaches, and the message tells how to go on', async () => {
    const terminal = open(`${process.execPath} ${program} deploy v1.3`, slow);
    await terminal.shows(/✓ check the host/);
    terminal.type('\u0003');
    expect(await terminal.ended()).toBe(130);
    await terminal.shows(/deploy v1\.3 goes on in the agent/);
    const { exit, stdout } = await shell('appliance follow', slow);
    expect(exit).toBe(0);
    expect(stdout).toContain('v1.3 is live');
  });

  it('Ctrl-C at the question touches nothing', async () => {
    const terminal = open(`${process.execPath} ${program} down --volumes`);
    await terminal.shows(/Type routing-ml to go on/);
    terminal.type('\u0003');
    expect(await terminal.ended()).toBe(130);
    expect((await shell('appliance operations')).stdout).not.toContain('down with volumes');
  });

  it('down --volumes asks for the name, and takes no other', async () => {
    const wrong = open(`${process.execPath} ${program} down --volumes`);
    await wrong.shows(/Type routing-ml to go on/);
    wrong.type('yes\r');
    expect(await wrong.ended()).toBe(2);
    await wrong.shows(/that is not the name/);
    const right = open(`${process.execPath} ${program} down --volumes`);
    await right.shows(/Type routing-ml to go on/);
    right.type('routing-ml\r');
    expect(await right.ended()).toBe(0);
    await right.shows(/down with volumes done/);
  });
});
