import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { type AssessmentQuestion, assess } from '../../src/capabilities/checks/analysis/index.ts';
import { judge } from '../../src/capabilities/checks/analysis/judge.ts';
import { type RuleRole, windowsOf } from '../../src/capabilities/checks/analysis/windows.ts';
import type { PolicyRule } from '../../src/config/policy.ts';
import { parsePolicy } from '../../src/config/policy-load.ts';
import { histogramOf } from '../../src/lib/histogram.ts';
import type { Measurement, MetricReader, Window } from '../../src/lib/measurement.ts';
import type { Finding } from '../../src/lib/verdict.ts';
import { random } from '../support/random.ts';

const minute = 60_000;
/** A whole minute, long ago. */
const start = Date.UTC(2026, 0, 5, 12);

function rule(fields: Omit<Partial<PolicyRule>, 'id'>): PolicyRule {
  return { id: 'X-1', metric: 'errors', for: 0, ...fields };
}

const share = (hits: number, of: number): Measurement => ({ kind: 'share', hits, of });
const times = (...list: number[]): Measurement => ({ kind: 'times', times: histogramOf(list) });
const value = (last: number, samples = 1): Measurement => ({ kind: 'value', last, least: last, most: last, samples });
const absent: Measurement = { kind: 'none', why: 'Prometheus does not answer' };
const repeat = (time: number, count: number) => new Array<number>(count).fill(time);

/** One look at a rule. `seen` answers for every window. */
function verdictOf(
  about: PolicyRule,
  role: RuleRole,
  seen: Measurement | ((window: Window) => Measurement),
  { watched = 10 * minute, baseline }: { watched?: number; baseline?: Measurement } = {},
): Finding {
  const windows = windowsOf(about, role, start, start + watched);
  const measure = typeof seen === 'function' ? seen : () => seen;
  return judge(
    about,
    role,
    windows,
    windows.windows.map((window) => ({ window, seen: measure(window), ...(baseline ? { baseline } : {}) })),
  );
}

describe('gates on shares', () => {
  const gate = rule({ below: 0.01 });

  test.each([
    [0, 0, 'inconclusive'],
    [0, 298, 'inconclusive'],
    [0, 299, 'pass'],
    [1, 300, 'inconclusive'],
    [1, 500, 'pass'],
    [20, 300, 'fail'],
  ])('%i errors in %i requests: %s', (hits, of, verdict) => {
    expect(verdictOf(gate, 'gate', share(hits, of)).verdict).toBe(verdict);
  });

  test('says how many requests are missing, and how long they take at this rate', () => {
    // 150 requests in 3 minutes: 299 are 149 more.
    expect(verdictOf(gate, 'gate', share(0, 150), { watched: 3 * minute })).toEqual({
      id: 'X-1',
      verdict: 'inconclusive',
      observed: 'errors 0 % (0 of 150 requests)',
      expected: 'less than 1 %',
      samples: 150,
      needed: 149,
      hint: 'needs 149 more requests, about 2 min 59 s at this rate',
    });
    expect(verdictOf(gate, 'gate', share(0, 0)).hint).toBe('needs 299 more requests; none come at the moment');
  });

  test('a share that is just the limit is settled by no number of requests, and does not pass', () => {
    const finding = verdictOf(gate, 'gate', share(10, 1_000));
    expect(finding).toMatchObject({ verdict: 'inconclusive', hint: expect.stringMatching(/too close/) });
    expect(finding.needed).toBeUndefined();
  });
});

