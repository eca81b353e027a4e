import { createHash, randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { Agent, createServer, type IncomingMessage, request, type Server, type ServerResponse } from 'node:http';
import { createServer as createSocketServer, type Server as SocketServer } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from 'vitest';
import type { TrafficParts } from '../../src/capabilities/traffic/deps.ts';
import { edgeFiles } from '../../src/capabilities/traffic/files.ts';
import { createTraffic } from '../../src/capabilities/traffic/index.ts';
import { RolloutStore, rolloutMigrations } from '../../src/capabilities/traffic/rollout-store.ts';
import { endShadow, ShadowSession } from '../../src/capabilities/traffic/shadow/session.ts';
import { emptyReport } from '../../src/capabilities/traffic/shadow/tally.ts';
import { edgeControl } from '../../src/host/nginx.ts';
import { run } from '../../src/host/process.ts';
import { openDatabase } from '../../src/host/sqlite.ts';
import { systemClock } from '../../src/lib/clock.ts';
import type { ShadowReport } from '../../src/lib/shadow.ts';
import { Journal, journalMigrations } from '../../src/operations/journal.ts';
import { ask, startCrowd } from './edge-clients.ts';
import { awaitEdge, context, docker, type EdgeLab, openLab, port } from './edge-lab.ts';

// Shadow traffic: copies of requests to the idle colour, whose answers are compared and never returned.

type Handler = (incoming: IncomingMessage, outgoing: ServerResponse, body: Buffer) => void | Promise<void>;

let lab: EdgeLab;
let parts: TrafficParts;
let live: App;
let idle: App | undefined;
let session: ShadowSession | undefined;
/** Lets the live application go on in its stream. */
let heard = Promise.withResolvers<void>();
const closers: (() => Promise<void>)[] = [];

interface App {
  readonly seen: { readonly what: string; readonly headers: IncomingMessage['headers']; readonly body: string }[];
  close(): Promise<void>;
}

const shadow = {
  methods: ['GET', 'HEAD', 'PUT'],
  concurrency: 4,
  timeout: '2s',
  compare: [{ path: '/json', tolerance: 0.01, ignore: ['took'] }],
};

beforeAll(async () => {
  lab = await openLab({ name: 'shadow', net: 76, http: 18176, https: 18177, config: { shadow } });
  const files = edgeFiles(lab.paths);
  const exec: TrafficParts['exec'] = (argv, about) => run('docker', ['exec', lab.container, ...argv], about);
  parts = {
    config: lab.config,
    paths: lab.paths,
    clock: systemClock,
    exec,
    files,
    control: edgeControl(files.control),
  };
  live = await startApp('blue', plain('v1'));
  await lab.configure(lab.topologies({ blue: at('blue', 'v1'), green: at('green', 'v2') }));
  await lab.shift('blue', 'blue', 'v1');
});
beforeEach(() => {
  live.seen.length = 0;
});
afterEach(async () => {
  await session?.end();
  session = undefined;
  for (const close of closers.splice(0)) await close();
  idle = undefined;
});
afterAll(async () => {
  await live?.close();
  await lab?.close();
});

const at = (colour: 'blue' | 'green', release: string) => ({ release, addresses: [lab.address(colour, 1)] });

/** `/json` differs by what is declared to be the same, `/json/price` and `/fails` by what is not. */
function plain(release: string): Handler {
  return async ({ url = '/', method }, outgoing, body) => {
    const path = url.split('?')[0];
    const json = (value: unknown) => outgoing.setHeader('content-type', 'application/json').end(JSON.stringify(value));
    const second = release === 'v2';
    if (path === '/json') json({ took: Math.random(), value: second ? 100.5 : 100 });
    else if (path === '/json/price') json({ items: [{ price: second ? 'secret-2' : 'secret-1' }] });
    else if (path === '/fails') outgoing.writeHead(second ? 500 : 200).end('x');
    else if (path === '/big') outgoing.end(Buffer.alloc(200_000, 'b'));
    else if (path === '/stream') {
      outgoing.write('one');
      if (!second) await heard.promise;
      outgoing.end('two');
    } else outgoing.end(method === 'PUT' ? createHash('sha256').update(body).digest('hex') : 'same');
  };
}

async function startApp(colour: 'blue' | 'green', handler: Handler): Promise<App> {
  const seen: App['seen'] = [];
  const server = createServer(async (incoming, outgoing) => {
    const chunks: Buffer[] = [];
    for await (const chunk of incoming) chunks.push(chunk);
    const body = Buffer.concat(chunks);
    seen.push({ what: `${incoming.method} ${incoming.url}`, headers: incoming.headers, body: body.toString('latin1') });
    outgoing.setHeader('x-appliance-release', colour === 'blue' ? 'v1' : 'v2');
    await handler(incoming, outgoing, body);
  });
  return { seen, close: await listening(server, colour) };
}

async function listening(server: Server | SocketServer, colour: 'blue' | 'green'): Promise<() => Promise<void>> {
  const sockets = new Set<{ destroy(): void }>();
  server.on('connection', (socket) => sockets.add(socket));
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, lab.address(colour, 1), resolve);
  });
  return () =>
    new Promise((resolve) => {
      server.close(() => resolve());
      for (const socket of sockets) socket.destroy();
    });
}

