import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, it } from 'vitest';
import { loadChecks, slicesOf } from '../../src/capabilities/checks/load/index.ts';
import { judgeLoad, limitsOf, quantile } from '../../src/capabilities/checks/load/judge.ts';
import { lighthouseCheck } from '../../src/capabilities/checks/load/lighthouse.ts';
import { commandCheck } from '../../src/capabilities/checks/own-commands.ts';
import { policyDemandsSchema } from '../../src/config/policy-demands.ts';
import { loadPolicy } from '../../src/config/policy-load.ts';
import { type LoadSeen, sendLoad } from '../../src/host/load.ts';

const signal = new AbortController().signal;
const demand = (more: object) => {
  const [one] = policyDemandsSchema.parse({ load: [{ id: 'S0-22', requests: 1_000, ...more }] }).load;
  if (!one) throw new Error('no demand');
  return one;
};
const seen = (more: Partial<LoadSeen> = {}): LoadSeen => ({
  latencies: Array.from({ length: 1_000 }, (_, index) => index / 10_000),
  failed: 0,
  lost: 0,
  limited: 0,
  refused: 0,
  seconds: 5,
  ...more,
});
const strict = { perSecondAbove: 100, meanBelow: '100ms', p95Below: '200ms', errorsBelow: 0.001 };

describe('a load by the limits of a policy (S0-22, S1-51, S2-2, S2-16)', () => {
  it.each<[string, LoadSeen, object, string]>([
    ['all limits kept', seen(), strict, 'pass'],
    ['too slow on average', seen(), { meanBelow: '40ms' }, 'fail'],
    ['too slow at the end', seen(), { p95Below: '90ms' }, 'fail'],
    ['too few a second', seen({ seconds: 20 }), strict, 'fail'],
    ['one lost of a thousand', seen({ lost: 1 }), { errorsAtMost: 0 }, 'fail'],
    ['one error is not below 0.1 %', seen({ failed: 1 }), strict, 'fail'],
    ['all refused', seen({ refused: 1_000 }), strict, 'fail'],
    ['a rate limit in the way', seen({ limited: 10 }), strict, 'inconclusive'],
    ['nothing at all', seen({ latencies: [] }), strict, 'inconclusive'],
    ['nobody answers', seen({ latencies: [], lost: 5 }), strict, 'fail'],
    ['too few for a p99', seen({ latencies: [0.01, 0.02] }), { p99Below: '200ms' }, 'inconclusive'],
  ])('%s', (_, load, limits, verdict) => {
    expect(judgeLoad(load, demand(limits)).verdict).toBe(verdict);
  });
  it('says how many samples it has and needs', () => {
    expect(judgeLoad(seen({ latencies: [0.01, 0.02] }), demand({ p99Below: '200ms' }))).toMatchObject({
      samples: 2,
      needed: 297,
    });
    expect(limitsOf(demand(strict))).toBe(
      'more than 100 a second, mean below 100 ms, p95 below 200 ms, failures below 0.1 %',
    );
  });
  it('takes the nearest rank', () => {
    expect([quantile([1, 2, 3, 4], 0.5), quantile([1, 2, 3, 4], 0.95), quantile([7], 0.99)]).toEqual([2, 4, 7]);
  });
});

describe('what the shipped policies ask of a load', () => {
  const sustained = (count: number, seconds: number) =>
    seen({ latencies: Array.from({ length: count }, () => 0.15), seconds });
  it.each<[string, string, LoadSeen, string]>([
    ['iswitch', 'S0-21', sustained(6_000, 50), 'pass'],
    ['iswitch', 'S0-21', sustained(6_000, 70), 'fail'],
    ['routing-ml', 'S1-51', sustained(1_000, 10), 'pass'],
    // S1-89 asks for the same mean as a success criterion.
    ['routing-ml', 'S1-51', seen({ latencies: Array.from({ length: 1_000 }, () => 0.21) }), 'fail'],
  ])('%s %s', async (policy, id, load, verdict) => {
    const wanted = (await loadPolicy(policy, '/nowhere/appliance.yaml')).policy.checks.load.find(
      (one) => one.id === id,
    );
    expect(wanted && judgeLoad(load, wanted).verdict).toBe(verdict);
  });
});

