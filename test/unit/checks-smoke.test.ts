// biome-ignore-all lint/suspicious/noTemplateCurlyInString: this is what people write in sequences
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type RequestListener, type Server } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterEach, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { runChecks } from '../../src/capabilities/checks/run-checks.ts';
import { wrongsOf } from '../../src/capabilities/checks/smoke/assert.ts';
import { valuesAt } from '../../src/capabilities/checks/smoke/json-path.ts';
import { sequenceChecks } from '../../src/capabilities/checks/smoke/sequence.ts';
import { smokeStep } from '../../src/capabilities/checks/smoke/step.ts';
import { migrationCheck, tablesCheck } from '../../src/capabilities/checks/smoke/tables.ts';
import { bodyOf } from '../../src/capabilities/checks/smoke/variables.ts';
import { loadSequence } from '../../src/config/sequence-load.ts';
import { sequenceSchema } from '../../src/config/sequences.ts';
import { systemClock } from '../../src/lib/clock.ts';

const signal = new AbortController().signal;
const open: Server[] = [];
afterEach(() => {
  for (const server of open.splice(0)) {
    server.closeAllConnections();
    server.close();
  }
});

const listen = async (server: Server): Promise<number> => {
  open.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
};

/** Runs a sequence against a server. */
async function ask(answer: RequestListener, steps: unknown[], environment: Record<string, string> = {}) {
  const port = await listen(createServer(answer));
  const sequence = sequenceSchema.parse({ name: 'try', steps });
  const checks = sequenceChecks(sequence, {
    destination: () => ({ protocol: 'http', address: '127.0.0.1', port, host: 'localhost' }),
    environment,
    through: 'edge',
  });
  return runChecks(checks, { clock: systemClock, signal });
}
const json =
  (document: unknown): RequestListener =>
  (_, response) => {
    response.setHeader('content-type', 'application/json').end(JSON.stringify(document));
  };

describe('a sequence that is told to come back later', () => {
  const limited =
    (after: string, times: number, seen: number[] = []): RequestListener =>
    (_, response) => {
      seen.push(Date.now());
      if (seen.length <= times) response.writeHead(429, { 'retry-after': after }).end();
      else response.end('{}');
    };

  it('does so: a limit on clients says nothing about a release (S1-17)', async () => {
    const seen: number[] = [];
    const [health] = await ask(limited('1', 2, seen), [{ name: 'health', path: '/' }]);
    expect(health).toMatchObject({ verdict: 'pass', observed: expect.stringMatching(/^status 200 /) });
    expect(seen).toHaveLength(3);
  });

  it.each([
    ['in an hour', '3600'],
    ['at a date', 'Sat, 21 Nov 2026 02:00:00 GMT'],
    ['again and again', '0'],
  ])('but not %s', async (_, after) => {
    const [health] = await ask(limited(after, Number.POSITIVE_INFINITY), [{ name: 'health', path: '/' }]);
    expect(health).toMatchObject({ verdict: 'fail', observed: expect.stringContaining('status 429 instead of 200') });
  });

  it('and takes 429 as the answer where that is what it expects', async () => {
    const seen: number[] = [];
    const [health] = await ask(limited('1', 9, seen), [{ name: 'limit', path: '/', expect: { status: 429 } }]);
    expect([health?.verdict, seen.length]).toEqual(['pass', 1]);
  });
});