async function startIdle(handler: Handler = plain('v2')): Promise<App> {
  idle = await startApp('green', handler);
  closers.push(idle.close);
  return idle;
}

async function begin(share = 100): Promise<ShadowSession> {
  const topology = { colour: 'green' as const, release: 'v2', addresses: { backend: [lab.address('green', 1)] } };
  const { shadow: rules } = lab.config;
  if (!rules) throw new Error('the lab has no shadow');
  session = new ShadowSession(parts, { topology, share, rules }, emptyReport({ from: 'v1', to: 'v2', share }));
  await copied(share);
  return session;
}

/** When requests are copied: marker and lease are there. What the session asks of the edge is asked once more, and takes nothing. */
async function copied(share = 100): Promise<void> {
  await until(() => existsSync(parts.files.shadow));
  await parts.control.exchanges({ from: 'blue', share, seconds: 5, most: 0 });
}

async function until(done: () => boolean, within = 10_000): Promise<void> {
  for (const end = Date.now() + within; !done(); await delay(50))
    if (Date.now() > end) throw new Error(`not within ${within} ms: ${JSON.stringify(session?.report)}`);
}

const asked = (report: ShadowReport) => report.compared + report.unanswered;

test('copies are marked and compared; clients get the answers of the live colour alone', async () => {
  const { seen } = await startIdle();
  const copying = await begin();
  const headers = { 'x-appliance-shadow': '1', authorization: 'Bearer secret', cookie: 'session=secret' };
  for (const path of ['/same?q=secret', '/json', '/json/price', '/json/price', '/fails']) {
    const answer = await ask(`${lab.url}${path}`, { headers });
    expect(answer.status).toBe(200);
    expect(answer.headers['x-appliance-release']).toBe('v1');
    expect(Object.keys(answer.headers).filter((name) => name.includes('shadow'))).toEqual([]);
  }
  expect((await ask(`${lab.url}/head`, { method: 'HEAD' })).status).toBe(200);
  await until(() => asked(copying.report) === 6);
  expect(copying.report).toMatchObject({ compared: 6, equal: 3, differentStatus: 1, differentBody: 2, missed: 0 });
  expect(copying.report.examples).toEqual([
    { method: 'GET', path: '/json/price', difference: 'body at items.0.price', count: 2 },
    { method: 'GET', path: '/fails', difference: 'status 200 → 500', count: 1 },
  ]);
  expect(JSON.stringify(copying.report)).not.toContain('secret');
  expect(copying.report.meanSeconds?.live).toBeGreaterThanOrEqual(0);
  for (const request of seen)
    expect(request.headers).toMatchObject({
      'x-appliance-shadow': '1',
      host: expect.stringContaining('127.0.0.1'),
      'x-forwarded-proto': 'http',
      'x-real-ip': expect.stringMatching(/^\d+\.\d+\.\d+\.\d+$/),
    });
  const copied = seen.find(({ what }) => what === 'GET /same?q=secret');
  expect(copied?.headers).toMatchObject({ authorization: 'Bearer secret', cookie: 'session=secret' });
  expect(live.seen).toHaveLength(6);
  // What a client claims does not reach the application.
  for (const request of live.seen) expect(request.headers['x-appliance-shadow']).toBeUndefined();
  expect(new Set(seen.map((each) => each.headers['x-request-id']))).toEqual(
    new Set(live.seen.map((each) => each.headers['x-request-id'])),
  );
});