describe('percentiles and means', () => {
  test('a p99 needs 299 requests, a p95 59', () => {
    const p99 = rule({ metric: 'latency-p99', below: 0.2 });
    expect(verdictOf(p99, 'gate', times(...repeat(0.01, 298)))).toMatchObject({ verdict: 'inconclusive', needed: 1 });
    expect(verdictOf(p99, 'gate', times(...repeat(0.01, 299))).verdict).toBe('pass');
    const p95 = rule({ metric: 'latency-p95', below: 0.2 });
    expect(verdictOf(p95, 'gate', times(...repeat(0.01, 58)))).toMatchObject({ verdict: 'inconclusive', needed: 1 });
    expect(verdictOf(p95, 'gate', times(...repeat(0.01, 59))).verdict).toBe('pass');
    expect(verdictOf(p95, 'gate', times(...repeat(0.21, 59)))).toMatchObject({
      verdict: 'fail',
      observed: expect.stringMatching(/^latency p95 2\d\d ms \(59 of 59 requests slower than the limit\)$/),
      expected: 'less than 200 ms',
    });
  });

  test('a trigger on a percentile fires when the tail is proven to be slow', () => {
    const trigger = rule({ metric: 'latency-p95', above: 0.12 });
    const seen = (slow: number, all: number) => times(...repeat(0.3, slow), ...repeat(0.05, all - slow));
    expect(verdictOf(trigger, 'rollback', seen(0, 59)).verdict).toBe('pass');
    expect(verdictOf(trigger, 'rollback', seen(3, 60)).verdict).toBe('inconclusive');
    expect(verdictOf(trigger, 'rollback', seen(12, 100)).verdict).toBe('inconclusive');
    expect(verdictOf(trigger, 'rollback', seen(30, 200)).verdict).toBe('fail');
  });

  test('no verdict on a percentile rests on fewer requests than it takes to see one', () => {
    // Statistics would call two slow answers of two a proof; they are a program that warms up.
    const trigger = rule({ metric: 'latency-p99', above: 0.5 });
    expect(verdictOf(trigger, 'rollback', times(...repeat(0.9, 2)))).toMatchObject({
      verdict: 'inconclusive',
      needed: 297,
    });
    expect(verdictOf(trigger, 'rollback', times(...repeat(0.9, 298)))).toMatchObject({ needed: 1 });
    expect(verdictOf(trigger, 'rollback', times(...repeat(0.9, 299))).verdict).toBe('fail');
    const gate = rule({ metric: 'latency-p99', below: 0.2 });
    expect(verdictOf(gate, 'gate', times(...repeat(0.9, 298)))).toMatchObject({ verdict: 'inconclusive', needed: 1 });
  });

  test('a mean is proven by its spread, and needs 30 requests', () => {
    const gate = rule({ metric: 'latency-mean', below: 0.1 });
    expect(verdictOf(gate, 'gate', times(...repeat(0.01, 29)))).toMatchObject({ verdict: 'inconclusive', needed: 1 });
    expect(verdictOf(gate, 'gate', times(...repeat(0.01, 30))).verdict).toBe('pass');
    expect(verdictOf(gate, 'gate', times(...repeat(0.15, 30))).verdict).toBe('fail');
    const wide = times(...repeat(0.001, 90), ...repeat(0.9, 10));
    expect(verdictOf(gate, 'gate', wide)).toMatchObject({ verdict: 'inconclusive', needed: expect.any(Number) });
  });
});