describe('a ramp (S0-53)', () => {
  const stages =
    policyDemandsSchema.parse({
      load: [
        {
          id: 'S0-53',
          stages: [
            { for: '20s', users: 40 },
            { for: '10s', users: 0 },
          ],
        },
      ],
    }).load[0]?.stages ?? [];
  it('rises and falls evenly', () => {
    expect(slicesOf(stages)).toEqual(
      [5, 15, 25, 35].map((users) => ({ users, seconds: 5 })).concat([30, 10].map((users) => ({ users, seconds: 5 }))),
    );
  });
  it('is not run beside other checklists', async () => {
    const never = () => Promise.reject(new Error('sent'));
    const [check] = loadChecks(
      [{ ...demand({}), requests: undefined, stages }],
      { target: { url: 'http://a', headers: {} }, send: never, progress: () => undefined },
      false,
    );
    expect(await check?.look(signal)).toMatchObject({ verdict: 'inconclusive' });
  });
});

describe('against a real server', () => {
  it('counts answers, refusals by a limit and failures', async () => {
    let count = 0;
    const server = createServer((_, response) => {
      count += 1;
      response.writeHead(count % 10 === 0 ? 429 : count % 25 === 0 ? 503 : 200).end('ok');
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
    try {
      const load = await sendLoad({ url, headers: {}, requests: 100, connections: 5 }, () => undefined, signal);
      expect({ ...load, latencies: load.latencies.length, seconds: 0 }).toEqual({
        latencies: 100,
        failed: 2,
        lost: 0,
        limited: 10,
        refused: 0,
        seconds: 0,
      });
      expect(Math.min(...load.latencies)).toBeGreaterThan(0);
    } finally {
      server.closeAllConnections();
      server.close();
    }
  });
  it('a server that is gone is a fail, not silence', async () => {
    const load = await sendLoad(
      { url: 'http://127.0.0.1:9/', headers: {}, requests: 5, connections: 1 },
      () => undefined,
      signal,
    );
    expect(judgeLoad(load, demand(strict))).toMatchObject({ verdict: 'fail' });
  });
});

describe('what a host may lack or bring', () => {
  it('Lighthouse is inconclusive where it is not installed (S1-52)', async () => {
    const path = process.env.PATH;
    process.env.PATH = '/nonexistent';
    try {
      const check = lighthouseCheck('https://127.0.0.1:1/', {
        id: 'S1-52',
        performance: 80,
        accessibility: 90,
        bestPractices: 90,
      });
      expect(await check.look(signal)).toMatchObject({
        verdict: 'inconclusive',
        observed: 'no Lighthouse is installed',
      });
    } finally {
      process.env.PATH = path;
    }
  });
  it.each<[string, string[], number, string, RegExp]>([
    ['passes', ['node', '-e', 'console.log("56 passed")'], 20_000, 'pass', /^56 passed$/],
    [
      'fails with its last line',
      ['node', '-e', 'console.error("2 failed");process.exit(1)'],
      20_000,
      'fail',
      /^exit status 1: 2 failed$/,
    ],
  ])('an own command %s (S0-23, S1-1, S3-1)', async (_, run, timeout, verdict, observed) => {
    const seenThere = await commandCheck({ name: 'tests', group: 'preflight', ids: ['S1-1'], run, timeout }, '/').look(
      signal,
    );
    expect(seenThere.verdict).toBe(verdict);
    expect(seenThere.observed).toMatch(observed);
  });
  it('an own command that hangs, or is not there, is no verdict', async () => {
    const command = (run: string[]) =>
      commandCheck({ name: 'tests', group: 'preflight', ids: [], run, timeout: 300 }, '/').look(signal);
    await expect(command(['sleep', '60'])).rejects.toMatchObject({ code: 'timeout' });
    await expect(command(['/nonexistent/tests'])).rejects.toThrow();
  });
});
