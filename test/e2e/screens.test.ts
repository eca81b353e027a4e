import type { ChildProcess } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { connectSocket } from '../../src/api/socket.ts';
import { pathsFor } from '../../src/lib/paths.ts';
import { displayWidth } from '../../src/lib/text.ts';
import { screens } from '../../src/tui/screens/table.ts';
import { onLight } from '../../src/tui/theme.ts';
import { buildProgram, end, playStage } from './program.ts';
import { temporaryRoot } from './stage/face.ts';
import { TestTerminal } from './terminal.ts';

const place = temporaryRoot();
let program: string;
let stage: ChildProcess;
const opened: TestTerminal[] = [];

beforeAll(async () => {
  program = buildProgram(place.root);
  stage = await playStage(place.root, 400, 'recorded');
});
afterEach(() => {
  for (const terminal of opened.splice(0)) terminal.hangUp();
});
afterAll(async () => {
  await end(stage);
  place.remove();
});

/** A root of its own for one test. Agents that are played there end with the test, however it ends. */
function elsewhere() {
  const { root, remove } = temporaryRoot();
  const agents: ChildProcess[] = [];
  onTestFinished(async () => {
    for (const agent of agents) await end(agent, 'SIGKILL');
    remove();
  });
  return {
    root,
    play: async (...how: Tail<Parameters<typeof playStage>>) => {
      const agent = await playStage(root, ...how);
      agents.push(agent);
      return agent;
    },
  };
}

type Tail<List> = List extends [unknown, ...infer Rest] ? Rest : never;

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

/** A colour that is sent to a terminal. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: looks for control characters
const sgrOfColor = /\u001b\[(?:[349]\d|10\d)(?:;\d+)*m/;

/** What each screen shows when it has been answered. */
const signs: readonly (readonly [string, RegExp])[] = [
  ['1', /▸✓ backend-1/],
  ['2', /Services {2}\d+ containers/],
  ['3', /INFO request \d+ GET/],
  ['4', /• v0\.9/],
  ['5', /stage 2 of 4/],
  ['6', /in force/],
  ['7', /20300101T050000Z-1f3c/],
  ['8', /▸✓ main/],
  ['9', /BackendSlow/],
  ['c', /▸✗ mode of the env/],
  ['0', /Audit {2}4 entries/],
];

/** What is on the terminal, with times, and what only a running process has, made the same. The logs go on and on. */
function goldenOf({ lines }: TestTerminal): string {
  const zeros = (digits: string) => digits.replace(/\d/g, '0');
  // Bars of readings grow for as long as one looks; those of shares are there from the beginning.
  const bars = (line: string) => (/Traffic|Held/.test(line) ? line : line.replace(/[▁▂▃▄▅▆▇█]/g, ' ').trimEnd());
  return `${lines
    .map(bars)
    .join('\n')
    .replace(/pid \d+/g, 'pid 0')
    .replace(/\d+(?:\.\d+)?(?= (?:d|h|min|s|ms)\b)/g, zeros)
    .replace(/\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?Z?)?)?/g, zeros)}\n`;
}

function goldenFile(key: string, columns: number, rows: number): string {
  const name = screens.find((screen) => screen.key === key)?.name ?? key;
  return join(import.meta.dirname, `golden/${name}-${columns}x${rows}.txt`);
}

describe.each([
  [80, 24],
  [60, 14],
  [120, 40],
  [300, 80],
])('at %i × %i', (columns, rows) => {
  it('shows every screen, help and palette without a line too many', async () => {
    const terminal = open(columns, rows);
    await terminal.shows(/Release +v1\.0 on blue/);
    const fits = () => {
      for (const line of terminal.lines) expect(displayWidth(line)).toBeLessThanOrEqual(columns);
      expect(terminal.lines[0]).toMatch(/✓ routing-ml {2}v1\.0 on blue/);
      expect(terminal.lines[1]).toMatch(/^ 1 /);
      expect(terminal.lines[rows - 2]).toMatch(/q quit$|Esc back$/);
      expect(terminal.lines[rows - 1]).toBe('');
      expect(terminal.alternate).toBe(true);
      expect(terminal.cursorShown).toBe(false);
    };
    for (const [key, sign] of signs) {
      terminal.type(key);
      await terminal.shows(sign);
      fits();
      if (key !== '3') await expect(goldenOf(terminal)).toMatchFileSnapshot(goldenFile(key, columns, rows));
    }
    terminal.type('?');
    await terminal.shows(/prove that the audit log/);
    fits();
    terminal.type('\u001b');
    await terminal.shows(/Audit {2}4 entries/);
    terminal.type(':');
    await terminal.shows(/commands; Tab completes/);
    terminal.type('rlsh');
    await terminal.shows(/▸ releases show/);
    fits();
    terminal.type('\u001b');
    await terminal.shows(/Audit {2}4 entries/);
    terminal.type('q');
    expect(await terminal.ended()).toBe(0);
    expect(terminal.alternate).toBe(false);
    expect(terminal.cursorShown).toBe(true);
  });
});

