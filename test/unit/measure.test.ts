import { describe, expect, it } from 'vitest';
import { HealthHistory, logReader, prometheusReader } from '../../src/capabilities/checks/measure/index.ts';
import { meaningOf } from '../../src/capabilities/checks/measure/log-lines.ts';
import { ApplianceError } from '../../src/lib/errors.ts';

const candidate = { tag: 'v2', colour: 'green' } as const;
const { signal } = new AbortController();

describe('a line of a log', () => {
  const calm = { error: false, critical: false, database: false, corruption: false };
  it.each([
    ['{"level":"error","message":"no"}', { error: true }],
    ['{"level":"ERROR","message":"connection to server at \\"db\\" failed"}', { error: true, database: true }],
    ['{"level":50,"msg":"no"}', { error: true }],
    ['{"severity":"CRITICAL","message":"no"}', { error: true, critical: true }],
    ['{"level":60,"msg":"dying"}', { error: true, critical: true }],
    ['{"level":"info","message":"ERROR is a word"}', {}],
    ['2026-01-05 08:00:00 ERROR [web] it broke', { error: true }],
    ['FATAL:  remaining connection slots are reserved', { error: true, critical: true, database: true }],
    ['ERROR:  invalid page in block 7 of relation base/1/2', { error: true, corruption: true }],
    ['INFO: no errors, 0 failures', {}],
    ['GET /errors 200', {}],
    ['', {}],
  ])('%s', (line, meaning) => {
    expect(meaningOf(line)).toEqual({ ...calm, ...meaning });
  });

  it('is cut off rather than read for ever', () => {
    const line = `ERROR ${'connection to server '.repeat(500_000)}`;
    const began = performance.now();
    meaningOf(line);
    // Each of half a million beginnings looks for its end: that takes hours.
    expect(performance.now() - began).toBeLessThan(5_000);
  });
});

describe('logs', () => {
  const at = (second: number) => Date.UTC(2026, 0, 5, 8, 0, second);
  const line = (second: number, text: string) =>
    `2026-01-05T08:00:${String(second).padStart(2, '0')}.000000001Z ${text}`;

  it('are read once, and counted by the window that is asked for', async () => {
    const log = [line(1, 'ERROR one'), line(2, 'all well'), line(3, 'ERROR two')];
    const asked: number[] = [];
    let sent = 0;
    const read = logReader({
      sources: async () => [{ id: 'a', name: 'web-1', tty: false }],
      lines: async function* (_, since) {
        asked.push(since);
        for (const text of log) {
          if (Date.parse(text.slice(0, 30)) / 1_000 < Math.floor(since)) continue;
          sent += 1;
          yield text;
        }
      },
    });
    const window = (from: number, to: number) => ({ from: at(from), to: at(to) });
    expect(await read('log-errors', candidate, window(0, 3), signal)).toMatchObject({ kind: 'events', count: 1 });
    expect(await read('log-critical', candidate, window(0, 3), signal)).toEqual({
      kind: 'events',
      count: 0,
      about: 'none in 1 log',
    });
    log.push(line(5, 'ERROR three'));
    expect(await read('log-errors', candidate, window(0, 10), signal)).toMatchObject({
      count: 3,
      about: '3 in 1 log, the last: ERROR three',
    });
    expect(await read('log-errors', candidate, window(4, 10), signal)).toMatchObject({ count: 1 });
    // Two readings of the engine; the line that both sent was counted once.
    expect(asked).toHaveLength(2);
    expect(sent).toBe(5);
  });

  it('asked for by several rules at once are complete for each of them', async () => {
    const read = logReader({
      sources: async () => [{ id: 'a', name: 'web-1', tty: false }],
      lines: async function* () {
        await new Promise((resolve) => setTimeout(resolve, 20));
        yield line(1, 'CRITICAL one');
        // The two streams of a container may overtake each other by a hair.
        yield line(3, 'all well');
        yield line(2, 'CRITICAL two');
      },
    });
    const window = { from: at(0), to: at(9) };
    const seen = await Promise.all(
      ['log-errors', 'log-critical'].map((metric) => read(metric, candidate, window, signal)),
    );
    expect(seen).toMatchObject([{ count: 2 }, { count: 2 }]);
  });

  it('that could not be read once are no zero the next time either', async () => {
    let broken = true;
    const read = logReader({
      sources: async () => [{ id: 'a', name: 'web-1', tty: false }],
      lines: async function* () {
        yield line(1, 'ERROR one');
        if (broken) throw new ApplianceError('engine_unreachable', 'the engine is gone');
        yield line(2, 'ERROR two');
      },
    });
    const window = { from: at(0), to: at(9) };
    expect(await read('log-errors', candidate, window, signal)).toMatchObject({ kind: 'none' });
    expect(await read('log-errors', candidate, window, signal)).toMatchObject({ kind: 'none' });
    broken = false;
    expect(await read('log-errors', candidate, window, signal)).toMatchObject({ kind: 'events', count: 2 });
  });

  it('that cannot be read, or are not there, say so and are no zero', async () => {
    const broken = logReader({
      sources: async () => [{ id: 'a', name: 'web-1', tty: false }],
      // biome-ignore lint/correctness/useYield: it ends before its first line
      lines: async function* () {
        throw new ApplianceError('engine_unreachable', 'the engine is gone');
      },
    });
    const window = { from: at(0), to: at(9) };
    expect(await broken('log-errors', candidate, window, signal)).toEqual({
      kind: 'none',
      why: 'the logs could not be read: the engine is gone',
    });
    const empty = logReader({ sources: async () => [], lines: async function* () {} });
    expect(await empty('log-errors', candidate, window, signal)).toMatchObject({ kind: 'none' });
  });
});