describe('windows', () => {
  const trigger = rule({ above: 0.01, for: 5 * minute, over: minute });
  /** Errors by the minute since the start; undefined: no requests. */
  const byMinute =
    (...shares: (number | undefined)[]) =>
    ({ from }: Window): Measurement => {
      const rate = shares[Math.floor((from - start) / minute)];
      return rate === undefined ? share(0, 0) : share(Math.round(rate * 100), 100);
    };

  test('fires after five whole minutes in a row, not before', () => {
    const bad = byMinute(0.05, 0.05, 0.05, 0.05, 0.05, 0.05);
    for (const watched of [0, minute, 4 * minute, 5 * minute - 1_000])
      expect(verdictOf(trigger, 'rollback', bad, { watched }).verdict).toBe('inconclusive');
    expect(verdictOf(trigger, 'rollback', bad, { watched: 5 * minute })).toMatchObject({
      verdict: 'fail',
      observed: 'errors 5 % (5 of 100 requests, beyond in 5 of 5 windows)',
      expected: 'at most 1 % for 5 min',
    });
  });

  test('one good minute breaks the row', () => {
    for (let good = 0; good < 5; good += 1) {
      const shares = new Array<number>(5).fill(0.05);
      shares[good] = 0.01;
      expect(verdictOf(trigger, 'rollback', byMinute(...shares), { watched: 5 * minute }).verdict).toBe('pass');
    }
  });

  test('a minute without requests neither fires nor passes', () => {
    const gap = byMinute(0.05, 0.05, undefined, 0.05, 0.05);
    expect(verdictOf(trigger, 'rollback', gap, { watched: 5 * minute })).toMatchObject({
      verdict: 'inconclusive',
      needed: 1,
    });
  });

  test('minutes with too few requests for a percentile break the row together', () => {
    const slow = rule({ metric: 'latency-p95', above: 0.5, for: 5 * minute, over: minute });
    const each = (slowOnes: number, all: number) => times(...repeat(0.9, slowOnes), ...repeat(0.1, all - slowOnes));
    expect(verdictOf(slow, 'rollback', each(0, 20), { watched: 5 * minute }).verdict).toBe('pass');
    expect(verdictOf(slow, 'rollback', each(10, 20), { watched: 5 * minute }).verdict).toBe('inconclusive');
    expect(verdictOf(slow, 'rollback', each(0, 5), { watched: 5 * minute })).toMatchObject({ needed: 54 });
    expect(verdictOf(slow, 'rollback', each(10, 60), { watched: 5 * minute }).verdict).toBe('fail');
  });

  test('windows end now, follow without a gap and never reach back behind the beginning', () => {
    const next = random(11);
    for (let round = 0; round < 200; round += 1) {
      const watched = Math.floor(next() * 20) * 1_000 * 45;
      const { windows, missing } = windowsOf(trigger, 'rollback', start, start + watched);
      for (const [index, { from, to }] of windows.entries()) {
        expect(to - from).toBe(minute);
        expect(from).toBeGreaterThanOrEqual(start);
        expect(to).toBe(windows[index + 1]?.from ?? start + watched);
      }
      expect(missing).toBe(Math.max(0, 5 * minute - watched));
      expect(windows.length).toBe(Math.min(5, Math.floor(watched / minute)));
    }
  });

  test('a gate with a time is a proof over all of it', () => {
    const gate = rule({ below: 0.001, for: 30 * minute });
    expect(verdictOf(gate, 'gate', share(0, 5_000), { watched: 12 * minute })).toMatchObject({
      verdict: 'inconclusive',
      hint: 'watched for too short a time, 18 min to go',
    });
    expect(verdictOf(gate, 'gate', share(0, 2_994), { watched: 30 * minute })).toMatchObject({ needed: 1 });
    expect(verdictOf(gate, 'gate', share(0, 2_995), { watched: 30 * minute }).verdict).toBe('pass');
  });

  test('a value must hold for all of a window', () => {
    const down = rule({ metric: 'health', atMost: 0, for: 5 * minute });
    const seen = (most: number): Measurement => ({ kind: 'value', last: 0, least: 0, most, samples: 12 });
    expect(verdictOf(down, 'rollback', seen(0)).verdict).toBe('fail');
    expect(verdictOf(down, 'rollback', seen(1)).verdict).toBe('pass');
  });

  test('a release that was good for an hour does not hide that it has become bad', () => {
    const sudden = rule({ above: 0.01 });
    const watched = 60 * minute;
    const seen = ({ from }: Window) => (from > start ? share(100, 1_000) : share(100, 60_000));
    expect(verdictOf(sudden, 'rollback', seen, { watched }).verdict).toBe('fail');
  });
});