test('only declared methods are copied, bodies with them; what is too long for a copy is counted', async () => {
  const { seen } = await startIdle();
  const copying = await begin();
  await ask(`${lab.url}/p`, { method: 'POST', body: 'x' });
  await ask(`${lab.url}/p`, { method: 'DELETE' });
  const body = randomBytes(40_000);
  await ask(`${lab.url}/p`, { method: 'PUT', body });
  await ask(`${lab.url}/p`, { method: 'PUT', body: randomBytes(300_000) });
  await until(() => asked(copying.report) === 1 && copying.report.missed === 1);
  expect(seen.map(({ what }) => what)).toEqual(['PUT /p']);
  expect(seen[0]?.body).toBe(body.toString('latin1'));
  expect(copying.report).toMatchObject({ compared: 1, equal: 1 });
});

test('a long answer and a stream reach the client as they are, and in time', async () => {
  await startIdle();
  const copying = await begin();
  expect((await ask(`${lab.url}/big`)).body).toBe('b'.repeat(200_000));
  // The application ends its stream when its beginning is here: an edge that kept it would have both wait.
  heard = Promise.withResolvers();
  const stream = await new Promise<string>((resolve, reject) => {
    const chunks: string[] = [];
    const outgoing = request(`${lab.url}/stream`, { signal: AbortSignal.timeout(20_000) }, (incoming) => {
      incoming.on('data', (chunk: Buffer) => {
        chunks.push(chunk.toString('utf8'));
        heard.resolve();
      });
      incoming.on('end', () => resolve(chunks.join('|')));
      incoming.on('error', reject);
    });
    outgoing.on('error', reject);
    outgoing.end();
  });
  expect(stream).toBe('one|two');
  await until(() => asked(copying.report) === 2);
  expect(copying.report).toMatchObject({ compared: 2, equal: 2, statusOnly: 1 });
});

/** Colours that are of no use. Each stands on the idle address. */
const broken: [string, () => Promise<void>][] = [
  ['is dead', async () => undefined],
  [
    'accepts and never answers',
    async () => {
      closers.push(
        await listening(
          createSocketServer(() => undefined),
          'green',
        ),
      );
    },
  ],
  [
    'answers garbage',
    async () => {
      const garbage = createSocketServer((socket) => {
        socket.on('error', () => socket.destroy());
        socket.end(randomBytes(3_000));
      });
      closers.push(await listening(garbage, 'green'));
    },
  ],
  [
    'answers without an end',
    async () => {
      await startIdle((_, outgoing) => {
        const timer = setInterval(() => outgoing.write('x'.repeat(1_000)), 20);
        outgoing.on('close', () => clearInterval(timer));
      });
    },
  ],
];

test.each(broken)(
  'no request is lost or slowed when the idle colour %s',
  async (_name, breakIt) => {
    await breakIt();
    const times = async () => {
      const agent = new Agent({ keepAlive: true, maxSockets: 1 });
      const all: number[] = [];
      for (const end = performance.now() + 1_500; performance.now() < end; ) {
        const began = performance.now();
        expect((await ask(`${lab.url}/same`, { agent })).body).toBe('same');
        all.push(performance.now() - began);
      }
      agent.destroy();
      return all.sort((a, b) => a - b);
    };
    const copying = await begin();
    const crowd = startCrowd(`${lab.url}/same`, { kept: 8, fresh: 2 });
    const seen = await times();
    await delay(2_000);
    const { requests, failed, reasons, releases } = await crowd.stop();
    expect([...reasons]).toEqual([]);
    expect(failed).toBe(0);
    expect(requests).toBeGreaterThan(20);
    expect([...releases.keys()]).toEqual(['v1']);
    // A mirror of nginx would hold a kept connection for as long as the copy takes: two seconds here.
    expect(seen[Math.floor(seen.length * 0.95)]).toBeLessThan(1_500);
    await until(() => copying.report.unanswered > 0 && copying.report.missed > 0);
    expect(copying.report).toMatchObject({ equal: 0 });
  },
  60_000,
);

test('it ends with its session, at once, and without a session within its lease', async () => {
  const { seen } = await startIdle();
  const copying = await begin();
  await ask(`${lab.url}/same`);
  await until(() => asked(copying.report) === 1);
  await copying.end();
  session = undefined;
  expect(existsSync(parts.files.shadow)).toBe(false);
  for (let turn = 0; turn < 20; turn += 1) await ask(`${lab.url}/same`);
  await delay(500);
  expect(seen).toHaveLength(1);
  // As an agent leaves it that was killed: marker and lease stay, and nobody comes for what is kept.
  const wish = { from: 'blue' as const, share: 100, seconds: 4, most: 0 };
  await docker('exec', lab.container, 'touch', '/edge/state/shadow');
  await parts.control.exchanges(wish);
  await ask(`${lab.url}/kept`);
  await delay(4_200);
  await ask(`${lab.url}/later`);
  const { exchanges } = await parts.control.exchanges({ ...wish, most: 64 });
  expect(exchanges.map(({ target }) => target)).toEqual(['/kept']);
  await endShadow(parts);
  expect(existsSync(parts.files.shadow)).toBe(false);
});