describe('health', () => {
  it('is what the looks of a window have seen', async () => {
    const history = new HealthHistory();
    [1, 0.5, 1].forEach((share, index) => {
      history.record('v2', index * 1_000, share);
    });
    expect(await history.read('health', candidate, { from: 0, to: 3_000 }, signal)).toEqual({
      kind: 'value',
      last: 1,
      least: 0.5,
      most: 1,
      samples: 3,
    });
    expect(await history.read('health', candidate, { from: 3_000, to: 9_000 }, signal)).toMatchObject({ kind: 'none' });
  });
});

describe('what only the application knows', () => {
  const window = { from: 0, to: 60_000 };
  const expressions = {
    accuracy: 'avg(model_accuracy{$scope})',
    'training-failures': 'sum(increase(failures{$scope}[$over]))',
  };
  const answering = (answer: (expression: string) => number[]) => ({
    query: async (expression: string) => answer(expression).map((value) => ({ labels: {}, time: 1, value })),
  });

  it('is asked of Prometheus for one release, with what it was throughout the window', async () => {
    const asked: string[] = [];
    const read = prometheusReader(
      answering((expression) => {
        asked.push(expression);
        return [expression.startsWith('count') ? 6 : expression.startsWith('min') ? 0.8 : 0.87];
      }),
      expressions,
    );
    expect(await read('accuracy', candidate, window, signal)).toEqual({
      kind: 'value',
      last: 0.87,
      least: 0.8,
      most: 0.87,
      samples: 6,
    });
    expect(asked).toContain('min_over_time((avg(model_accuracy{release="v2"}))[60s:10s])');
    expect(await read('training-failures', candidate, window, signal)).toEqual({ kind: 'events', count: 1 });
    expect(asked.at(-1)).toBe('sum(increase(failures{release="v2"}[60s]))');
  });

  it.each([
    ['no series', []],
    ['more than one number', [1, 2]],
    ['no number', [Number.NaN]],
  ])('with %s is none', async (_, values) => {
    const read = prometheusReader(
      answering(() => values),
      expressions,
    );
    expect(await read('accuracy', candidate, window, signal)).toMatchObject({ kind: 'none' });
  });

  it('is none while Prometheus does not answer, is not there, or was not told how', async () => {
    const down = {
      query: () => Promise.reject(new ApplianceError('prometheus_unreachable', 'Prometheus: no connection')),
    };
    expect(await prometheusReader(down, expressions)('accuracy', candidate, window, signal)).toEqual({
      kind: 'none',
      why: 'Prometheus: no connection',
    });
    expect(await prometheusReader(undefined, expressions)('accuracy', candidate, window, signal)).toMatchObject({
      kind: 'none',
    });
    expect(await prometheusReader(down, {})('drift', candidate, window, signal)).toMatchObject({
      kind: 'none',
      why: expect.stringContaining('monitoring.metrics'),
    });
  });
});
