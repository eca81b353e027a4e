import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { LogFilter } from '../../src/tui/logs/filter.ts';
import { levelOf, readable } from '../../src/tui/logs/level.ts';
import { patternOf } from '../../src/tui/logs/pattern.ts';
import { copyLines, saveLines } from '../../src/tui/logs/take.ts';
import { updateLogs } from '../../src/tui/logs/update.ts';
import { initialState, type LogsView, type State } from '../../src/tui/state.ts';
import { logEntry, lookedAt, picture } from '../support/screens.ts';

const entries = (from: number, count: number, text = (seq: number) => `line ${seq} end`) =>
  Array.from({ length: count }, (_, index) => logEntry(from + index, text(from + index)));

function inLogs(logs: Partial<LogsView> = {}, lines = entries(1, 100)): State {
  const state = initialState(lookedAt);
  return {
    ...state,
    link: { kind: 'up', access: 'operator' },
    logs: lines,
    view: { ...state.view, screen: 'logs', logs: { ...state.view.logs, ...logs } },
  };
}

const around = () => ({ filter: new LogFilter(), room: 10 });
function pressed(state: State, ...actions: string[]): State {
  let { view } = state;
  for (const action of actions) view = updateLogs({ ...state, view }, action, around()) ?? view;
  return { ...state, view };
}
const shown = (state: State, width = 80) => picture(state, width, 16);

describe('scrolling', () => {
  it('going back stands still whatever comes, and counts it', () => {
    const paused = pressed(inLogs(), 'up', 'up');
    const before = shown(paused).split('\n').slice(4);
    expect(shown(paused)).toContain('paused · 2 newer');
    // So much comes that nothing of what is shown is kept any more.
    const later: State = { ...paused, logs: entries(50_001, 10_000) };
    expect(shown(later).split('\n').slice(4)).toEqual(before);
    expect(shown(later)).toContain(`paused · ${2 + 60_000 - 100} newer`);
  });

  it('going on to the end goes through what came meanwhile, then follows again', () => {
    const paused = pressed(inLogs(), 'up');
    const later: State = { ...paused, logs: entries(1, 130) };
    const on = pressed(later, 'page-down');
    expect(on.view.logs.anchor).toBe(109);
    const end = pressed(on, 'page-down', 'page-down', 'page-down', 'page-down');
    expect(end.view.logs).toMatchObject({ anchor: undefined, frozen: undefined });
    expect(pressed(later, 'logs.follow').view.logs.frozen).toBeUndefined();
  });

  it('a short log cannot be scrolled', () => {
    expect(pressed(inLogs({}, entries(1, 5)), 'up').view.logs.anchor).toBeUndefined();
    expect(pressed(inLogs(), 'first').view.logs.anchor).toBe(10);
  });

  it('walks through the services, with "all" between the last and the first', () => {
    const status = { services: [{ name: 'a' }, { name: 'b' }, { name: 'a' }] } as unknown as NonNullable<
      State['status']
    >;
    const next = (service: string | undefined, action = 'logs.next-service') =>
      pressed({ ...inLogs({ service }), status }, action).view.logs.service;
    expect([next(undefined), next('a'), next('b'), next('gone')]).toEqual(['a', 'b', undefined, 'a']);
    expect(next(undefined, 'logs.previous-service')).toBe('b');
  });
});

describe('a filter', () => {
  it('is a regular expression, and plain text while it is none', () => {
    expect(shown(inLogs({ filter: 'line 2[0-9] ' }))).toContain('10 lines');
    expect(shown(inLogs({ filter: 'LINE 100' }))).toContain('1 line');
    const typing = { purpose: 'filter', label: 'filter', text: 'line [' } as const;
    expect(shown({ ...inLogs(), view: { ...inLogs().view, typing } })).toContain('"line ["');
    expect(shown(inLogs({ filter: 'no such' }))).toContain('No line matches');
  });

  it('says the same of lines that came one by one as of all at once', () => {
    const one = new LogFilter();
    const wanted = { pattern: '7', level: 'all' } as const;
    for (let last = 10; last <= 500; last += 10) {
      const all = entries(Math.max(1, last - 99), Math.min(last, 100));
      expect(one.matching(all, wanted)).toEqual(new LogFilter().matching(all, wanted));
    }
  });

  it('of levels takes errors by their name, and by stderr where a line names none', () => {
    const lines = [
      logEntry(1, 'INFO fine', { error: true }),
      logEntry(2, '{"level":"error","msg":"bad"}'),
      logEntry(3, 'level=warn msg=hm'),
      logEntry(4, 'Traceback', { error: true }),
      logEntry(5, '{"level":50,"msg":"pino"}'),
    ];
    const seqs = (level: LogsView['level']) =>
      new LogFilter().matching(lines, { pattern: '', level }).map(({ seq }) => seq);
    expect(seqs('errors')).toEqual([2, 4, 5]);
    expect(seqs('warnings')).toEqual([2, 3, 4, 5]);
  });

  it('leaves debug out at first, and says so', () => {
    const lines = [logEntry(1, 'INFO fine'), logEntry(2, 'level=debug msg="Notify success"'), logEntry(3, 'plain')];
    const state = inLogs({}, lines);
    expect(shown(state)).toMatch(/all services {2}2 lines, 1 of debug left out/);
    expect(shown(state)).not.toContain('Notify success');
    const all = pressed(state, 'logs.level', 'logs.level', 'logs.level');
    expect(shown(all)).toMatch(/all services {2}3 lines +•/);
    expect(shown(all)).toContain('Notify success');
    expect(shown(pressed(all, 'logs.level'))).toBe(shown(state));
  });
});

