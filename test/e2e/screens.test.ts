import type { ChildProcess } from 'node:child_process';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { connectSocket } from '../../src/api/socket.ts';
import { pathsFor } from '../../src/lib/paths.ts';
import { displayWidth } from '../../src/lib/text.ts';
import { buildProgram, end, playStage } from './program.ts';
import { temporaryRoot } from './stage/face.ts';
import { TestTerminal } from './terminal.ts';

const place = temporaryRoot();
let program: string;
let stage: ChildProcess;
const opened: TestTerminal[] = [];

beforeAll(async () => {
  program = buildProgram(place.root);
  stage = await playStage(place.root, 400);
});
afterEach(() => {
  for (const terminal of opened.splice(0)) terminal.hangUp();
});
afterAll(async () => {
  await end(stage);
  place.remove();
});

function open(columns = 80, rows = 24, { command = '', root = place.root, env = {} } = {}): TestTerminal {
  const terminal = new TestTerminal(
    command || `${process.execPath} ${program}`,
    place.root,
    { columns, rows },
    {
      ...process.env,
      APPLIANCE_ROOT: root,
      TERM: 'xterm-256color',
      LANG: 'C.UTF-8',
      // Set even though empty, it must not change anything.
      CI: '',
      ...env,
    },
  );
  opened.push(terminal);
  return terminal;
}

describe.each([
  [80, 24],
  [60, 14],
  [160, 50],
])('at %i × %i', (columns, rows) => {
  it('shows overview, logs and help without a line too many', async () => {
    const terminal = open(columns, rows);
    await terminal.shows(/Release +v1\.0 on blue/);
    const fits = () => {
      for (const line of terminal.lines) expect(displayWidth(line)).toBeLessThanOrEqual(columns);
      expect(terminal.lines[0]).toMatch(/✓ routing-ml .*1 Overview {2}2 Logs {2}\? Help/);
      expect(terminal.lines[rows - 2]).toMatch(/q quit$/);
      expect(terminal.lines[rows - 1]).toBe('');
      expect(terminal.alternate).toBe(true);
      expect(terminal.cursorShown).toBe(false);
    };
    expect(terminal.text).toMatch(/▸✓ backend-1/);
    fits();
    terminal.type('2');
    await terminal.shows(/all services .* following/);
    await terminal.shows(/INFO request \d+ GET/);
    fits();
    terminal.type('?');
    await terminal.shows(/Everywhere/);
    fits();
    terminal.type('\u001b');
    await terminal.shows(/all services .* following/);
    terminal.type('q');
    expect(await terminal.ended()).toBe(0);
    expect(terminal.alternate).toBe(false);
    expect(terminal.cursorShown).toBe(true);
  });
});

describe('what happens elsewhere', () => {
  it('a deploy by somebody else is seen from beginning to end', async () => {
    const terminal = open(100, 40);
    await terminal.shows(/v1\.0 on blue/);
    const client = await connectSocket(pathsFor(place.root));
    const deploying = (async () => {
      for await (const _ of client?.stream('deploy', { tag: 'v1.1' }) ?? []);
    })();
    await terminal.shows(/Running +deploy v1\.1 .* 50 %/);
    expect(terminal.text).toMatch(/✓ check the host/);
    await terminal.shows(/Last +✓ v1\.1 is live \(was v1\.0\)/);
    await terminal.shows(/green 100 %/);
    await deploying;
    await client?.close();
  });

  it('the agent goes away and comes back', async () => {
    const other = temporaryRoot();
    const terminal = open(80, 24, { root: other.root });
    await terminal.shows(/No agent is running/);
    expect(terminal.text).toContain('appliance agent --foreground');
    let agent = await playStage(other.root, 100, 'unwell');
    await terminal.shows(/✗ routing-ml/);
    expect(terminal.text).toContain('✗ the cache has exited with status 137, expected running');
    terminal.type('2');
    await terminal.shows(/INFO request/);
    await end(agent, 'SIGKILL');
    await terminal.shows(/The agent does not answer; trying again/);
    expect(terminal.text).toContain('INFO request');
    agent = await playStage(other.root, 100);
    await terminal.shows((now) => /✓ routing-ml/.test(now.text) && !/does not answer/.test(now.text));
    await end(agent);
    other.remove();
  });

  it('the window changes its size', async () => {
    const terminal = open(80, 24);
    await terminal.shows(/Release/);
    for (const [columns, rows] of [
      [132, 40],
      [60, 12],
      [61, 13],
      [80, 24],
    ] as const) {
      terminal.resize(columns, rows);
      await terminal.shows(
        (now) => /q quit$/.test(now.lines[rows - 2] ?? '') && /\? Help$/.test(now.lines[0]?.trimEnd() ?? ''),
      );
      expect(terminal.text.match(/\? Help/g)).toHaveLength(1);
    }
  });
});