describe('what happens elsewhere', () => {
  it('a deploy by somebody else is seen from beginning to end', async () => {
    const other = elsewhere();
    // Each step stays long enough for a screen that is drawn late.
    await other.play(3_000, 'recorded');
    const terminal = open(100, 40, { root: other.root });
    await terminal.shows(/v1\.0 on blue/);
    const client = await connectSocket(pathsFor(other.root));
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
    const other = elsewhere();
    const terminal = open(80, 24, { root: other.root });
    await terminal.shows(/No agent is running/);
    expect(terminal.text).toContain('appliance agent --foreground');
    const agent = await other.play(100, 'unwell');
    await terminal.shows(/✗ routing-ml/);
    expect(terminal.text).toContain('✗ the cache has exited with status 137, expected running');
    terminal.type('3');
    await terminal.shows(/INFO request/);
    await end(agent, 'SIGKILL');
    await terminal.shows(/The agent does not answer; trying again/);
    expect(terminal.text).toContain('INFO request');
    await other.play(100);
    await terminal.shows((now) => /✓ routing-ml/.test(now.text) && !/does not answer/.test(now.text));
  });

  /** One frame and nothing else, from the first line to the last but one. */
  const isWhole = ({ lines, text }: TestTerminal) =>
    / routing-ml /.test(lines[0] ?? '') &&
    /^ 1 Overview/.test(lines[1] ?? '') &&
    /q quit$/.test(lines.at(-2) ?? '') &&
    lines.at(-1) === '' &&
    ['1 Overview', 'q quit'].every((once) => text.split(once).length === 2);

  it('the window changes its size', async () => {
    const terminal = open(80, 24);
    await terminal.shows(/Release +v1/);
    for (const [columns, rows] of [
      [132, 40],
      [60, 12],
      [61, 13],
      [80, 24],
    ] as const) {
      terminal.resize(columns, rows);
      await terminal.shows(isWhole);
    }
    // A storm of them: what is left at the end is one whole frame.
    for (let step = 0; step < 12; step += 1) terminal.resize(60 + 7 * step, 12 + 2 * step);
    terminal.resize(100, 30);
    await terminal.shows(isWhole);
  });

  it.each([
    ['larger in the end', [100, 30]],
    ['as large as before', [80, 24]],
  ] as const)('the window has been smaller while the program was busy, and is %s', async (_, [columns, rows]) => {
    const { root, play } = elsewhere();
    await play(400);
    const [preload, busy, idle] = [join(root, 'preload.cjs'), join(root, 'busy'), join(root, 'idle')];
    writeFileSync(
      preload,
      `const { existsSync, writeFileSync } = require('node:fs');
       const nap = () => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 10);
       const hold = () => { writeFileSync('${busy}', ''); while (!existsSync('${idle}')) nap(); };
       if (process.argv[1]?.endsWith('appliance.js')) process.on('SIGUSR2', hold);`,
    );
    const terminal = open(80, 24, { root, env: { NODE_OPTIONS: `--require ${preload}` } });
    await terminal.shows(/Release +v1/);
    for (const pid of terminal.processes(program)) process.kill(pid, 'SIGUSR2');
    await expect.poll(() => existsSync(busy)).toBe(true);
    terminal.resize(60, 12);
    terminal.resize(columns, rows);
    writeFileSync(idle, '');
    await terminal.shows(isWhole);
  });

  it('another program has written into the screens: Ctrl-L draws them anew, over what is being typed too', async () => {
    const terminal = open(80, 24);
    await terminal.shows(isWhole);
    const kernel = '[ 812.001] usb 1-1: device not accepting address';
    terminal.scribble(`\u001b[9;3H${kernel}\r\n\n${kernel}`);
    await terminal.shows((now) => now.text.split(kernel).length === 3);
    terminal.type('\u000c');
    await terminal.shows((now) => isWhole(now) && !now.text.includes('usb'));
    terminal.type(':deplo');
    await terminal.shows(/appliance deplo/);
    const asked = terminal.lines.filter((line) => line.includes('deplo'));
    terminal.scribble(`\u001b[H\u001b[J${kernel}`);
    await terminal.shows((now) => now.text.trim() === kernel);
    terminal.type('\u000c');
    await terminal.shows((now) => asked.every((line) => now.lines.includes(line)) && !now.text.includes('usb'));
  });
});