describe('lines', () => {
  it.each([
    ['2030-01-01 ERROR it broke', 'error'],
    ['[warn] careful', 'warning'],
    ['<error> it broke', 'error'],
    ['{"level":"debug","msg":"x"}', 'debug'],
    ['{"severity":"WARNING"}', 'warning'],
    ['level=info x', 'info'],
    ['an information about errors', undefined],
    ['ERRORS are counted', undefined],
  ] as const)('%s is %s', (text, level) => {
    expect(levelOf(text)).toBe(level);
  });

  it('of JSON begin with what differs from line to line', () => {
    expect(readable('{"msg":"request","release":"v1.0","requestId":"a1","method":"GET","status":200}')).toBe(
      'request method=GET status=200 release=v1.0 requestId=a1',
    );
  });

  it('of JSON are read as a person would, and stay as they came when asked to', () => {
    expect(readable('{"level":"info","time":1,"msg":"loaded","took_ms":8,"of":{"a":1}}')).toBe(
      'INFO loaded took_ms=8 of={"a":1}',
    );
    for (const text of ['{broken', '{"a"', 'plain', '{}']) expect(readable(text)).toBe(text === '{}' ? '' : text);
    const json = [logEntry(1, '{"msg":"loaded"}')];
    expect(shown(inLogs({}, json))).toContain('| loaded');
    expect(shown(inLogs({ raw: true }, json))).toContain('| {"msg":"loaded"}');
  });

  it('are cut, shifted or wrapped', () => {
    const long = [logEntry(1, `begin ${'日本 '.repeat(60)}end`)];
    expect(shown(inLogs({}, long))).toContain('…');
    expect(shown(inLogs({ shift: 20 }, long))).toContain('from column 21');
    const wrapped = shown(inLogs({ wrap: true }, long));
    expect(wrapped).toContain('begin');
    expect(wrapped).toContain('end');
    expect(wrapped).not.toContain('…');
    expect(shown(inLogs({ times: true }))).toMatch(/12:00:00\.000 backend-/);
  });

  it('a search marks what it finds and goes from one to the next', () => {
    const found = pressed(inLogs({ search: 'line [48]0 ' }), 'logs.older');
    expect(found.view.logs.anchor).toBe(80);
    expect(pressed(found, 'logs.older').view.logs.anchor).toBe(40);
    expect(pressed(found, 'logs.older', 'logs.newer').view.logs.anchor).toBe(80);
    expect(pressed(found, 'logs.newer').view.logs.anchor).toBe(80);
    expect(patternOf('b+').places('abbcb')).toEqual([
      [1, 3],
      [4, 5],
    ]);
    expect(patternOf('x*').places('abc')).toEqual([]);
  });
});

describe('taking lines along', () => {
  const folder = mkdtempSync(join(tmpdir(), 'logs-'));
  afterAll(() => rmSync(folder, { recursive: true }));

  it('saves those that match to a new file of the owner alone', async () => {
    const path = join(folder, 'a.log');
    expect(await saveLines(path, inLogs({ filter: 'line 9' }))).toBe(`11 lines saved to ${path}`);
    expect(readFileSync(path, 'utf8').split('\n')).toHaveLength(12);
    expect(statSync(path).mode & 0o777).toBe(0o600);
  });

  it('replaces no file, and says what is wrong with a place', async () => {
    const taken = join(folder, 'taken');
    writeFileSync(taken, 'mine');
    await expect(saveLines(taken, inLogs())).rejects.toThrow('exists already');
    expect(readFileSync(taken, 'utf8')).toBe('mine');
    await expect(saveLines(join(folder, 'none', 'a'), inLogs())).rejects.toThrow('cannot be written');
    await expect(saveLines('', inLogs())).rejects.toThrow('no file was named');
  });

  it('copies through the terminal, no more than it takes', () => {
    const written: string[] = [];
    expect(copyLines(inLogs({ filter: 'line 100' }), (text) => written.push(text))).toMatch(/^1 line /);
    const [before, after] = ['\u001b]52;c;', '\u0007'];
    expect(written[0]?.startsWith(before) && written[0].endsWith(after)).toBe(true);
    const base64 = written[0]?.slice(before.length, -after.length) ?? '';
    expect(Buffer.from(base64, 'base64').toString()).toMatch(/backend-1 blue line 100 end\n$/);
    copyLines(
      inLogs(
        {},
        entries(1, 100, () => 'x'.repeat(5_000)),
      ),
      (text) => written.push(text),
    );
    expect(written[1]?.length).toBeLessThan(75_000);
  });
});
