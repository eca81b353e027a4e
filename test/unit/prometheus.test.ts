import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { assess } from '../../src/capabilities/checks/analysis/index.ts';
import { prometheusReader } from '../../src/capabilities/checks/measure/index.ts';
import type { PolicyRule } from '../../src/config/policy.ts';
import { Prometheus } from '../../src/host/prometheus.ts';
import type { MetricReader } from '../../src/lib/measurement.ts';

const { signal } = new AbortController();
const window = { from: Date.UTC(2026, 0, 5, 12), to: Date.UTC(2026, 0, 5, 12, 5) };
const candidate = { tag: 'v2', colour: 'green' } as const;
let server: Server | undefined;

afterEach(async () => {
  server?.closeAllConnections();
  await new Promise((resolve) => (server ? server.close(resolve) : resolve(undefined)));
  server = undefined;
});

/** A real server in the place of Prometheus. */
async function serve(listener: RequestListener): Promise<string> {
  const made = createServer(listener);
  server = made;
  await new Promise<void>((resolve) => {
    made.listen(0, '127.0.0.1', resolve);
  });
  return `http://127.0.0.1:${portOf(made)}`;
}

function portOf(made: { address(): AddressInfo | string | null }): number {
  const address = made.address();
  if (address === null || typeof address === 'string') throw new Error('not listening');
  return address.port;
}

/** Nothing listens on the discard port. */
const deadAddress = 'http://127.0.0.1:9';

const vector = (...values: string[]) => ({
  status: 'success',
  data: {
    resultType: 'vector',
    result: values.map((value, index) => ({ metric: { n: `${index}` }, value: [1, value] })),
  },
});
const answering =
  (body: unknown, status = 200): RequestListener =>
  (_, response) =>
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));

const read = (base: string, timeout = 10_000): MetricReader =>
  prometheusReader(new Prometheus(base, timeout), { accuracy: 'min(model_accuracy{$scope})' });

/** The verdicts of a gate, a trigger and a comparison on what such a Prometheus says. */
async function verdicts(reader: MetricReader) {
  const rule = (fields: Partial<PolicyRule>): PolicyRule => ({ id: 'X-1', metric: 'accuracy', for: 0, ...fields });
  const { gates, rollback, investigate } = await assess(
    {
      policy: {
        gates: [rule({ atLeast: 0.87 })],
        rollback: [rule({ against: 'baseline', below: -0.1 })],
        investigate: [rule({ below: 0.9, for: 120_000 })],
      },
      candidate,
      baseline: { tag: 'v1', colour: 'blue' },
      minRequests: 0,
      rolloutSince: window.from,
      since: window.from,
      now: window.to,
      alone: false,
    },
    reader,
    signal,
  );
  return [...gates, ...rollback, ...investigate];
}

describe('a Prometheus in trouble', () => {
  const cases: [string, () => Promise<MetricReader>, RegExp][] = [
    ['down', async () => read(deadAddress), /ECONNREFUSED/],
    ['slow', async () => read(await serve(() => undefined), 200), /no answer within 0.2 s/],
    [
      'slow after its first byte',
      async () => read(await serve((_, response) => response.write('{')), 200),
      /no answer within/,
    ],
    ['cut off', async () => read(await serve((request) => request.socket.destroy())), /Prometheus at/],
    ['empty', async () => read(await serve(answering(vector()))), /no series for it yet/],
    ['without a number', async () => read(await serve(answering(vector('NaN')))), /no number for it yet/],
    ['ambiguous', async () => read(await serve(answering(vector('1', '0.5')))), /2 series/],
    [
      'refusing',
      async () => read(await serve(answering({ status: 'error', error: 'parse error' }, 400))),
      /parse error/,
    ],
    ['another program', async () => read(await serve((_, response) => response.end('<html>'))), /not understood/],
    ['of another version', async () => read(await serve(answering({ status: 'success', data: 7 }))), /not understood/],
    [
      'endless',
      async () => read(await serve((_, response) => void response.end(Buffer.alloc(9 * 1024 * 1024, 'x')))),
      /(?:larger|longer) than/,
    ],
    ['not configured', async () => prometheusReader(undefined, { accuracy: 'x' }), /no section monitoring/],
    ['without an expression', async () => prometheusReader(new Prometheus(deadAddress), {}), /does not say how/],
  ];

  test.each(cases)('%s: inconclusive with the reason, never a pass and never a failure', async (_, reader, why) => {
    for (const { verdict, observed } of await verdicts(await reader())) {
      expect(verdict).toBe('inconclusive');
      expect(observed).toMatch(why);
    }
  });
});

test('a Prometheus that answers is believed, and asked for the release', async () => {
  const asked: string[] = [];
  const base = await serve((request, response) => {
    const query = new URL(request.url ?? '/', 'http://x').searchParams.get('query') ?? '';
    asked.push(query);
    const value = query.startsWith('count_over_time') ? '12' : query.includes('"v1"') ? '0.95' : '0.8';
    answering(vector(value))(request, response);
  });
  expect((await verdicts(read(base))).map(({ verdict }) => verdict)).toEqual(['fail', 'fail', 'fail']);
  expect(asked).toContain('min(model_accuracy{release="v2"})');
  expect(asked).toContain('min(model_accuracy{release="v1"})');
});

test('an interrupted question is an interruption, not a missing value', async () => {
  const base = await serve(() => undefined);
  const controller = new AbortController();
  const waiting = read(base, 60_000)('accuracy', candidate, window, controller.signal);
  setTimeout(() => controller.abort(new Error('enough')), 50);
  await expect(waiting).rejects.toThrow('enough');
});