describe('keys', () => {
  it('arrive together, torn apart, and in a filter', async () => {
    const terminal = open();
    await terminal.shows(/▸✓ backend-1/);
    terminal.type('jjj');
    await terminal.shows(/▸✓ frontend-training/);
    terminal.typeTorn('\u001b', '[A');
    await terminal.shows(/▸✓ frontend-prediction/);
    terminal.typeTorn('\u001b[', 'A');
    await terminal.shows(/▸✓ backend-2/);
    terminal.type('\r');
    await terminal.shows(/ backend-2 .* following/);
    terminal.type('/re*r');
    await terminal.shows(/matching \/re\*r\//);
    terminal.type('\u0015ERROR \r');
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

  it('that are pasted are no commands, and land where something is typed', async () => {
    const terminal = open(100, 30);
    await terminal.shows(/▸✓ backend-1/);
    terminal.type('\u001b[200~4q\nD\u001b[201~');
    await terminal.shows(/Pasted text is not taken as keys/);
    terminal.type('/\u001b[200~front\nend\u001b[201~');
    await terminal.shows(/filter: front end/);
  });

  it('roll back after a dialog, and the operation goes on when the screens close', async () => {
    const other = elsewhere();
    await other.play(5_000, 'recorded');
    const terminal = open(100, 30, { root: other.root });
    await terminal.shows(/v1\.0 on blue/);
    terminal.type('4');
    await terminal.shows(/• v0\.9/);
    terminal.type('jb');
    await terminal.shows(/→ appliance rollback v0\.9[\s\S]*shift the traffic[\s\S]*▸ Cancel/);
    terminal.type('\t\r');
    await terminal.shows(/• rollback v0\.9 \d+ %/);
    terminal.type('q');
    expect(await terminal.ended()).toBe(0);
    const again = open(100, 30, { root: other.root });
    await again.shows(/Running +rollback v0\.9/);
    await again.shows(/Release +v0\.9 on green/);
    again.type('q');
    await again.ended();
  });

  it('restore a snapshot only when its name was typed below the plan', async () => {
    const other = elsewhere();
    await other.play(50, 'recorded');
    const terminal = open(100, 30, { root: other.root });
    await terminal.shows(/Release +v1/);
    terminal.type('7');
    await terminal.shows(/▸\? 20300101T050000Z-1f3c/);
    terminal.type('jR');
    await terminal.shows(/what \(all, database, [^)]*\): all/);
    terminal.type('\u0015database\r');
    await terminal.shows(
      /→ appliance backup restore 20291231T181000Z-77b0 --component database[\s\S]*4 STEPS[\s\S]*Type routing-ml to go on/,
    );
    terminal.type('routing-m\t\r');
    await terminal.shows(/the name must be typed/);
    terminal.type('l\r');
    await terminal.shows(/✓ restore 20291231T181000Z-77b0.* · appliance backup restore 20291231T/);
  });

  it('run a checklist, and say what came out of it', async () => {
    const terminal = open(100, 30);
    await terminal.shows(/Release +v1/);
    terminal.type('c');
    await terminal.shows(/▸✗ mode of the env/);
    terminal.type('r');
    await terminal.shows(/checklist \(preflight, config[^)]*\): config/);
    terminal.type('\r');
    await terminal.shows(/→ appliance check config/);
    terminal.type('\r');
    await terminal.shows(/✗ appliance check config · 0 passed, 1 failed, 0 inconclusive/);
  });

  it('hand the terminal to a verb of the palette and take it back', async () => {
    const terminal = open(100, 30);
    await terminal.shows(/v1\.0 on blue/);
    terminal.type(':releases\r');
    await terminal.shows(/\$ appliance releases[\s\S]*v0\.9[\s\S]*exit status 0\] Enter goes back/);
    expect(terminal.alternate).toBe(false);
    terminal.type('\r');
    await terminal.shows((now) => now.alternate && /▸✓ backend-1/.test(now.text));
    terminal.type('q');
    expect(await terminal.ended()).toBe(0);
  });

  it('of a viewer change nothing', async () => {
    const other = elsewhere();
    await other.play(100, 'recorded');
    rmSync(pathsFor(other.root).operatorSocket);
    const terminal = open(100, 30, { root: other.root });
    await terminal.shows(/read-only/);
    terminal.type('4');
    await terminal.shows(/• v0\.9/);
    terminal.type('jb');
    await terminal.shows(/Read-only: you came through the socket for viewers/);
  });

  it('of a mouse, when it was asked for, open screens and mark rows', async () => {
    const config = elsewhere();
    mkdirSync(join(config.root, 'appliance'));
    writeFileSync(join(config.root, 'appliance/screens.json'), '{"mouse": true}');
    const terminal = open(100, 30, { env: { XDG_CONFIG_HOME: config.root } });
    await terminal.shows(/▸✓ backend-1/);
    terminal.type('\u001b[<0;16;2M\u001b[<0;16;2m');
    await terminal.shows(/Services {2}7 containers/);
    terminal.type('\u001b[<0;10;10M');
    await terminal.shows(/▸✓ frontend-prediction/);
    terminal.type('\u001b[<64;10;9M');
    await terminal.shows(/▸✓ backend-2/);
    terminal.type('q');
    expect(await terminal.ended()).toBe(0);
    expect(terminal.raw.lastIndexOf('\u001b[?1000l')).toBeGreaterThan(terminal.raw.lastIndexOf('\u001b[?1000h'));
  });
});

