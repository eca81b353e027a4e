// biome-ignore-all lint/suspicious/noTemplateCurlyInString: this is what people write into appliance.yaml
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { assess } from '../../src/capabilities/checks/analysis/index.ts';
import { requestsToSend } from '../../src/capabilities/traffic/synthetic/fill.ts';
import {
  StageLoad,
  type StageLoadOptions,
  type SyntheticSample,
} from '../../src/capabilities/traffic/synthetic/load.ts';
import { prepareRequests } from '../../src/capabilities/traffic/synthetic/prepare.ts';
import { SyntheticSamples } from '../../src/capabilities/traffic/synthetic/samples.ts';
import { effective } from '../../src/config/effective.ts';
import { parseConfig } from '../../src/config/load.ts';
import { histogramOf, latencyEdges } from '../../src/lib/histogram.ts';
import type { Measurement, MetricReader } from '../../src/lib/measurement.ts';
import { FastClock } from '../support/fast-clock.ts';

// Declared requests against a real server; the time that the rate goes by is passed in.

describe('how many are sent', () => {
  const stage = { perSecond: 0, held: 60_000, left: 540_000 };

  test.each([
    ['nothing lacks', { ...stage, lacking: 0 }, 0],
    ['nobody sends anything: all of it', { ...stage, lacking: 299 }, 299],
    ['users send enough in the time that is left', { ...stage, lacking: 299, perSecond: 1 }, 0],
    ['users send a third of it', { ...stage, lacking: 270, perSecond: 1 / 6 }, 180],
    ['the least time is over: all of it, whatever users send', { ...stage, left: 0, lacking: 40, perSecond: 9 }, 40],
    ['it is not yet known what users send', { ...stage, held: 9_000, left: 591_000, lacking: 299 }, 0],
    ['a stage of two seconds knows sooner', { held: 500, left: 1_500, perSecond: 0, lacking: 299 }, 299],
  ])('%s', (_, shortage, wanted) => {
    expect(requestsToSend(shortage)).toBe(wanted);
  });
});

describe('a declared request', () => {
  const topology = {
    colour: 'green' as const,
    release: 'v2',
    addresses: { api: ['10.0.0.1', '10.0.0.2'] },
    routes: [{ path: '/api/', service: 'api', port: 8000, timeout: 60_000, maxBody: 1_000 }],
  };
  const about = { topology, routes: [], host: 'shop.example', environment: { TOKEN: 'planted' } };
  const request = { method: 'POST' as const, path: '/api/a?b=1', headers: {}, body: '{}', status: 202 };

  test('goes where the route of the release leads, and is marked', () => {
    const headers = { Authorization: 'Bearer ${TOKEN}' };
    expect(prepareRequests({ ...about, requests: [{ ...request, headers }] })).toEqual([
      {
        method: 'POST',
        path: '/api/a?b=1',
        port: 8000,
        addresses: ['10.0.0.1', '10.0.0.2'],
        expected: 202,
        body: '{}',
        headers: {
          'content-type': 'application/json',
          authorization: 'Bearer planted',
          host: 'shop.example',
          'x-forwarded-proto': 'http',
          'x-appliance-synthetic': '1',
        },
      },
    ]);
  });

  test.each([
    ['a path that the release has no route for', { path: '/other' }, /synthetic\.requests\[0\].*no route for \/other/],
    ['a key that the environment lacks', { headers: { A: '${NONE}' } }, /header A needs NONE/],
  ])('with %s is refused', (_, change, message) => {
    expect(() => prepareRequests({ ...about, requests: [{ ...request, ...change }] })).toThrow(message);
  });

  test('a value of the environment cannot break the header open', () => {
    const environment = { TOKEN: 'a\r\nX-Evil: 1' };
    const requests = [{ ...request, headers: { A: '${TOKEN}' } }];
    expect(() => prepareRequests({ ...about, environment, requests })).toThrow(/plain ASCII/);
  });

  test.each([
    ['path: api', /write a path/],
    ['path: /nowhere', /no route leads \/nowhere/],
    ['path: /api/, body: "{}"', /GET has no body/],
    ['path: /api/, headers: { Host: other }', /Host is set by appliance/],
    ['path: /api/, headers: { X-Appliance-Preview: green }', /set by appliance/],
    ['path: /api/, headers: { "A B": "1" }', /name of a header/],
    ['path: /api/, status: 99', />=100/],
  ])('%s in appliance.yaml is refused with its line', (text, message) => {
    const yaml = `name: shop
source: { repository: /srv/shop }
services: { api: { role: app } }
routes: [{ path: /api/, service: api, port: 80 }]
synthetic:
  requests:
    - { ${text} }
`;
    const { config, problems } = parseConfig(yaml);
    expect(config).toBeNull();
    expect(problems).toContainEqual(expect.objectContaining({ line: 7, message: expect.stringMatching(message) }));
  });
});