describe('triggers', () => {
  const trigger = rule({ above: 0.01 });

  test('10 % errors at 50 requests a second are found within a second', () => {
    expect(verdictOf(trigger, 'rollback', share(5, 50), { watched: 1_000 }).verdict).toBe('fail');
  });

  test('a single error among the first requests takes nothing back', () => {
    for (let of = 1; of <= 300; of += 1)
      expect(verdictOf(trigger, 'rollback', share(1, of), { watched: 10_000 }).verdict).not.toBe('fail');
  });

  test('a release at half of the limit is taken back in fewer than one in fifty rollouts, looked at every second', () => {
    const next = random(12);
    let taken = 0;
    for (let rollout = 0; rollout < 200; rollout += 1) {
      let hits = 0;
      for (let second = 1; second <= 120; second += 1) {
        for (let request = 0; request < 20; request += 1) if (next() < 0.005) hits += 1;
        if (verdictOf(trigger, 'rollback', share(hits, second * 20), { watched: second * 1_000 }).verdict === 'fail') {
          taken += 1;
          break;
        }
      }
    }
    expect(taken).toBeLessThan(4);
  });

  test('one line is enough where none is allowed', () => {
    const lines = rule({ metric: 'log-critical', above: 0 });
    expect(verdictOf(lines, 'rollback', { kind: 'events', count: 0 }).verdict).toBe('pass');
    expect(verdictOf(lines, 'rollback', { kind: 'events', count: 1, about: 'CRITICAL out of memory' })).toMatchObject({
      verdict: 'fail',
      observed: 'log critical 1 (CRITICAL out of memory)',
      expected: 'at most 0',
    });
  });
});

describe('comparison with the release before', () => {
  const accuracy = rule({ metric: 'accuracy', against: 'baseline', below: -0.1 });

  test.each([
    [0.9, 0.9, 'pass'],
    [0.82, 0.9, 'pass'],
    [0.8, 0.9, 'fail'],
    [0.8, 0, 'inconclusive'],
  ])('accuracy %f after %f: %s', (now, before, verdict) => {
    expect(verdictOf(accuracy, 'rollback', value(now), { baseline: value(before) }).verdict).toBe(verdict);
  });

  test('without a baseline there is no verdict', () => {
    expect(verdictOf(accuracy, 'rollback', value(0.9))).toMatchObject({ verdict: 'inconclusive' });
    expect(verdictOf(accuracy, 'rollback', value(0.9), { baseline: absent })).toMatchObject({
      verdict: 'inconclusive',
      observed: expect.stringContaining('Prometheus does not answer'),
    });
  });

  test('slower by less than half is for people to look at; equal, and slower by more, are not', () => {
    const slower = rule({ metric: 'latency-mean', against: 'baseline', between: [0, 0.5] });
    const next = random(13);
    const around = (mean: number) => times(...Array.from({ length: 500 }, () => mean * (0.9 + next() * 0.2)));
    const baseline = around(0.05);
    expect(verdictOf(slower, 'investigate', around(0.062), { baseline })).toMatchObject({
      verdict: 'fail',
      expected: 'not from 0 % to +50 % relative to the release before it',
    });
    expect(verdictOf(slower, 'investigate', around(0.04), { baseline }).verdict).toBe('pass');
    expect(verdictOf(slower, 'investigate', around(0.1), { baseline }).verdict).toBe('pass');
    expect(verdictOf(slower, 'investigate', times(0.06), { baseline })).toMatchObject({ needed: 29 });
  });

  test('shares and percentiles are compared with their uncertainty', () => {
    const more = rule({ against: 'baseline', above: 1 });
    expect(verdictOf(more, 'rollback', share(50, 1_000), { baseline: share(5, 1_000) }).verdict).toBe('fail');
    expect(verdictOf(more, 'rollback', share(2, 100), { baseline: share(0, 100) }).verdict).toBe('inconclusive');
    const p95 = rule({ metric: 'latency-p95', against: 'baseline', above: 0.5 });
    const fast = times(...repeat(0.05, 1_000));
    expect(verdictOf(p95, 'rollback', times(...repeat(0.2, 1_000)), { baseline: fast }).verdict).toBe('fail');
    expect(verdictOf(p95, 'rollback', fast, { baseline: fast }).verdict).toBe('pass');
    expect(verdictOf(p95, 'rollback', times(...repeat(0.2, 40)), { baseline: fast }).verdict).toBe('inconclusive');
  });
});

