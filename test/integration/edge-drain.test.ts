import { connect, type Socket } from 'node:net';
import { afterAll, beforeAll, beforeEach, expect, test, vi } from 'vitest';
import { edgeFiles } from '../../src/capabilities/traffic/files.ts';
import { edgeControl } from '../../src/host/nginx.ts';
import { systemClock } from '../../src/lib/clock.ts';
import type { Colour } from '../../src/lib/colour.ts';
import { type DrainReport, describeDrain } from '../../src/lib/drain.ts';
import { type Backend, startBackend } from './edge-backend.ts';
import { ask } from './edge-clients.ts';
import { context, type EdgeLab, openLab, quietly } from './edge-lab.ts';

// What a colour is still answering when it is stopped (S0-41, S2-14).

let lab: EdgeLab;
let backends: Record<Colour, Backend>;

beforeAll(async () => {
  lab = await openLab({ name: 'drain', net: 74, http: 18174, https: 18175 });
});
afterAll(async () => {
  for (const colour of ['blue', 'green'] as const) await backends?.[colour].close();
  await lab?.close();
});

/** Both colours serve; blue has the traffic. */
beforeEach(async () => {
  for (const colour of ['blue', 'green'] as const) await backends?.[colour].close();
  backends = {
    blue: await startBackend('v1', lab.address('blue', 1)),
    green: await startBackend('v2', lab.address('green', 1)),
  };
  await lab.configure(
    lab.topologies({
      blue: { release: 'v1', addresses: [lab.address('blue', 1)] },
      green: { release: 'v2', addresses: [lab.address('green', 1)] },
    }),
  );
  await lab.shift('green', 'blue', 'v1');
});

/** Drains blue as its step does. @param limit milliseconds */
async function drainBlue(limit: number): Promise<DrainReport & { readonly left: number }> {
  let left = Number.NaN;
  const stop = async (rest: number) => {
    left = rest;
    await backends.blue.close();
  };
  const report = await lab.traffic.drain(
    { colour: 'blue', addresses: [lab.address('blue', 1)], limit, stop },
    context(),
  );
  return { ...report, left };
}

/** An upgraded connection through the edge that stays open. */
function openSocket(path: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(lab.options.http, '127.0.0.1', () =>
      socket.write(`GET ${path} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n`),
    );
    socket.once('error', reject);
    socket.once('data', (head) => {
      socket.on('error', () => socket.destroy());
      if (head.toString().startsWith('HTTP/1.1 101')) resolve(socket);
      else reject(new Error(head.toString()));
    });
  });
}

/** Waits until requests have come to blue, by method and path. */
async function inFlight(...requests: string[]): Promise<void> {
  await vi.waitFor(() => expect(backends.blue.seen).toEqual(expect.arrayContaining(requests)), {
    timeout: 20_000,
    interval: 20,
  });
}

/** What a client is answered that sends `12345`, waits, and sends `67890`. */
async function uploadSlowly(meanwhile: () => Promise<void>): Promise<string> {
  const socket = connect(lab.options.http, '127.0.0.1');
  let said = '';
  socket.on('data', (piece: Buffer) => {
    said += piece.toString();
  });
  const closed = new Promise((resolve) => socket.once('close', resolve));
  socket.write('POST /echo HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 10\r\n\r\n12345');
  const { control } = edgeFiles(lab.paths);
  await expect.poll(() => edgeControl(control).uploading('blue'), { timeout: 20_000 }).toBe(true);
  await meanwhile();
  socket.write('67890');
  await closed;
  return said;
}