test('config show masks what proves who asks, and nothing else', () => {
  const { config } = parseConfig(`name: shop
source: { repository: /srv/shop }
services: { api: { role: app } }
routes: [{ path: /, service: api, port: 80 }]
synthetic:
  requests:
    - path: /
      headers: { Authorization: Bearer planted, X-Api-Key: "${'${API_KEY}'}", Accept: text/plain }
`);
  if (!config) throw new Error('the file is good');
  expect(effective(config)).toMatchObject({
    synthetic: {
      requests: [{ headers: { Authorization: '***', 'X-Api-Key': '${API_KEY}', Accept: 'text/plain' } }],
    },
  });
});

describe('the load of a stage', () => {
  let server: Server;
  let answer: (request: IncomingMessage, response: ServerResponse) => void;
  let port: number;
  let most: { now: number; ever: number; all: number };
  let clock: FastClock;
  let samples: SyntheticSample[];
  let loads: StageLoad[];

  beforeEach(async () => {
    clock = new FastClock();
    samples = [];
    loads = [];
    most = { now: 0, ever: 0, all: 0 };
    answer = (_, response) => response.setHeader('x-appliance-release', 'v2').end('ok');
    server = createServer((request, response) => {
      most.now += 1;
      most.all += 1;
      most.ever = Math.max(most.ever, most.now);
      response.on('close', () => {
        most.now -= 1;
      });
      answer(request, response);
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    ({ port } = server.address() as AddressInfo);
  });
  afterEach(async () => {
    await Promise.all(loads.map((load) => load.stop()));
    server.closeAllConnections();
    server.close();
  });

  function begin(change: Partial<StageLoadOptions> = {}, at = port): StageLoad {
    const load = new StageLoad({
      limits: { rate: 10, concurrency: 2, timeout: 15_000 },
      requests: [
        {
          method: 'GET',
          path: '/',
          port: at,
          addresses: ['127.0.0.1'],
          expected: 200,
          headers: { 'x-appliance-synthetic': '1' },
        },
      ],
      most: 1_000,
      tag: 'v2',
      clock,
      onSample: (sample) => samples.push(sample),
      ...change,
    });
    loads.push(load);
    return load;
  }
  async function until(what: () => boolean): Promise<void> {
    for (const late = Date.now() + 10_000; !what(); await delay(2))
      if (Date.now() > late) throw new Error(`not in time: ${samples.length} samples, ${most.all} requests`);
  }

  test('is as many as wanted, at no more than its rate, and then nothing', async () => {
    const began = clock.now();
    const load = begin();
    load.want(20);
    await until(() => samples.length === 20);
    expect(clock.now() - began).toBeGreaterThanOrEqual(1_900);
    await delay(50);
    expect(most.all).toBe(20);
    expect(load.wanted).toBe(0);
    expect(samples.every(({ good, why }) => good && why === null)).toBe(true);
  });

  test('is marked on every request', async () => {
    const marks: unknown[] = [];
    answer = ({ headers }, response) => {
      marks.push(headers['x-appliance-synthetic']);
      response.end();
    };
    begin().want(3);
    await until(() => samples.length === 3);
    expect(marks).toEqual(['1', '1', '1']);
  });

  test('never waits for more answers than it may, and never queues: looks set the number anew', async () => {
    const held: ServerResponse[] = [];
    answer = (_, response) => void held.push(response);
    const load = begin();
    for (let look = 0; look < 50; look += 1) load.want(30);
    await until(() => held.length === 2);
    await delay(50);
    expect(most.ever).toBe(2);
    // What is in flight is part of what is wanted.
    load.want(30);
    expect(load.wanted).toBe(30);
    answer = (_, response) => response.end();
    for (const response of held) response.end();
    await until(() => samples.length === 30);
    await delay(50);
    expect(most.all).toBe(30);
    expect(most.ever).toBe(2);
  });

  test('ends with what the policy allows for a stage', async () => {
    const load = begin({ most: 5 });
    load.want(100);
    await until(() => samples.length === 5);
    load.want(100);
    await delay(50);
    expect([most.all, load.sent, load.wanted]).toEqual([5, 5, 0]);
  });

  test('stops when nothing is wanted any more, and goes on when it is', async () => {
    const load = begin();
    load.want(1_000);
    await until(() => samples.length > 3);
    load.want(0);
    await until(() => most.now === 0);
    const sent = load.sent;
    await delay(50);
    expect(load.sent).toBe(sent);
    load.want(2);
    await until(() => samples.length === sent + 2);
  });

  test('ends with its stage: what is in flight is let go and says nothing about the release', async () => {
    answer = () => {};
    const load = begin();
    load.want(10);
    await until(() => most.now === 2);
    await load.stop();
    expect(samples).toEqual([]);
    await until(() => most.now === 0);
    load.want(10);
    await delay(50);
    expect(most.all).toBe(2);
  });

  test.each([
    [
      'the wrong status',
      (response: ServerResponse) => response.writeHead(503).end(),
      /^GET \/: status 503 instead of 200$/,
    ],
    [
      'another release',
      (response: ServerResponse) => response.setHeader('X-Appliance-Release', 'v1').end(),
      /answered by v1/,
    ],
    [
      'half an answer',
      (response: ServerResponse) => response.writeHead(200, { 'content-length': '9' }).destroy(),
      /GET \/: /,
    ],
  ])('%s is a failure', async (_, reply, why) => {
    answer = (_request, response) => void reply(response);
    begin().want(1);
    await until(() => samples.length === 1);
    expect(samples).toEqual([expect.objectContaining({ good: false, why: expect.stringMatching(why) })]);
  });

  test('a release that hangs yields failures at its time limit, not a hang', async () => {
    answer = () => {};
    begin({ limits: { rate: 10, concurrency: 2, timeout: 40 } }).want(4);
    await until(() => samples.length === 4);
    for (const { good, seconds, why } of samples) {
      expect(good).toBe(false);
      expect(seconds).toBeGreaterThanOrEqual(0.035);
      expect(why).toMatch(/no answer within 0.04 s/);
    }
  });

  test('a dead release yields failures without a time', async () => {
    // Nothing listens on the discard port.
    begin({}, 9).want(3);
    await until(() => samples.length === 3);
    for (const sample of samples) expect(sample).toMatchObject({ good: false, seconds: null, why: /ECONNREFUSED/ });
  });
});

describe('what they prove', () => {
  const candidate = { tag: 'v2', colour: 'green' as const };
  const clock = new FastClock();
  const since = clock.now();
  const rule = { id: 'X-1', for: 0 };
  const policy = {
    gates: [
      { ...rule, metric: 'errors' as const, below: 0.01 },
      { ...rule, id: 'X-2', metric: 'latency-p99' as const, below: 0.2 },
    ],
    rollback: [{ ...rule, metric: 'errors' as const, above: 0.1 }],
    investigate: [{ ...rule, metric: 'latency-mean' as const, against: 'baseline' as const, above: 0.1 }],
  };
  const users: MetricReader = async (metric): Promise<Measurement> =>
    metric === 'errors'
      ? { kind: 'share', hits: 0, of: 100 }
      : { kind: 'times', times: histogramOf(new Array<number>(100).fill(0.05)) };

  async function judged(good: number, failed: number, perSecond: number) {
    const samples = new SyntheticSamples(clock, () => latencyEdges());
    for (let index = 0; index < good + failed; index += 1)
      samples.record(candidate, { good: index < good, seconds: 0.05, why: index < good ? null : 'GET /: status 500' });
    return assess(
      {
        policy,
        candidate,
        baseline: { tag: 'v1', colour: 'blue' },
        minRequests: 250,
        rolloutSince: since,
        since,
        now: since + 102_000,
        alone: false,
        filled: { measure: samples.added(users), perSecond },
      },
      users,
      new AbortController().signal,
    );
  }

  test('users and declared requests together pass what users alone lack, and the verdict says so', async () => {
    const seen = await judged(199, 0, 0);
    expect(seen.gates).toMatchObject([
      { id: 'min-requests', verdict: 'pass', observed: '299 requests, 199 of all synthetic' },
      { id: 'X-1', verdict: 'pass', observed: 'errors 0 % (0 of 299 requests, 199 of all synthetic)' },
      { id: 'X-2', verdict: 'pass', samples: 299 },
    ]);
    expect(seen.lacking).toBe(0);
    // They are compared with nothing: the release before it answers users.
    expect(seen.investigate).toMatchObject([{ samples: 100 }]);
  });

  test('says how many are missing, and counts on those that come', async () => {
    const seen = await judged(50, 0, 5);
    expect(seen.lacking).toBe(149);
    // 100 of users in 100 s, and 5 of ours a second.
    expect(seen.gates[1]).toMatchObject({ needed: 149, hint: 'needs 149 more requests, about 25 s at this rate' });
    expect((await judged(50, 0, 0)).gates[1]?.hint).toBe('needs 149 more requests, about 2 min 29 s at this rate');
  });

  test('failures take the release back', async () => {
    const seen = await judged(0, 60, 0);
    expect(seen.rollback).toMatchObject([{ verdict: 'fail', observed: expect.stringContaining('60 of 160 requests') }]);
  });

  test('an access log that cannot be read is not made up for', async () => {
    const samples = new SyntheticSamples(clock, () => []);
    samples.record(candidate, { good: true, seconds: 0.05, why: null });
    const none: MetricReader = async () => ({ kind: 'none', why: 'the access log cannot be read' });
    const window = { from: since, to: since + 1_000 };
    expect(await samples.added(none)('errors', candidate, window, new AbortController().signal)).toMatchObject({
      kind: 'none',
    });
  });

  test('those of the other colour, and of another time, count for nothing', async () => {
    const samples = new SyntheticSamples(clock, () => latencyEdges());
    samples.record(candidate, { good: true, seconds: 0.05, why: null });
    const ask = async (colour: 'blue' | 'green', from: number) =>
      samples.added(users)('errors', { tag: 'v2', colour }, { from, to: from + 1_000 }, new AbortController().signal);
    expect(await ask('green', since)).toMatchObject({ of: 101, synthetic: 1 });
    expect(await ask('blue', since)).toMatchObject({ of: 100 });
    expect(await ask('green', since - 5_000)).toMatchObject({ of: 100 });
  });

  test('they are counted by release for Prometheus, in bounded memory', () => {
    const samples = new SyntheticSamples(clock, () => latencyEdges());
    for (let index = 0; index < 40; index += 1)
      samples.record({ ...candidate, tag: `v${index}` }, { good: index % 2 === 0, seconds: 0.1, why: null });
    expect(samples.totals().size).toBe(32);
    expect(samples.totals().get('v39')).toEqual({ good: 0, failed: 1 });
  });
});
