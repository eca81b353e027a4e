import { describe, expect, it } from 'vitest';
import { age, conditionOf, failureLine, successLine } from '../../src/api/describe.ts';
import type { LogLine, Plan } from '../../src/api/schema.ts';
import { verbNames } from '../../src/cli/catalog.ts';
import { errorDocument, errorLines, exitCodeOf, exitCodeOfVerdict } from '../../src/cli/exit.ts';
import { overviewHelp, verbHelp } from '../../src/cli/help.ts';
import { type Look, lookOf, mark, paint, speak } from '../../src/cli/output/look.ts';
import { Progress } from '../../src/cli/output/progress.ts';
import { table } from '../../src/cli/output/table.ts';
import { outline } from '../../src/cli/verbs/config.ts';
import { execArguments } from '../../src/cli/verbs/exec.ts';
import { checkedTime, printer, tailOf } from '../../src/cli/verbs/logs.ts';
import { planLines } from '../../src/cli/verbs/plan-text.ts';
import { ApplianceError, type ErrorCode, errorCodes } from '../../src/lib/errors.ts';
import { displayWidth, plainText, truncate, wrap } from '../../src/lib/text.ts';

const paper: Look = { terminal: false, colour: false, unicode: true, width: Number.POSITIVE_INFINITY };
const screen = (width: number): Look => ({ terminal: true, colour: true, unicode: true, width });
// biome-ignore lint/suspicious/noControlCharactersInRegex: takes colours out
const uncoloured = (text: string) => text.replace(/\u001b\[[0-9;]*m/g, '');

describe('what a stream can show', () => {
  const terminal = { isTTY: true, columns: 100 };
  it.each([
    ['a terminal', terminal, { TERM: 'xterm', LANG: 'C.UTF-8' }, true, { colour: true, unicode: true, width: 100 }],
    ['NO_COLOR', terminal, { NO_COLOR: '1', LANG: 'de_DE.utf8' }, true, { colour: false, unicode: true }],
    ['an empty NO_COLOR', terminal, { NO_COLOR: '' }, true, { colour: true }],
    ['TERM=dumb', terminal, { TERM: 'dumb' }, true, { colour: false }],
    ['--no-color', terminal, { TERM: 'xterm' }, false, { colour: false, terminal: true }],
    ['a pipe', {}, { LANG: 'C.UTF-8' }, true, { colour: false, terminal: false, width: Number.POSITIVE_INFINITY }],
    ['LC_ALL=C', terminal, { LC_ALL: 'C', LANG: 'C.UTF-8' }, true, { unicode: false }],
  ])('%s', (_, stream, env, allow, expected) => {
    expect(lookOf(stream, env, allow)).toMatchObject(expected);
  });

  it('says everything in ASCII where the terminal knows no more', () => {
    const ascii = { ...paper, unicode: false };
    expect(mark(ascii, 'pass') + mark(ascii, 'fail') + mark(ascii, 'running')).toBe('+x*');
    expect(speak(ascii, 'a → b … c · d – e')).toBe('a -> b ~ c - d - e');
    expect(paint(paper, 'red', 'x')).toBe('x');
  });
});

describe('tables', () => {
  const rows = [
    { name: 'a-rather-long-service-name-that-goes-on', size: '1 B', note: 'short' },
    { name: '日本語', size: '1024 MiB', note: 'a much longer note\n  that nobody needs' },
  ];
  const columns = [
    { title: 'NAME', value: (row: (typeof rows)[number]) => row.name, least: 8 },
    { title: 'SIZE', value: (row: (typeof rows)[number]) => row.size, align: 'right' as const },
    { title: 'NOTE', value: (row: (typeof rows)[number]) => row.note, dropAt: 1 },
  ];

  it('aligns columns by what is seen, wide characters included', () => {
    const [head = '', first = '', second = ''] = table(columns, rows, paper);
    const end = (line: string, text: string) => displayWidth(line.slice(0, line.indexOf(text) + text.length));
    expect(end(head, 'SIZE')).toBe(end(first, '1 B'));
    expect(end(head, 'SIZE')).toBe(end(second, '1024 MiB'));
  });

  it('fits every width by leaving out and cutting', () => {
    for (let width = 20; width < 120; width += 1) {
      for (const line of table(columns, rows, screen(width), 2)) {
        expect(displayWidth(uncoloured(line))).toBeLessThanOrEqual(width);
      }
    }
    expect(table(columns, rows, screen(60)).join()).not.toContain('NOTE');
    expect(uncoloured(table(columns, rows, screen(24)).join())).toContain('…');
  });

  it('keeps a row on its line, without blanks at the end', () => {
    expect(table(columns, rows, paper)).toHaveLength(3);
    for (const line of table(columns, rows, paper)) expect(line).toMatch(/^.*\S$/);
  });
});

describe('texts', () => {
  it('cuts by columns and not by characters', () => {
    expect(truncate('日本語テキスト', 7)).toBe('日本語…');
    expect(truncate('short', 7)).toBe('short');
    expect(truncate('anything', 0)).toBe('');
    expect(wrap('one two three', 7)).toEqual(['one two', 'three']);
  });

  it('takes out everything that could steer a terminal', () => {
    expect(plainText('a\u001b[2Jb\u001b]0;title\u0007c\u0008\td\u001b[31me\u009b2Jf')).toBe('abc    de2Jf');
  });

  it('never loses printable text, whatever surrounds it', () => {
    for (const noise of ['\u001b[?25l', '\u001b]8;;http://x\u001b\\', '\u001bP1;2q\u001b\\', '\u001bc', '\r', '\u0000'])
      expect(plainText(`<${noise}>`)).toBe('<>');
  });
});

describe('errors', () => {
  it.each(Object.keys(errorCodes) as ErrorCode[])('%s has the exit status of the registry', (code) => {
    const error = new ApplianceError(code, 'something', { left: 'nothing was touched', hint: 'appliance status' });
    expect(exitCodeOf(error)).toBe(errorCodes[code].exit);
    expect(errorDocument(error)).toEqual({
      error: {
        code,
        message: 'something',
        left: 'nothing was touched',
        hint: 'appliance status',
        exit: errorCodes[code].exit,
      },
    });
  });

  it('says what happened, what was left and what to do', () => {
    const error = new ApplianceError('busy', 'deploy is running', { left: 'it goes on', hint: 'wait' });
    expect(errorLines(error, paper, false)).toEqual(['✗ deploy is running', '  it goes on', '  → wait']);
  });

  it('quotes what a program wrote, without what steers a terminal', () => {
    const error = new ApplianceError('unhealthy', 'it is ill; its last lines:\none\n\u001b[31mtwo\u001b]0;x\u0007\n');
    expect(errorLines(error, paper, false)).toEqual(['✗ it is ill; its last lines:', '    one', '    two']);
  });

  it('takes anything else for a defect of ours, and a full disk for a full disk', () => {
    expect(exitCodeOf(new TypeError('x'))).toBe(1);
    expect(errorDocument(Object.assign(new Error('write'), { code: 'ENOSPC' }))).toMatchObject({
      error: { code: 'disk_full' },
    });
    expect(exitCodeOf('a string')).toBe(1);
  });

  it('maps verdicts', () => {
    expect([exitCodeOfVerdict('pass'), exitCodeOfVerdict('fail'), exitCodeOfVerdict('inconclusive')]).toEqual([
      0, 3, 4,
    ]);
  });
});

describe('help', () => {
  it('names every verb', () => {
    const text = overviewHelp(paper).join('\n');
    for (const name of verbNames) expect(text).toContain(`  ${name} `);
  });

  it.each(verbNames)('%s explains itself within 100 columns', (name) => {
    const lines = verbHelp(name, paper);
    expect(lines[0]).toContain(`appliance ${name}: `);
    for (const line of lines.filter((each) => !each.startsWith('  '))) expect(line.length).toBeLessThanOrEqual(100);
  });
});

describe('progress', () => {
  const time = '2030-01-01T00:00:00.000Z';
  const step = (
    index: number,
    title: string,
    state: 'running' | 'done' | 'failed' | 'undoing' | 'undone',
    detail = '',
  ) =>
    ({ event: 'step', time, operation: 'deploy-1', index, name: title, title, state, seconds: 1.25, detail }) as const;
  const play = (look: Look, options = { quiet: false, verbose: false }) => {
    let text = '';
    const progress = new Progress({ write: (more: string) => (text += more) }, look, options);
    progress.begin('deploy v1.0');
    progress.take(step(0, 'check', 'running'));
    progress.take({ event: 'progress', time, operation: 'deploy-1', index: 0, text: 'half\u001b[2J way' });
    progress.take(step(0, 'check', 'done', 'all fine'));
    progress.take(step(1, 'start', 'running'));
    progress.take(step(1, 'start', 'failed', 'it broke'));
    progress.take(step(1, 'start', 'undoing'));
    progress.take(step(1, 'start', 'undone'));
    progress.end();
    return text;
  };

  it('writes plain finished lines where there is no terminal', () => {
    const lines = play(paper).trimEnd().split('\n');
    expect(lines.map((line) => line.replace(/ {2,}/g, ' '))).toEqual([
      'deploy v1.0',
      '✓ check 1.3 s all fine',
      '✗ start 1.3 s it broke',
      '· taken back: start 1.3 s',
    ]);
  });

  it('keeps one live line on a terminal, within its width, and takes it away', () => {
    const text = play(screen(60));
    expect(text).toContain('\r\u001b[K');
    for (const line of uncoloured(text).split(/[\r\n]/)) {
      expect(displayWidth(plainText(line).replace('[K', ''))).toBeLessThanOrEqual(60);
    }
    expect(text.endsWith('\n') || text.endsWith('\r\u001b[K')).toBe(true);
    expect(text).not.toContain('\u001b[2J');
  });

  it.each([60, 80, 120])('keeps the lines of long steps within %i columns', (width) => {
    let text = '';
    const progress = new Progress({ write: (more: string) => (text += more) }, screen(width), {
      quiet: false,
      verbose: false,
    });
    const title = 'dump databases and collect files for 20261121T215203Z-45ca';
    progress.begin('backup');
    progress.take(step(0, title, 'done', '10 parts, 313 KiB dumped or copied'));
    progress.take(step(1, `${title} and ${title}`, 'failed', 'no space left on the device'));
    progress.end();
    for (const line of uncoloured(text).split(/[\r\n]/))
      expect(displayWidth(plainText(line).replace('[K', ''))).toBeLessThanOrEqual(width);
    expect(uncoloured(text)).toContain(width === 60 ? 'dump databases and collect files' : title);
    if (width === 120) expect(uncoloured(text)).toContain('10 parts, 313 KiB dumped or copied');
  });

  it('says nothing when quiet, and more when verbose', () => {
    expect(play(paper, { quiet: true, verbose: false })).toBe('');
    expect(play(paper, { quiet: false, verbose: true })).toContain('half way');
  });
});

describe('logs', () => {
  const line = (service: string, text: string, colour: LogLine['colour'] = null): LogLine => ({
    time: '2030-01-01T00:00:00.000Z',
    service,
    colour,
    stream: 'stdout',
    text,
  });

  it('gives replicas of a service the same colour', () => {
    const print = printer(screen(80), false);
    const colourOf = (text: string) => text.slice(0, text.indexOf('m') + 1);
    expect(colourOf(print(line('backend-1', 'x')))).toBe(colourOf(print(line('backend-2', 'y'))));
  });

  it('passes raw text to a pipe and harmless text to a terminal', () => {
    const hostile = 'a\u001b]0;title\u0007b\u001b[31mred\u001b[2J';
    expect(printer(paper, false)(line('web', hostile))).toBe(`web      | ${hostile}`);
    const shown = printer(screen(80), false)(line('web', hostile));
    expect(shown).toContain('ab\u001b[31mred\u001b[0m');
    expect(shown).not.toMatch(/title|\[2J/);
    expect(printer({ ...screen(80), colour: false }, true)(line('web', hostile))).toBe(
      '2030-01-01T00:00:00.000Z web      | abred',
    );
  });

  it('understands --tail and --since', () => {
    expect([
      tailOf(undefined, undefined),
      tailOf(undefined, '10m'),
      tailOf('all', undefined),
      tailOf('7', '1h'),
    ]).toEqual([200, undefined, undefined, 7]);
    expect(checkedTime('10m')).toBe('10m');
    expect(checkedTime('2030-01-31T08:00:00Z')).toBe('2030-01-31T08:00:00Z');
    for (const bad of ['-1', '1.5', 'many', '']) expect(() => tailOf(bad, undefined)).toThrow(/--tail/);
    for (const bad of ['yesterday', '5', '2030-13-45', '']) expect(() => checkedTime(bad)).toThrow(/--since/);
  });
});

describe('small words', () => {
  it('tells ages', () => {
    const now = Date.parse('2030-01-01T01:00:00Z');
    expect(age('2030-01-01T00:59:59.500Z', now)).toBe('0 s');
    expect(age('2030-01-01T00:59:18Z', now)).toBe('42 s');
    expect(age('2030-01-01T00:00:00Z', now)).toBe('1 h 0 min');
    expect([age(null, now), age('nonsense', now)]).toEqual(['–', '–']);
  });

  it.each([
    ['running', 'healthy', 'pass'],
    ['running', null, 'pass'],
    ['running', 'starting', 'running'],
    ['running', 'unhealthy', 'fail'],
    ['restarting', null, 'running'],
    ['exited', null, 'fail'],
    ['completed', null, 'skipped'],
    ['paused', null, 'inconclusive'],
  ])('%s and %s is %s', (state, health, condition) => {
    expect(conditionOf({ state, health })).toBe(condition);
  });

  it('says how an operation ended', () => {
    const result = {
      operation: 'x',
      kind: 'deploy',
      from: 'v1',
      to: 'v2',
      startedAt: '2030-01-01T00:00:00Z',
      actor: 'anna',
      seconds: 41,
      shiftSeconds: 0.9,
      steps: [],
      verdicts: [],
    };
    expect(successLine({ ...result, result: 'done' })).toBe(
      'v2 is live (was v1), 41.0 s; traffic was on it after 900 ms',
    );
    expect(
      failureLine({ ...result, result: 'rolled_back', error: { code: 'unhealthy', message: 'it is ill', exit: 1 } }),
    ).toBe('deploy v2 failed and was taken back after 41.0 s: it is ill');
  });

  it('says so when there is nothing to go back to', () => {
    const result = {
      operation: 'x',
      kind: 'rollback',
      from: 'v1',
      to: 'v1',
      result: 'done' as const,
      startedAt: '2030-01-01T00:00:00Z',
      actor: 'anna',
      seconds: 0,
      shiftSeconds: null,
      steps: [],
      verdicts: [],
    };
    expect(successLine(result)).toBe('v1 is live already; nothing was done');
    const restarted = { name: 'start-colour', state: 'done' as const, seconds: 1, detail: '' };
    expect(successLine({ ...result, seconds: 1, steps: [restarted] })).toBe('back on v1, 1.0 s');
    const plan: Plan = {
      kind: 'rollback',
      from: 'v1',
      to: 'v1',
      strategy: 'none',
      colour: 'green',
      steps: [],
      changes: [],
      notes: ['v1 is live already'],
      predictedSeconds: null,
      predictedDowntimeSeconds: 0,
    };
    expect(planLines(plan, paper)).toEqual(['v1 is live already; there is nothing to do.']);
    expect(planLines({ ...plan, from: 'v2', to: 'v1' }, paper)).toEqual(['rollback v1: there is nothing to do.']);
  });

  it('never builds a shell command for exec', () => {
    expect(execArguments('c1', ['sh', '-c', 'echo $HOME; rm -rf /'], true)).toEqual([
      'exec',
      '--interactive',
      '--tty',
      'c1',
      'sh',
      '-c',
      'echo $HOME; rm -rf /',
    ]);
    expect(execArguments('c1', ['id'], false)).toEqual(['exec', '--interactive', 'c1', 'id']);
  });

  it('outlines values', () => {
    expect(outline({ a: 1, b: [], c: { d: ['x', { e: null }] } })).toEqual([
      'a: 1',
      'b: []',
      'c:',
      '  d:',
      '    - x',
      '    -',
      '      e: null',
    ]);
  });
});