describe('a sequence (S0-28, S1-33 to S1-35)', () => {
  it('logs in, carries the token on, sends a batch, and looks at times and JSON', async () => {
    const bodies: unknown[] = [];
    const answer: RequestListener = (request, response) => {
      let text = '';
      request.on('data', (chunk) => {
        text += chunk;
      });
      request.on('end', () => {
        bodies.push(JSON.parse(text));
        if (request.url === '/login') response.end('{"access_token":"t0ken"}');
        else if (request.headers.authorization !== 'Bearer t0ken') response.writeHead(401).end();
        else response.end(JSON.stringify({ predictions: [{ confidence: 0.4 }, { confidence: 0.9 }] }));
      });
    };
    const results = await ask(
      answer,
      [
        {
          name: 'login',
          ids: ['S1-33'],
          method: 'POST',
          path: '/login',
          json: { user: '${DEMO_USER}' },
          capture: { token: 'access_token' },
        },
        {
          name: 'batch',
          method: 'POST',
          path: '/batch',
          headers: { authorization: 'Bearer ${token}' },
          fill: { key: 'codes', values: ['A', 'B'], count: 3 },
          expect: {
            within: '10s',
            json: [
              { at: 'predictions', length: 2 },
              { at: 'predictions.*.confidence', between: [0, 1] },
            ],
          },
        },
      ],
      { DEMO_USER: 'anna' },
    );
    expect(results.map(({ id, verdict }) => [id, verdict])).toEqual([
      ['smoke.try.login', 'pass'],
      ['smoke.try.batch', 'pass'],
    ]);
    expect(bodies).toEqual([{ user: 'anna' }, { codes: ['A', 'B', 'A'] }]);
    expect(results[0]?.requirement).toEqual(['S1-33']);
  });

  it('says which step did not give what a later one needs, and which key the environment lacks', async () => {
    const results = await ask(json({ other: 1 }), [
      { name: 'login', path: '/login', capture: { token: 'access_token' } },
      { name: 'use', path: '/use?t=${token}' },
      { name: 'demo', path: '/${DEMO_USER}' },
    ]);
    expect(results.map(({ verdict, observed }) => [verdict, observed])).toEqual([
      ['fail', 'access_token is missing, which token is read from'],
      ['inconclusive', 'it needs token, which the step login did not give'],
      ['inconclusive', 'it needs DEMO_USER, which the environment of the release does not have'],
    ]);
  });

  it.each<[string, RequestListener, RegExp]>([
    ['malformed JSON', (_, response) => response.end('{"a":'), /its body is no JSON/],
    ['something that is no HTTP', (request) => request.socket.end('hello\r\n\r\n'), /Parse Error|HPE_/],
    ['a broken connection', (request) => request.socket.destroy(), /socket hang up|ECONNRESET/],
    [
      'half an answer',
      (_, response) => {
        response.writeHead(200, { 'content-length': '100' }).write('half');
        setTimeout(() => response.destroy(), 20);
      },
      /aborted|middle of its answer|ECONNRESET/,
    ],
    [
      'an endless answer',
      (_, response) => {
        const more = (): void => {
          while (!response.destroyed && response.write(Buffer.alloc(65_536)));
          response.once('drain', more);
        };
        more();
      },
      /larger than 8\.0 MiB$/,
    ],
    ['silence', () => undefined, /no whole answer within 0.4 s/],
    [
      'drops of an answer',
      (_, response) => {
        const timer = setInterval(() => response.write('x'), 20);
        response.on('close', () => clearInterval(timer));
      },
      /no whole answer within 0.4 s/,
    ],
    [
      'a compression bomb',
      (_, response) => response.setHeader('content-encoding', 'gzip').end(gzipSync(Buffer.alloc(64 * 2 ** 20))),
      /larger than 8\.0 MiB once it is unpacked/,
    ],
    [
      'broken compression',
      (_, response) => response.setHeader('content-encoding', 'gzip').end('no gzip'),
      /incorrect header check/,
    ],
    [
      'a redirect loop',
      (_, response) => response.writeHead(302, { location: '/again' }).end(),
      /it redirects in a loop: 6 times, last to \/again/,
    ],
    [
      'a redirect to another host',
      (_, response) => response.writeHead(302, { location: 'https://elsewhere.example.org/' }).end(),
      /another host: elsewhere.example.org/,
    ],
  ])('%s is a clear fail', async (name, answer, why) => {
    const timeout = /silence|drops/.test(name) ? '400ms' : '20s';
    const [result] = await ask(answer, [
      { name: 'one', path: '/', timeout, expect: { json: [{ at: 'a', exists: true }] } },
    ]);
    expect(result).toMatchObject({ verdict: 'fail' });
    expect(result?.observed).toMatch(why);
  });

  it('follows a redirect of the same host', async () => {
    const [result] = await ask(
      (request, response) =>
        request.url === '/' ? response.writeHead(307, { location: 'there?x=1' }).end() : response.end(request.url),
      [{ name: 'one', path: '/', expect: { contains: '/there?x=1' } }],
    );
    expect(result?.verdict).toBe('pass');
  });

  it('refuses a certificate that nobody vouches for, and one for another name', async () => {
    const root = mkdtempSync(join(tmpdir(), 'smoke-tls-'));
    try {
      execFileSync(
        'openssl',
        [
          'req',
          '-x509',
          '-newkey',
          'ec',
          '-pkeyopt',
          'ec_paramgen_curve:prime256v1',
          '-nodes',
          '-days',
          '2',
          '-subj',
          '/CN=a.test',
          '-addext',
          'subjectAltName=DNS:a.test',
          '-keyout',
          join(root, 'key'),
          '-out',
          join(root, 'crt'),
        ],
        { stdio: 'pipe' },
      );
      const [key, cert] = ['key', 'crt'].map((name) => readFileSync(join(root, name), 'utf8'));
      const port = await listen(createTlsServer({ key, cert }, (_, response) => response.end('{}')));
      const over = async (host: string, ca: string | undefined) => {
        const sequence = sequenceSchema.parse({ name: 'try', steps: [{ name: 'one', path: '/', https: true }] });
        const [result] = await runChecks(
          sequenceChecks(sequence, {
            destination: () => ({ protocol: 'https', address: '127.0.0.1', port, host, ca }),
            environment: {},
            through: 'edge',
          }),
          { clock: systemClock, signal },
        );
        return result;
      };
      expect(await over('a.test', cert)).toMatchObject({ verdict: 'pass' });
      expect((await over('a.test', undefined))?.observed).toMatch(/DEPTH_ZERO_SELF_SIGNED_CERT|self-signed/);
      expect((await over('b.test', cert))?.observed).toMatch(/ERR_TLS_CERT_ALTNAME_INVALID/);
    } finally {
      rmSync(root, { recursive: true });
    }
  });
});

