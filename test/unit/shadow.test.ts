import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { describe, expect, onTestFinished, test } from 'vitest';
import { wayOf } from '../../src/agent/rollout-policy.ts';
import { type Answer, compareAnswers, ruleFor } from '../../src/capabilities/traffic/shadow/compare.ts';
import { jsonDifference } from '../../src/capabilities/traffic/shadow/json-difference.ts';
import { emptyReport, shadowFindings, withPair, withSilence } from '../../src/capabilities/traffic/shadow/tally.ts';
import { configSchema } from '../../src/config/schema.ts';
import { pathsFor } from '../../src/lib/paths.ts';

const text = `name: careful
title: Copies first
canary: { stages: [{ weight: 10 }, { weight: 100 }] }
shadow: { share: 10, for: 10m }
`;

test('a policy that copies needs an appliance.yaml that says what may be copied; without stages it copies nothing', async () => {
  const root = await mkdtemp(join(tmpdir(), 'shadow-'));
  onTestFinished(() => rm(root, { recursive: true }));
  const paths = pathsFor(root);
  const policies = join(paths.config, '..', 'policies');
  await mkdir(policies, { recursive: true });
  await writeFile(join(policies, 'careful.yaml'), text);
  const config = (shadow?: object) =>
    configSchema.parse({
      name: 'shop',
      source: { repository: '/srv/shop' },
      services: { web: { role: 'app' } },
      routes: [{ path: '/', service: 'web', port: 80 }],
      shadow,
    });
  await expect(wayOf({ policy: 'careful' }, { config: config(), paths })).rejects.toMatchObject({
    code: 'usage',
    left: 'nothing was touched',
    hint: expect.stringContaining('shadow: {}'),
  });
  const { policy } = await wayOf({ policy: 'careful' }, { config: config({}), paths });
  expect(policy?.shadow).toEqual({ share: 10, for: 600_000, every: 5_000, ids: [] });
  const direct = await wayOf({ policy: 'careful', strategy: 'blue-green' }, { config: config(), paths });
  expect(direct.policy).toMatchObject({ stages: [] });
  expect(direct.policy?.shadow).toBeUndefined();
});

const answer = (body: string | Buffer | null, more: Partial<Answer> = {}): Answer => ({
  status: 200,
  type: 'application/json; charset=utf-8',
  encoding: '',
  body: typeof body === 'string' ? Buffer.from(body) : body,
  seconds: 0.01,
  ...more,
});
const exact = { tolerance: 0, ignore: [] };

describe('comparing JSON', () => {
  test.each([
    ['the same in another order', { a: 1, b: [1, 2] }, { b: [1, 2], a: 1 }, exact, undefined],
    ['another value', { a: { b: 'x' } }, { a: { b: 'y' } }, exact, 'a.b'],
    ['an element that is missing', { a: [1, 2] }, { a: [1] }, exact, 'a.1'],
    ['a key that is new', {}, { a: 1 }, exact, 'a'],
    ['an array in place of an object', { a: [] }, { a: {} }, exact, 'a'],
    ['null in place of an object', { a: null }, { a: {} }, exact, 'a'],
    ['a number in place of its text', { a: 1 }, { a: '1' }, exact, 'a'],
    ['another value as a whole', 1, 2, exact, 'the whole'],
    ['numbers within the tolerance', { p: 100 }, { p: 100.09 }, { tolerance: 0.001, ignore: [] }, undefined],
    ['numbers beyond it', { p: 100 }, { p: 100.2 }, { tolerance: 0.001, ignore: [] }, 'p'],
    ['small numbers, as a share of 1', { p: 0 }, { p: 0.0005 }, { tolerance: 0.001, ignore: [] }, undefined],
    ['a place that may differ', { took: 1, a: 1 }, { took: 2, a: 1 }, { tolerance: 0, ignore: ['took'] }, undefined],
    ['one that may be missing', { took: 1 }, {}, { tolerance: 0, ignore: ['took'] }, undefined],
    ['any index', { i: [{ id: 1 }] }, { i: [{ id: 2 }] }, { tolerance: 0, ignore: ['i.*.id'] }, undefined],
    ['another depth', { i: { id: 1 } }, { i: { id: 2 } }, { tolerance: 0, ignore: ['id'] }, 'i.id'],
  ])('%s', (_name, live, shadow, rule, expected) => {
    expect(jsonDifference(live, shadow, rule)).toBe(expected);
  });
});