test('a client that still sends is waited for: its request has its colour, and no connection there yet', async () => {
  const { control } = edgeFiles(lab.paths);
  let draining: ReturnType<typeof drainBlue> | undefined;
  const said = await uploadSlowly(async () => {
    await lab.shift('blue', 'green', 'v2');
    expect(await edgeControl(control).uploading('green')).toBe(false);
    let over = false;
    draining = drainBlue(60_000).finally(() => {
      over = true;
    });
    await systemClock.sleep(2_000);
    expect(over).toBe(false);
  });
  expect(said).toMatch(/^HTTP\/1\.1 200[\s\S]*X-Appliance-Release: v1/i);
  expect(await draining).toMatchObject({ open: 0, requests: [] });
  // Nothing stays counted but, for a moment, what the drain asked last.
  await expect.poll(() => edgeControl(control).uploading('blue'), { timeout: 20_000 }).toBe(false);
});

test('what is in flight finishes, new requests go to the other colour, and nobody is cut', async () => {
  const slow = ask(`${lab.url}/slow/2500?token=secret`);
  const stream = ask(`${lab.url}/stream`);
  const socket = await openSocket('/socket');
  await inFlight('GET /slow/2500?token=secret', 'GET /stream');
  await lab.shift('blue', 'green', 'v2');
  const draining = drainBlue(30_000);
  setTimeout(() => socket.end(), 2_000);
  expect((await ask(`${lab.url}/`)).body).toBe('v2');
  const report = await draining;
  expect(report).toMatchObject({ colour: 'blue', open: 0, requests: [], limitSeconds: 30 });
  expect(report.seconds).toBeGreaterThan(1.5);
  expect(report.left).toBeGreaterThan(15_000);
  expect((await slow).body).toBe('v1');
  expect((await stream).body).toContain('three');
  expect(describeDrain(report)).toMatch(/^nothing was in flight any more after/);
});

test('who outlives the limit is named: client, method, path without its query, and how long', async () => {
  const slow = ask(`${lab.url}/slow/60000?token=secret`, { method: 'POST', body: 'x', timeout: 90_000 }).catch(
    (error) => error,
  );
  const stream = ask(`${lab.url}/endless?token=secret`, { timeout: 90_000 }).catch((error) => error);
  const socket = await openSocket('/socket%1b%5b2J?token=secret');
  const inTime = ask(`${lab.url}/slow/1500`);
  await inFlight('POST /slow/60000?token=secret', 'GET /endless?token=secret', 'GET /slow/1500');
  await lab.shift('blue', 'green', 'v2');
  const report = await drainBlue(6_000);
  expect((await inTime).status).toBe(200);
  expect(report).toMatchObject({ open: 3, left: 0 });
  expect(report.seconds).toBeGreaterThan(5.9);
  expect(report.requests.map(({ method, path }) => `${method} ${path}`).sort()).toEqual([
    'GET /endless',
    'GET /socket',
    'POST /slow/60000',
  ]);
  for (const { client, seconds } of report.requests) {
    expect(client).toMatch(/^\d+\.\d+\.\d+\.\d+$/);
    expect(seconds).toBeGreaterThan(6);
    expect(seconds).toBeLessThan(30);
  }
  const said = describeDrain(report);
  expect(said).toMatch(/^3 connections were still open after \d+\.\d s and had to end: .*GET \/endless from/);
  expect(said).not.toContain('secret');
  await Promise.all([slow, stream]);
  socket.destroy();
});

test('a colour that still gets requests is told to end at once', async () => {
  const asked = ask(`${lab.url}/slow/60000`, { timeout: 90_000 }).catch((error) => error);
  await inFlight('GET /slow/60000');
  const report = await drainBlue(60_000);
  expect(report.left).toBe(60_000);
  expect(report.seconds).toBeLessThan(20);
  await asked;
});

test('a dead edge costs the report, not the time', async () => {
  await lab.shift('blue', 'green', 'v2');
  await quietly('stop', '--time', '1', lab.container);
  try {
    const report = await drainBlue(60_000);
    expect(report).toMatchObject({ open: null, requests: [] });
    expect(report.left).toBeGreaterThan(30_000);
    expect(describeDrain(report)).toBe('who was still connected could not be seen');
  } finally {
    await quietly('start', lab.container);
  }
});