describe('properties', () => {
  const roles = ['gate', 'rollback', 'investigate'] as const;
  const rules = [
    rule({ below: 0.01 }),
    rule({ above: 0.01, for: 5 * minute, over: minute }),
    rule({ between: [0.01, 0.1] }),
    rule({ metric: 'latency-mean', atMost: 0.1 }),
    rule({ metric: 'latency-p99', above: 0.3 }),
    rule({ metric: 'latency-p95', below: 0.3, for: 10 * minute }),
    rule({ metric: 'accuracy', against: 'baseline', below: -0.1 }),
    rule({ metric: 'health', atLeast: 1 }),
    rule({ metric: 'log-errors', atMost: 0 }),
  ];
  const nothings: Measurement[] = [absent, share(0, 0), times(), value(0, 0), value(Number.NaN)];

  test('no data is never a pass, and never a failure', () => {
    for (const about of rules)
      for (const role of roles)
        for (const seen of nothings)
          for (const watched of [0, minute, 60 * minute])
            expect(verdictOf(about, role, seen, { watched, baseline: seen }).verdict).toBe('inconclusive');
  });

  test('one more error never makes a verdict better', () => {
    const rank = { fail: 0, inconclusive: 1, pass: 2 };
    const next = random(14);
    for (let round = 0; round < 300; round += 1) {
      const of = 1 + Math.floor(next() * 3_000);
      const hits = Math.floor(next() * Math.min(of, 100));
      for (const [about, role] of [
        [rule({ below: 0.02 }), 'gate'],
        [rule({ above: 0.02 }), 'rollback'],
      ] as const) {
        const before = verdictOf(about, role, share(hits, of)).verdict;
        const after = verdictOf(about, role, share(hits + 1, of)).verdict;
        expect(rank[after]).toBeLessThanOrEqual(rank[before]);
      }
    }
  });

  test('with the requests that are said to be missing, and none of them an error, a gate passes', () => {
    for (let of = 0; of < 299; of += 7) {
      const { needed = 0 } = verdictOf(rule({ below: 0.01 }), 'gate', share(0, of));
      expect(verdictOf(rule({ below: 0.01 }), 'gate', share(0, of + needed)).verdict).toBe('pass');
      expect(verdictOf(rule({ below: 0.01 }), 'gate', share(0, of + needed - 1)).verdict).toBe('inconclusive');
    }
  });
});