describe('many', () => {
  it('services: 500 of them, in a window', async () => {
    const other = elsewhere();
    await other.play(100, 'crowded');
    const terminal = open(100, 30, { root: other.root });
    await terminal.shows(/v1\.0 on blue/);
    terminal.type('2');
    await terminal.shows(/Services {2}500 containers/);
    // What all colours share stands below the live one.
    terminal.type('G');
    await terminal.shows(/▸✓ redis/);
    terminal.type('kkk');
    await terminal.shows(/▸✓ worker-493/);
    // A step of the mark is two lines, not a new screen; with one of them all figures may have come anew.
    const grown: number[] = [];
    for (const worker of [492, 491, 490]) {
      const before = terminal.raw.length;
      terminal.type('k');
      await terminal.shows(new RegExp(`▸✓ worker-${worker}`));
      grown.push(terminal.raw.length - before);
    }
    expect(Math.min(...grown)).toBeLessThan(900);
    terminal.type('/worker-49\r');
    await terminal.shows(/5 of 500 containers/);
  });

  it('log lines: a million, without falling behind, growing or moving what is looked at', async () => {
    const other = elsewhere();
    await other.play(100, 'well', { pause: 10, burst: 400 });
    const terminal = open(100, 30, { root: other.root });
    await terminal.shows(/v1\.0 on blue/);
    terminal.type('3');
    // A machine that has other things to do sends them more slowly.
    const patience = 400_000;
    const newest = () =>
      Math.max(0, ...[...terminal.text.matchAll(/(?:request|ERROR) (\d+)/g)].map(([, seq]) => Number(seq)));
    await terminal.shows(() => newest() > 20_000);
    terminal.type('k');
    await terminal.shows(/paused/);
    const still = () => terminal.lines.slice(4, 27).join('\n');
    const before = still();
    const [pid = 0] = terminal.processes(program);
    const resident = () => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]);
    await terminal.shows((now) => Number(/(\d+) newer/.exec(now.text)?.[1] ?? 0) > 300_000, patience);
    expect(still()).toBe(before);
    const early = resident();
    terminal.type('f');
    await terminal.shows(() => newest() > 1_000_000, patience);
    expect(resident()).toBeLessThan(early * 1.5 + 50_000);
  }, 900_000);
});

describe('a terminal', () => {
  it('without colour is told all of it, and which screen is open', async () => {
    const terminal = open(100, 30, { env: { NO_COLOR: '1' } });
    await terminal.shows(/▸✓ backend-1/);
    for (const [key, sign] of signs) {
      terminal.type(key);
      await terminal.shows(sign);
      expect([...terminal.colors]).toEqual(['default']);
      expect(terminal.inverseOf(1).trim()).toMatch(new RegExp(`^${key}\\b`));
    }
    terminal.type('4');
    await terminal.shows(/• v0\.9/);
    terminal.type('jb');
    await terminal.shows(/▸ Cancel/);
    expect(terminal.raw).not.toMatch(sgrOfColor);
  });

  it('with a light background is sent colours that can be read on it', async () => {
    const terminal = open(120, 40, { env: { COLORFGBG: '0;15' } });
    await terminal.shows(/▸✓ backend-1/);
    const seen = new Set<number | 'default'>();
    for (const [key, sign] of signs) {
      terminal.type(key);
      await terminal.shows(sign);
      for (const color of terminal.colors) seen.add(color);
    }
    expect(seen.size).toBeGreaterThan(4);
    expect([...seen].filter((color) => color !== 'default' && !Object.values(onLight).includes(color))).toEqual([]);
  });

  it('has names in Chinese characters in line with the others', async () => {
    const other = elsewhere();
    await other.play(100, 'wide');
    const terminal = open(100, 30, { root: other.root });
    await terminal.shows(/後端-一/);
    const row = (name: string) => terminal.lines.findIndex((line) => line.includes(name));
    const column = terminal.columnOf(row('backend-1'), 'blue');
    expect(column).toBeGreaterThan(10);
    for (const name of ['後端-一', 'フロントエンド予測サービス', '예측']) {
      expect(terminal.columnOf(row(name), 'blue'), name).toBe(column);
    }
    terminal.type('2/予測\r');
    await terminal.shows(/matching 予測[\s\S]*▸✓ フロントエンド予測サービス/);
  });
});

