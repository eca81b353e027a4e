import { describe, expect, it } from 'vitest';
import type { OperationResult, ServiceStatus, Status } from '../../src/api/schema.ts';

import { bindings } from '../../src/tui/keys.ts';
import { clip, fill, glyphsFor, type Line, plain, spread, widthOf } from '../../src/tui/line.ts';
import { LogFilter } from '../../src/tui/log-view.ts';
import type { LiveOperation } from '../../src/tui/operation.ts';
import { bannerLine, footerLine, headerLine } from '../../src/tui/screens/frame.ts';
import { helpLines } from '../../src/tui/screens/help.ts';
import { logLines } from '../../src/tui/screens/logs.ts';
import { overviewLines, trafficBar } from '../../src/tui/screens/overview.ts';
import { initialState, type LogEntry, type State } from '../../src/tui/state.ts';

const now = Date.parse('2030-01-01T12:00:00Z');
const glyphs = glyphsFor({ LANG: 'C.UTF-8' });
const ascii = glyphsFor({});
const text = (lines: readonly Line[]) => lines.map((line) => line.map((segment) => segment.text).join('')).join('\n');

const service = (index: number): ServiceStatus => ({
  name: `service-${index}-日本`,
  project: 'x-blue',
  colour: index % 2 === 0 ? 'blue' : null,
  state: 'running',
  health: index % 3 === 0 ? 'unhealthy' : 'healthy',
  image: 'registry.example/some/very/long/image/name:v1.0',
  imageId: 'sha256:1',
  cpuPercent: index === 1 ? null : 12.3,
  memoryBytes: 123_456_789,
  restarts: index,
  since: '2030-01-01T09:00:00Z',
});

function status(services: number, findings: number): Status {
  return {
    name: 'routing-ml',
    version: '1',
    release: { tag: 'v1.0', colour: 'blue', since: '2030-01-01T09:00:00Z' },
    traffic: { blue: 95, green: 5 },
    services: Array.from({ length: services }, (_, index) => service(index)),
    operation: null,
    models: { active: null },
    backup: { lastSuccess: null, lastProvenRestore: null, nextRun: null },
    certificates: [],
    alerts: [{ id: 'a', severity: 'critical', summary: 'the backend is down', since: '2030-01-01T09:00:00Z' }],
    verdict: findings > 0 ? 'fail' : 'pass',
    edge: { http: '127.0.0.1:8080', https: '127.0.0.1:8443', reachable: findings === 0 },
    agent: { running: true, pid: 7, since: '2030-01-01T09:00:00Z' },
    findings: Array.from({ length: findings }, (_, index) => ({
      id: `finding-${index}`,
      verdict: 'fail' as const,
      observed: `something\nnumber ${index} is not as it was and this takes a long sentence to say`,
      expected: 'otherwise',
      hint: 'appliance status',
    })),
  };
}

const operation: LiveOperation = {
  id: 'deploy-1',
  title: 'deploy v1.1',
  user: 'anna',
  startedAt: now - 65_000,
  step: 'wait until green is healthy',
  detail: 'backend-1 answers 503\u001b[2J',
  progress: 0.5,
  steps: [
    { title: 'check the host', state: 'done', seconds: 1.5 },
    { title: 'wait until green is healthy', state: 'running', seconds: 0 },
    { title: 'shift the traffic', state: 'pending', seconds: 0 },
  ],
  goingBack: false,
};

const ended: OperationResult = {
  operation: 'deploy-0',
  kind: 'deploy',
  from: 'v0.9',
  to: 'v1.0',
  result: 'rolled_back',
  startedAt: '2030-01-01T11:58:00Z',
  actor: 'anna',
  seconds: 61,
  shiftSeconds: null,
  steps: [],
  verdicts: [],
  error: {
    code: 'unhealthy',
    message: 'backend-1 did not become healthy\nits last lines:\n\u001b[2Jthe end',
    hint: 'appliance logs backend',
    exit: 1,
  },
};

const state = (patch: Partial<State>): State => ({ ...initialState(now), link: { kind: 'up' }, ...patch });
const logs: LogEntry[] = Array.from({ length: 300 }, (_, index) => ({
  seq: index + 1,
  service: `backend-${index % 3}`,
  label: `backend-${index % 3} blue`,
  error: index % 7 === 0,
  text: `line ${index + 1} ${'日本語 wide '.repeat(index % 20)}`,
}));