describe('assessment', () => {
  const side = (tag: string, colour: 'blue' | 'green') => ({ tag, colour });
  const question: AssessmentQuestion = {
    policy: {
      gates: [rule({ below: 0.01 })],
      rollback: [rule({ above: 0.1 })],
      investigate: [rule({ metric: 'latency-mean', against: 'baseline', between: [0, 0.5] })],
    },
    candidate: side('v2', 'green'),
    baseline: side('v1', 'blue'),
    minRequests: 500,
    rolloutSince: start - 10 * minute,
    since: start,
    now: start + 5 * minute,
    alone: false,
  };

  test('measures both releases in the same time, ends two seconds ago, and asks for the least number of requests', async () => {
    const asked: string[] = [];
    const measure: MetricReader = async (metric, { tag }, { from, to }) => {
      asked.push(`${tag} ${metric} ${from - start} ${to - start}`);
      return metric === 'errors' ? share(0, 400) : times(...repeat(tag === 'v1' ? 0.05 : 0.06, 400));
    };
    const seen = await assess(question, measure, new AbortController().signal);
    expect(seen.gates).toMatchObject([
      { id: 'min-requests', verdict: 'inconclusive', needed: 100, observed: '400 requests' },
      { verdict: 'pass' },
    ]);
    expect(seen.rollback).toMatchObject([{ verdict: 'pass' }]);
    expect(seen.investigate).toMatchObject([{ verdict: 'fail' }]);
    expect(asked).toContain('v1 latency-mean 0 298000');
    expect(asked).toContain('v2 latency-mean 0 298000');
  });

  // What flash asks for: the gate S2-35 over the stage, the trigger S2-20 in each of two minutes.
  const flash = {
    gates: [rule({ metric: 'latency-p99', below: 0.2 })],
    rollback: [rule({ metric: 'latency-p99', above: 0.5, for: 2 * minute, over: minute })],
    investigate: [],
  };
  const steady = (perMinute: number, time: (at: number) => number): MetricReader => {
    const answers = Array.from({ length: 5 * perMinute }, (_, index) => start + (index * minute) / perMinute);
    return async (_metric, _subject, { from, to }) =>
      times(...answers.filter((at) => at >= from && at < to).map((at) => time(at)));
  };

  test.each([
    ['slow in both minutes', 300, () => 0.7, 'fail', undefined],
    ['slow in the last minute alone', 300, (at: number) => (at >= start + 4 * minute ? 0.7 : 0.05), 'pass', undefined],
    ['slow, with too few requests to see a p99', 100, () => 0.7, 'inconclusive', 199],
    // 150 in two minutes are too few, the 375 of the stage are not.
    ['fast, with too few requests in two minutes', 75, () => 0.05, 'pass', undefined],
    ['fast, with too few requests in the whole stage', 40, () => 0.05, 'inconclusive', 259],
  ] as const)('a p99 that is %s (S2-20)', async (_, perMinute, time, verdict, needed) => {
    const now = start + 5 * minute + 2_000;
    const seen = await assess(
      { ...question, policy: flash, minRequests: 0, now },
      steady(perMinute, time),
      new AbortController().signal,
    );
    expect(seen.rollback[0]).toMatchObject({ verdict });
    expect(seen.rollback[0]?.needed).toBe(needed);
  });

  describe('the first hour under routing-ml (S1-54 to S1-57)', () => {
    const policy = (async () => {
      const text = await readFile(join(import.meta.dirname, '../../compose/policies/routing-ml.yaml'), 'utf8');
      const { value } = parsePolicy(text);
      if (!value) throw new Error('it is shipped');
      return value;
    })();
    const sound: Record<string, Measurement> = {
      errors: share(0, 4_000),
      refusals: share(80, 4_000),
      'latency-mean': times(...repeat(0.05, 4_000)),
      'log-errors': { kind: 'events', count: 0 },
      'database-failures': { kind: 'events', count: 0 },
      'data-corruption': { kind: 'events', count: 0 },
      health: value(1),
    };
    const failing = async (change: Record<string, Measurement>) => {
      const measure: MetricReader = async (metric) => ({ ...sound, ...change })[metric] ?? absent;
      const now = start + 60 * minute + 2_000;
      const { gates } = await assess(
        { ...question, policy: await policy, minRequests: 0, now },
        measure,
        new AbortController().signal,
      );
      return gates.filter(({ verdict }) => verdict !== 'pass').map(({ id, verdict }) => `${id} ${verdict}`);
    };

    test.each([
      ['nothing is wrong', {}, []],
      ['nobody can log in', { refusals: share(3_600, 4_000) }, ['S1-57-auth fail']],
      [
        'a connection to the database fails',
        { 'database-failures': { kind: 'events', count: 1 } },
        ['S1-57-database fail'],
      ],
      ['one of two replicas is down', { health: value(0.5) }, ['S1-57-predictions fail']],
      ['a line of the log says ERROR', { 'log-errors': { kind: 'events', count: 1 } }, ['S1-54 fail']],
      ['answers take 300 ms', { 'latency-mean': times(...repeat(0.3, 4_000)) }, ['S1-55 fail']],
      ['2 % fail', { errors: share(80, 4_000) }, ['S1-56 fail']],
      ['the logs cannot be read', { 'database-failures': absent }, ['S1-57-database inconclusive']],
    ] satisfies [string, Record<string, Measurement>, string[]][])('%s', async (_, change, expected) => {
      expect(await failing(change)).toEqual(expected);
    });
  });

  test('a release that has all of the traffic is compared with the time before the rollout', async () => {
    const asked: string[] = [];
    const measure: MetricReader = async (metric, { tag }, { from, to }) => {
      asked.push(`${tag} ${metric} ${from - start} ${to - start}`);
      return absent;
    };
    const seen = await assess({ ...question, alone: true }, measure, new AbortController().signal);
    expect(asked).toContain(`v1 latency-mean ${-10 * minute - 298_000} ${-10 * minute}`);
    for (const finding of [...seen.gates, ...seen.rollback, ...seen.investigate])
      expect(finding.verdict).toBe('inconclusive');
  });
});