describe('the terminal is given back', () => {
  it.each([
    ['SIGTERM', 143],
    ['SIGHUP', 129],
    ['SIGINT', 130],
  ] as const)('after %s', async (signal, status) => {
    const terminal = open();
    await terminal.shows(/Release +v1/);
    for (const pid of terminal.processes(program)) process.kill(pid, signal);
    expect(await terminal.ended()).toBe(status);
    expect(terminal.alternate).toBe(false);
    expect(terminal.cursorShown).toBe(true);
  });

  it.each([
    ['q', 0],
    ['\u0003', 0],
  ] as const)('after the key %j', async (key, status) => {
    const terminal = open();
    await terminal.shows(/Release +v1/);
    terminal.type(key);
    expect(await terminal.ended()).toBe(status);
    expect(terminal.alternate).toBe(false);
    expect(terminal.cursorShown).toBe(true);
  });

  it('while it is suspended, and taken again by fg', async () => {
    const terminal = open(80, 24, { command: 'bash --norc -i' });
    await terminal.shows(/[$#]/);
    terminal.type(`${process.execPath} ${program}\r`);
    await terminal.shows(/Release +v1/);
    terminal.type('\u001a');
    await terminal.shows(/Stopped/);
    expect(terminal.alternate).toBe(false);
    expect(terminal.cursorShown).toBe(true);
    terminal.type('fg\r');
    await terminal.shows(/Release +v1/);
    expect(terminal.alternate).toBe(true);
    const [pid = 0] = terminal.processes(program);
    process.kill(pid, 'SIGTSTP');
    await terminal.shows((now) => !now.alternate);
    terminal.type('fg\r');
    await terminal.shows((now) => now.alternate && /Release +v1/.test(now.text));
    terminal.type('q');
    await terminal.shows((now) => !now.alternate);
  });

  it.each([
    ['in the background', "throw new Error('a defect');"],
    ['in a promise', "void Promise.reject(new Error('a defect'));"],
    ['while it draws', "Date.parse = () => { throw new Error('a defect'); };"],
  ])('after a defect %s, with the reason', async (where, code) => {
    const preload = join(place.root, `defect ${where}.cjs`.replaceAll(' ', '-'));
    // By a signal that means nothing to the program: it comes when the screens are there.
    writeFileSync(preload, `if (process.argv[1]?.endsWith('appliance.js')) process.on('SIGUSR2', () => { ${code} });`);
    const terminal = open(80, 24, { env: { NODE_OPTIONS: `--require ${preload}` } });
    await terminal.shows((now) => now.alternate && /Release +v1/.test(now.text));
    for (const pid of terminal.processes(program)) process.kill(pid, 'SIGUSR2');
    expect(await terminal.ended()).toBe(1);
    await terminal.shows(/appliance: the screens failed: a defect/);
    expect(terminal.alternate).toBe(false);
    expect(terminal.cursorShown).toBe(true);
  });

  it('and nothing is left running when the terminal itself goes away', async () => {
    const terminal = open();
    await terminal.shows(/Release +v1/);
    const [pid = 0] = terminal.processes(program);
    terminal.hangUp();
    await expect.poll(() => isRunning(pid), { timeout: 60_000 }).toBe(false);
  });
});

it('draws little when little changes', async () => {
  const terminal = open(160, 50);
  await terminal.shows(/Release +v1/);
  await new Promise((resolve) => setTimeout(resolve, 3_000));
  const before = terminal.raw.length;
  const seconds = 10;
  await new Promise((resolve) => setTimeout(resolve, seconds * 1_000));
  // A full frame is some 8,000 bytes; seconds in which only bars and ages change must not cost one.
  expect(terminal.raw.length - before).toBeLessThan(700 * seconds);
});

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