describe('every screen at every size', () => {
  const states: Record<string, State> = {
    'nothing yet': initialState(now),
    'no agent': state({
      link: { kind: 'absent', code: 'agent_unreachable', message: 'no agent is running', retryAt: now + 3_000 },
    }),
    'not permitted': state({
      link: { kind: 'absent', code: 'not_permitted', message: 'you may not use its sockets', retryAt: now },
    }),
    'all is well': state({
      status: { ...status(11, 0), warm: { tag: 'v0.9', colour: 'green' } },
      history: [ended, ended, ended],
      logs,
    }),
    'all at once': state({
      status: status(60, 9),
      operation,
      history: [ended],
      logs,
      problem: { message: 'no engine', hint: 'start it' },
    }),
    'agent lost': state({
      status: status(3, 1),
      link: { kind: 'lost', code: 'agent_unreachable', message: 'gone', retryAt: now + 2_000 },
    }),
    'nothing deployed': state({
      status: { ...status(0, 0), release: null, traffic: { blue: 0, green: 0 }, alerts: [] },
    }),
    'ill without containers': state({ status: status(0, 3), history: [ended] }),
  };
  const sizes = [60, 80, 81, 100, 132, 200].flatMap((width) =>
    [8, 12, 20, 24, 50].map((height) => ({ width, height })),
  );

  it.each(Object.entries(states))('%s fits exactly', (_, shown) => {
    for (const size of sizes) {
      for (const signs of [glyphs, ascii]) {
        const overview = overviewLines({ ...shown, selected: 5 }, size, signs);
        const log = logLines(shown, size, new LogFilter(), signs);
        const help = helpLines(3, size, signs);
        for (const lines of [overview, log, help]) {
          expect(lines).toHaveLength(size.height);
          for (const line of lines) expect(widthOf(line)).toBeLessThanOrEqual(size.width);
        }
        for (const line of [
          headerLine(shown, size.width, signs),
          bannerLine(shown, size.width, signs),
          footerLine(shown, size.width, signs),
        ])
          expect(widthOf(line)).toBeLessThanOrEqual(size.width);
      }
    }
  });

  it('sends nothing to the terminal that could steer it, and only ASCII to a terminal without UTF-8', () => {
    for (const shown of Object.values(states)) {
      const screen = overviewLines({ ...shown, selected: 0 }, { width: 120, height: 40 }, ascii);
      // biome-ignore lint/suspicious/noControlCharactersInRegex: looks for control characters
      expect(text(screen)).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f]/);
      expect(text(screen).replace(/[日本]/g, '')).toMatch(/^[\x20-\x7e\n]*$/);
    }
  });
});

describe('the overview', () => {
  const room = { width: 80, height: 19 };
  const shown = (patch: Partial<State>, selected = 0) =>
    text(overviewLines({ ...state(patch), selected }, room, glyphs));

  it('says what is live, how the traffic goes and how the services are', () => {
    const screen = shown({ status: status(4, 0), history: [] });
    expect(screen).toContain('Release   v1.0 on blue, live for 3 h 0 min');
    expect(screen).toMatch(/blue 95 % █+░+ green 5 %/);
    expect(screen).toContain('▸✗ service-0');
    expect(screen).toContain(' ✓ service-1');
  });

  it('shows a running operation with its progress instead of the last one', () => {
    const screen = shown({ status: status(1, 0), operation, history: [ended] });
    expect(screen).toContain('Running   deploy v1.1 ');
    expect(screen).toMatch(/█{15}░{15} 50 % {2}1 min 05 s · anna/);
    expect(screen).not.toContain('Last');
    expect(screen).toContain('• wait until green is healthy');
    const before = shown({ status: status(1, 0), history: [ended] });
    expect(before).toContain('Last      ✗ deploy v1.0 failed and was taken back');
    expect(before).toContain('→ appliance logs backend');
  });

  it('keeps the marked service in sight and counts the hidden ones', () => {
    for (const selected of [0, 7, 30, 59, 1_000]) {
      const screen = shown({ status: status(60, 0) }, selected);
      expect(screen).toMatch(/▸[✓✗] /);
      const [, above = '0'] = /↑ (\d+) above/.exec(screen) ?? [];
      const [, below = '0'] = /↓ (\d+) below/.exec(screen) ?? [];
      const rows = screen.match(/service-/g)?.length ?? 0;
      expect(Number(above) + Number(below) + rows).toBe(60);
    }
  });

  it('says of past operations when they began and who began them', () => {
    const screen = text(
      overviewLines(
        { ...state({ status: status(1, 0), history: [ended, { ...ended, result: 'done' }] }), selected: 0 },
        { width: 200, height: 30 },
        glyphs,
      ),
    );
    expect(screen.match(/ {2}2 min 00 s ago · anna/g)).toHaveLength(2);
  });

  it('names the release that is still warm, where there is room', () => {
    const warm = { tag: 'v0.9', colour: 'green' as const };
    const screen = (height: number, patch: Partial<Status>) =>
      text(
        overviewLines(
          { ...state({ status: { ...status(9, 0), ...patch } }), selected: 0 },
          { width: 80, height },
          glyphs,
        ),
      );
    expect(screen(30, { warm })).toMatch(/Warm +v0\.9 on green, rollback in about a second/);
    for (const none of [{ warm: null }, {}]) expect(screen(30, none)).not.toContain('Warm');
    expect(screen(10, { warm })).toMatch(/Release +v1\.0.*\n.*Traffic/);
  });

  it('leaves room for services on a short terminal', () => {
    const screen = text(
      overviewLines(
        { ...state({ status: status(9, 6), history: [ended] }), selected: 0 },
        { width: 80, height: 11 },
        glyphs,
      ),
    );
    expect(screen.match(/service-/g)?.length).toBeGreaterThanOrEqual(2);
  });

  it('tells how to start an agent that was never there', () => {
    const screen = shown({
      link: { kind: 'absent', code: 'agent_unreachable', message: 'no agent is running', retryAt: now + 3_000 },
    });
    expect(screen).toContain('No agent is running.');
    expect(screen).toContain('appliance agent --foreground');
    expect(screen).toContain('trying again in 3 s');
  });

  it.each([
    [100, 0, /^blue 100 % █+ green 0 %$/],
    [0, 100, /^blue 0 % ░+ green 100 %$/],
    [1, 99, /^blue 1 % █░+ green 99 %$/],
    [99, 1, /^blue 99 % █+░ green 1 %$/],
    [0, 0, /^blue 0 % ░+ green 0 %$/],
  ])('draws %i and %i so that no share vanishes', (blue, green, picture) => {
    expect(text([trafficBar({ blue, green }, 60, glyphs)])).toMatch(picture);
  });
});