describe('keys', () => {
  it('arrive together, torn apart, and in a filter', async () => {
    const terminal = open();
    await terminal.shows(/▸✓ backend-1/);
    terminal.type('jj');
    await terminal.shows(/▸✓ frontend-prediction/);
    terminal.type('\u001b');
    await new Promise((resolve) => setTimeout(resolve, 3));
    terminal.type('[A');
    await terminal.shows(/▸✓ backend-2/);
    terminal.type('\r');
    await terminal.shows(/ backend-2 .* following/);
    terminal.type('/re*r');
    await terminal.shows(/matching \/re\*r\//);
    terminal.type('\u007f\u007f\u007f\u007fERROR \r');
    await terminal.shows(/backend-2 {2}matching \/ERROR \//);
    await terminal.shows((now) => now.lines.filter((line) => line.includes('ERROR')).length >= 2);
    expect(terminal.text).not.toContain('INFO');
    expect(terminal.raw).not.toContain('stolen title');
    // Back to all lines of the service, of which there are more than fit.
    terminal.type('\u001b');
    await terminal.shows(/INFO/);
    terminal.type('k');
    await terminal.shows(/paused/);
    terminal.type('f');
    await terminal.shows(/following/);
  });
});

describe('the terminal is given back', () => {
  it.each([
    ['SIGTERM', 143],
    ['SIGHUP', 129],
    ['SIGINT', 130],
  ] as const)('after %s', async (signal, status) => {
    const terminal = open();
    await terminal.shows(/Release/);
    for (const pid of terminal.processes(program)) process.kill(pid, signal);
    expect(await terminal.ended()).toBe(status);
    expect(terminal.alternate).toBe(false);
    expect(terminal.cursorShown).toBe(true);
  });

  it('while it is suspended, and taken again by fg', async () => {
    const terminal = open(80, 24, { command: 'bash --norc -i' });
    await terminal.shows(/[$#]/);
    terminal.type(`${process.execPath} ${program}\r`);
    await terminal.shows(/Release/);
    terminal.type('\u001a');
    await terminal.shows(/Stopped/);
    expect(terminal.alternate).toBe(false);
    expect(terminal.cursorShown).toBe(true);
    terminal.type('fg\r');
    await terminal.shows(/Release/);
    expect(terminal.alternate).toBe(true);
    const [pid = 0] = terminal.processes(program);
    process.kill(pid, 'SIGTSTP');
    await terminal.shows((now) => !now.alternate);
    terminal.type('fg\r');
    await terminal.shows((now) => now.alternate && /Release/.test(now.text));
    terminal.type('q');
    await terminal.shows((now) => !now.alternate);
  });

  it('and nothing is left running when the terminal itself goes away', async () => {
    const terminal = open();
    await terminal.shows(/Release/);
    const [pid = 0] = terminal.processes(program);
    terminal.hangUp();
    await expect.poll(() => isRunning(pid), { timeout: 5_000 }).toBe(false);
  });
});

it('draws little when little changes', async () => {
  const terminal = open(160, 50);
  await terminal.shows(/Release/);
  await new Promise((resolve) => setTimeout(resolve, 1_000));
  const before = terminal.raw.length;
  await new Promise((resolve) => setTimeout(resolve, 6_000));
  // A full frame is some 8,000 bytes; six seconds without any news must not cost one.
  expect(terminal.raw.length - before).toBeLessThan(2_000);
});

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