describe('what an answer must be', () => {
  const answer = (body: unknown, more = {}) => ({
    status: 200,
    headers: {},
    text: JSON.stringify(body),
    seconds: 0.1,
    ...more,
  });
  const expectation = (more: object) =>
    sequenceSchema.parse({ name: 'a', steps: [{ name: 'a', path: '/', expect: more }] }).steps[0]?.expect;
  it.each<[object, object, string[]]>([
    [{ status: [200, 202] }, answer({}), []],
    [{ status: 201 }, answer({}), ['status 200 instead of 201']],
    [{ within: '50ms' }, answer({}), ['it took 0.10 s instead of 0.05 s']],
    [{ contentType: 'text/html' }, answer({}), ['content-type is missing instead of text/html']],
    [{ headers: { 'X-A': '^1$' } }, answer({}, { headers: { 'x-a': '2' } }), ['header X-A is "2"']],
    [{ json: [{ at: 'a', equals: 1 }] }, answer({ a: 2 }), ['a is 2 instead of 1']],
    [{ json: [{ at: 'a', oneOf: ['x'] }] }, answer({ a: 'y' }), ['a is "y", none of "x"']],
    [{ json: [{ at: 'a.*', between: [0, 1] }] }, answer({ a: [0.5, 2] }), ['a.* is 2, not from 0 to 1']],
    [{ json: [{ at: 'a', atLeast: 0.8 }] }, answer({ a: 'high' }), ['a is "high" instead of 0.8 or more']],
    [{ json: [{ at: 'a', exists: true }] }, answer({ a: null }), ['a is empty']],
    [{ json: [{ at: 'a.b', exists: true }] }, answer({ a: 1 }), ['a.b is missing']],
  ])('%j', (wanted, seen, wrongs) => {
    const parsed = expectation(wanted);
    if (!parsed) throw new Error('no step');
    expect(wrongsOf(seen as Parameters<typeof wrongsOf>[0], parsed)).toEqual(wrongs);
  });
  it('finds values, and never those of a prototype', () => {
    expect(valuesAt({ a: [{ b: 1 }, { b: 2 }] }, 'a.*.b')).toEqual([1, 2]);
    expect([...valuesAt({}, 'constructor'), ...valuesAt([], 'length')]).toEqual([]);
  });
  it('fills bodies without a way out of their text', () => {
    const lookup = () => 'a", "admin": "yes';
    expect(JSON.parse(bodyOf({ json: { user: '${USER}' } }, lookup) ?? '')).toEqual({ user: 'a", "admin": "yes' });
  });
});