describe('the logs', () => {
  const room = { width: 80, height: 20 };
  const shown = (view: Partial<State['view']>, filter = new LogFilter()) => {
    const all = state({ logs });
    return text(logLines({ ...all, view: { ...all.view, ...view } }, room, filter, glyphs));
  };

  it('follows the newest line', () => {
    expect(shown({})).toMatch(/following/);
    expect(shown({})).toContain('line 300');
  });

  it('stands still while paused, and says how much is newer', () => {
    const screen = shown({ anchor: 100 });
    expect(screen).toContain('paused · 200 newer');
    expect(screen).toContain('line 100 ');
    expect(screen).not.toContain('line 101 ');
  });

  it('filters with a pattern, and takes a broken one as text', () => {
    expect(shown({ filter: 'line 2[0-9] ' })).toContain('10 lines');
    expect(shown({ filter: 'LINE 300' })).toContain('1 line');
    expect(shown({ typing: 'line [' })).toContain('"line ["');
    expect(shown({ filter: 'no such' })).toContain('no line matches');
  });

  it('shifts long lines', () => {
    expect(shown({ shift: 20 })).toContain('from column 21');
    expect(shown({ shift: 5 })).not.toContain('line 300');
  });
});

describe('the bottom and the help', () => {
  it('show keys of the table', () => {
    const help = text(helpLines(0, { width: 100, height: 60 }, glyphs));
    for (const { help: sentence } of bindings) expect(help).toContain(sentence);
    expect(text([footerLine(state({}), 80, glyphs)])).toBe(' ↑↓ mark  Enter its logs  ? help  q quit ');
    expect(text([footerLine(state({}), 80, ascii)])).toContain('Up/Down mark');
  });

  it('scrolls the help to its end and no further', () => {
    const room = { width: 80, height: 10 };
    expect(text(helpLines(0, room, glyphs))).toContain('more below');
    expect(text(helpLines(10_000, room, glyphs))).toContain(
      bindings.filter(({ scope }) => scope === 'logs').at(-1)?.help,
    );
  });
});

describe('lines', () => {
  it('are clipped by columns, whatever their segments', () => {
    const line: Line = [{ text: '日本' }, { text: 'abc', bold: true }, { text: '', dim: true }, { text: '語語語' }];
    for (let width = 0; width <= 16; width += 1) {
      const clipped = clip(line, width, '…');
      expect(widthOf(clipped)).toBeLessThanOrEqual(width);
      if (width >= 13) expect(clipped).toBe(line);
      else if (width > 0) expect(text([clipped])).toContain('…');
    }
  });

  it('spread to exactly the width', () => {
    for (const width of [10, 20, 40])
      expect(widthOf(spread(plain('left side'), plain('right'), width, '…'))).toBe(width);
    expect(fill([plain('a'), plain('b')], 1)).toEqual([plain('a')]);
    expect(fill([], 3)).toEqual([[], [], []]);
  });
});