test('a share is a share, previews of the idle colour are never copied, and an edge that restarts goes on copying', async () => {
  const { seen } = await startIdle();
  const copying = await begin(20);
  for (let turn = 0; turn < 300; turn += 1) await ask(`${lab.url}/same`);
  await until(() => asked(copying.report) + copying.report.missed > 25);
  await delay(500);
  const copies = asked(copying.report) + copying.report.missed;
  // 60 expected, standard deviation 6.9: five of them on either side.
  expect(copies).toBeGreaterThan(25);
  expect(copies).toBeLessThan(95);
  await copying.end();
  seen.length = 0;
  const all = await begin(100);
  await ask(`${lab.url}/same`, { headers: { 'x-appliance-preview': 'green' } });
  await delay(500);
  expect(asked(all.report)).toBe(0);
  expect(seen.map(({ headers }) => headers['x-appliance-shadow'])).toEqual([undefined]);
  await docker('restart', '--time', '1', lab.container);
  await awaitEdge(lab.traffic);
  const again = async () => {
    await ask(`${lab.url}/same`);
    expect(asked(all.report)).toBeGreaterThan(0);
  };
  await vi.waitFor(again, { timeout: 30_000, interval: 200 });
  expect(all.trouble).toBe('');
});

test('as a step: it goes on where it was cut short, and passes when its time is over', async () => {
  await startIdle();
  const database = openDatabase(':memory:', [journalMigrations, rolloutMigrations]);
  const journal = new Journal(database);
  const actor = { uid: 0, user: 'root', ssh: null };
  journal.begin({ id: 'test', kind: 'deploy', target: 'v2', origin: 'v1', input: {}, actor }, Date.now());
  const store = new RolloutStore(database);
  store.begin({ operation: 'test', policy: 'p', rules: '', candidate: 'v2', baseline: 'v1' }, Date.now());
  let kept: ShadowReport | undefined;
  const reports = {
    of: () => kept,
    keep: (_: string, report: ShadowReport) => {
      kept = report;
    },
  };
  const traffic = createTraffic(parts);
  const { shadowTraffic } = traffic.rolloutSteps(
    {
      store,
      assess: async () => ({ gates: [], rollback: [], investigate: [] }),
      healthy: async () => ({ id: 'healthy-green', verdict: 'pass', observed: '1 of 1' }),
    },
    reports,
  );
  const candidate = { release: 'v2-id', tag: 'v2', colour: 'green' as const };
  const baseline = { release: 'v1-id', tag: 'v1', colour: 'blue' as const };
  const topology = { colour: 'green' as const, release: 'v2', addresses: { backend: [lab.address('green', 1)] } };
  const about = { position: 0, candidate, baseline, topology, share: 100, duration: 5_000, every: 300 };
  const step = shadowTraffic.bind(about);
  // Time passes when there is nothing left to look at.
  let [time, passes] = [0, false];
  const monotonic = () => {
    if (passes) time += 500;
    return time;
  };
  const clock = { ...systemClock, monotonic };
  const killed = new AbortController();
  const first = step.apply({ ...context(), clock, signal: killed.signal });
  await copied();
  await ask(`${lab.url}/fails`);
  await until(() => (kept?.compared ?? 0) === 1);
  killed.abort(new Error('the agent was told to stop'));
  await expect(first).rejects.toThrow();
  expect(existsSync(parts.files.shadow)).toBe(false);
  const second = step.apply({ ...context(), clock });
  await copied();
  await ask(`${lab.url}/same`);
  await until(() => (kept?.compared ?? 0) === 2);
  passes = true;
  expect(await second).toContain('1 of 2 copies answered alike, 1 with another status');
  expect(kept).toMatchObject({ compared: 2, equal: 1, differentStatus: 1 });
  const [stage] = store.stages('test');
  expect(stage).toMatchObject({ kind: 'shadow', weight: 0, outcome: 'passed' });
  expect(stage?.findings.find(({ id }) => id === 'shadow')).toMatchObject({ role: 'investigate', verdict: 'fail' });
  expect(existsSync(parts.files.shadow)).toBe(false);
  expect((await lab.traffic.weights())?.blue).toBe(100);
  await step.undo?.(context());
  await traffic.meter.close();
  database.close();
});