describe('the database (S0-10, S0-12, S1-25)', () => {
  const wants = { id: 'S0-12', names: ['ml_predictions', 'ml_drift_logs'] };
  it('has every table', async () => {
    expect(await tablesCheck(async () => ['ml_predictions', 'ml_drift_logs', 'x'], wants).look(signal)).toMatchObject({
      verdict: 'pass',
    });
    expect(await tablesCheck(async () => ['ml_predictions'], wants).look(signal)).toMatchObject({
      verdict: 'fail',
      observed: 'missing: ml_drift_logs',
    });
    expect(await tablesCheck(async () => null, wants).look(signal)).toMatchObject({ verdict: 'inconclusive' });
  });
  it.each([
    [2, { version: 2, readableFrom: 1 }, 'pass'],
    [2, { version: 3, readableFrom: 2 }, 'pass'],
    [2, { version: 3, readableFrom: 3 }, 'fail'],
    [2, { version: 1, readableFrom: 1 }, 'fail'],
    [2, null, 'fail'],
    [null, null, 'inconclusive'],
  ])('schema %s on %j: %s', async (wanted, today, verdict) => {
    expect(await migrationCheck(async () => ({ wanted, today })).look(signal)).toMatchObject({ verdict });
  });
});

describe('in a deploy', () => {
  const context = { operation: 'deploy-1', signal, clock: systemClock, progress: () => undefined };
  const args = { release: 'r', tag: 'v1', colour: 'blue' as const, through: 'colour' as const, sequences: ['a'] };
  const step = (verdict: 'pass' | 'fail' | 'inconclusive', kept: unknown[]) =>
    smokeStep({
      run: async () => [{ id: 'smoke.a.one', verdict, observed: 'seen' }],
      keep: (...all) => kept.push(all),
    }).bind(args);
  it.each([
    ['fail', 'verdict_fail'],
    ['inconclusive', 'verdict_inconclusive'],
  ] as const)('%s ends it, and what was seen is kept', async (verdict, code) => {
    const kept: unknown[] = [];
    await expect(step(verdict, kept).apply(context)).rejects.toMatchObject({ code });
    expect(kept).toEqual([['deploy-1', 'colour', [{ id: 'smoke.a.one', verdict, observed: 'seen' }]]]);
  });
  it('a pass goes on', async () => {
    expect(await step('pass', []).apply(context)).toBe('1 check passed');
  });
});

describe('the sequences that come along', () => {
  const directory = join(import.meta.dirname, '../../compose/checks');
  const files = readdirSync(directory);
  it('there is one for each of the five documents (S0-28, S1-33, S2-6, S3-16, S4-21)', () => {
    expect(files.sort()).toEqual(['flash.yaml', 'iswitch.yaml', 'ml-pipeline.yaml', 'mlops.yaml', 'routing-ml.yaml']);
  });
  it.each(files)('%s can be used, and every step names its demand', async (file) => {
    const name = file.replace('.yaml', '');
    const sequence = await loadSequence(name);
    expect(sequence?.name).toBe(name);
    expect(sequence?.steps.filter(({ ids }) => ids.length === 0)).toEqual([]);
    expect(parse(readFileSync(join(directory, file), 'utf8'))).toMatchObject({ name });
  });
  it('no name leads out of their directory', async () => {
    expect(await loadSequence('../policies/flash')).toBeUndefined();
    expect(await loadSequence('nothing')).toBeUndefined();
  });
});