describe('comparing answers', () => {
  test('the status comes first, then the bytes', () => {
    expect(compareAnswers(answer('a'), answer('b', { status: 500 }), exact)).toEqual({
      kind: 'status',
      difference: 'status 200 → 500',
    });
    expect(compareAnswers(answer('a'), answer('a'), undefined)).toEqual({ kind: 'equal', statusOnly: false });
    expect(compareAnswers(answer('{"a":1}'), answer('{ "a": 1 }'), undefined)).toMatchObject({ kind: 'body' });
    expect(compareAnswers(answer('{"a":1}'), answer('{ "a": 1 }'), exact)).toMatchObject({ kind: 'equal' });
  });

  test('the encoding of a body is no difference; a broken one is compared as it is', () => {
    const packed = answer(gzipSync('{"a":1}'), { encoding: 'gzip' });
    expect(compareAnswers(packed, answer('{"a":1}'), undefined)).toMatchObject({ kind: 'equal' });
    const broken = answer('no gzip', { encoding: 'gzip' });
    expect(compareAnswers(broken, broken, undefined)).toMatchObject({ kind: 'equal' });
    const bomb = answer(gzipSync(Buffer.alloc(8 * 1024 * 1024)), { encoding: 'gzip' });
    expect(compareAnswers(bomb, answer('x'), undefined)).toMatchObject({ kind: 'body' });
  });

  test('bodies that are too long are compared by their status, and never with one that is not', () => {
    expect(compareAnswers(answer(null), answer(null), exact)).toEqual({ kind: 'equal', statusOnly: true });
    expect(compareAnswers(answer(null), answer('short'), exact)).toMatchObject({ kind: 'body' });
  });

  test('what claims to be JSON and is none differs by its bytes; what differs is never quoted', () => {
    expect(compareAnswers(answer('{"a":'), answer('{"a":1'), exact)).toEqual({ kind: 'body', difference: 'body' });
    const { difference } = {
      difference: '',
      ...compareAnswers(answer('{"key":"s3cret"}'), answer('{"key":"x"}'), exact),
    };
    expect(difference).toBe('body at key');
  });

  test('the longest prefix says how', () => {
    const rules = [{ path: '/' }, { path: '/api/' }, { path: '/api/v2/' }];
    expect(ruleFor(rules, '/api/v1/x')).toBe(rules[1]);
    expect(ruleFor(rules.slice(1), '/other')).toBeUndefined();
  });
});

describe('the report', () => {
  const times = { live: { seconds: 0.01 }, shadow: { seconds: 0.03 } };
  const get = { method: 'GET', path: '/a' };

  test('counts, means, and the places that differ most often', () => {
    let report = emptyReport({ from: 'v1', to: 'v2', share: 10 });
    report = withPair(report, get, { kind: 'equal', statusOnly: false }, times);
    report = withPair(report, get, { kind: 'body', difference: 'body at x' }, times);
    for (let turn = 0; turn < 2; turn += 1)
      report = withPair(report, get, { kind: 'status', difference: 'status 200 → 500' }, times);
    report = withSilence(report, get, 'no answer within 10 s');
    expect(report).toMatchObject({ compared: 4, equal: 1, differentStatus: 2, differentBody: 1, unanswered: 1 });
    expect(report.slowerSeconds).toBeCloseTo(0.02, 9);
    expect(report.examples[0]).toEqual({ ...get, difference: 'status 200 → 500', count: 2 });
    const [answers, latency] = shadowFindings(report, '');
    expect(answers).toMatchObject({ verdict: 'fail', samples: 5 });
    expect(answers?.observed).toBe(
      '1 of 5 copies answered alike, 2 with another status, 1 with another body, 1 not at all; most often GET /a: status 200 → 500 (2)',
    );
    expect(latency?.observed).toBe('30 ms against 10 ms on average');
  });

  test('without copies it is inconclusive, and says why', () => {
    const none = emptyReport({ from: 'v1', to: 'v2', share: 10 });
    expect(shadowFindings(none, '')).toEqual([
      expect.objectContaining({ verdict: 'inconclusive', observed: 'no request was copied yet', samples: 0 }),
    ]);
    expect(shadowFindings(none, 'the edge does not answer')[0]?.observed).toBe('the edge does not answer');
  });

  test('what a client put into a path does nothing to a terminal', () => {
    const report = withSilence(
      emptyReport({ from: 'v1', to: 'v2', share: 10 }),
      { method: 'GET', path: `/a\u001b[2Jb\n${'c'.repeat(500)}` },
      'no answer: \u001b]0;title\u0007ECONNRESET',
    );
    const [example] = report.examples;
    expect(example?.path).toMatch(/^\/ab c{190,}…$/);
    expect(example?.difference).toBe('no answer: ECONNRESET');
  });

  test('remembers twenty places, however many there are', () => {
    let report = emptyReport({ from: 'v1', to: 'v2', share: 10 });
    for (let turn = 0; turn < 50; turn += 1)
      report = withPair(report, { method: 'GET', path: `/${turn}` }, { kind: 'body', difference: 'body' }, times);
    expect(report.examples).toHaveLength(20);
    expect(report.differentBody).toBe(50);
  });
});
