import { appendFile, copyFile, mkdtemp, readdir, readlink, rename, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { accessLogFormat } from '../../src/capabilities/traffic/log-format.ts';
import { Meter } from '../../src/capabilities/traffic/meter.ts';
import { quantileOf, slowerThan } from '../../src/lib/histogram.ts';
import type { Measurement } from '../../src/lib/measurement.ts';
import { random } from '../support/random.ts';

/** 12:00:00 on a Monday. */
const noon = Date.UTC(2026, 0, 5, 12);
const hour = 3_600_000;

let directory: string;
let log: string;
let time: { now: number; monotonic: number };
let meter: Meter;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'meter-'));
  log = join(directory, 'access.log');
  time = { now: noon, monotonic: 0 };
  meter = begin();
});
afterEach(async () => {
  await meter.close();
  await rm(directory, { recursive: true, force: true });
});

function begin(limits: readonly number[] = []): Meter {
  return new Meter({
    path: log,
    limits: async () => limits,
    clock: { now: () => time.now, monotonic: () => time.monotonic },
  });
}

function pass(ms: number): void {
  time.now += ms;
  time.monotonic += ms;
}

interface Request {
  readonly at?: number;
  readonly status?: number;
  readonly seconds?: number;
  readonly colour?: string;
  readonly release?: string;
  readonly uri?: string;
}

/** A line as the edge writes it, made from the edge's own format. */
function line(request: Request = {}): string {
  const at = new Date(request.at ?? time.now).toISOString().replace(/\.\d+Z$/, '+00:00');
  const values: Record<string, string> = {
    time_iso8601: at,
    status: String(request.status ?? 200),
    bytes_sent: '512',
    request_time: (request.seconds ?? 0.012).toFixed(3),
    appliance_colour: request.colour ?? 'green',
    appliance_release: request.release ?? 'v2',
    uri: request.uri ?? '/api/predict',
  };
  const format = accessLogFormat.slice(accessLogFormat.indexOf("'") + 1, accessLogFormat.lastIndexOf("'"));
  return `${format.replaceAll(/\$(\w+)/g, (_, name: string) => values[name] ?? 'x')}\n`;
}

const write = (...requests: Request[]) => appendFile(log, requests.map(line).join(''));
const everything = { from: noon - 48 * hour, to: noon + 48 * hour };

async function errors(colour: 'blue' | 'green' = 'green', window = everything): Promise<Measurement> {
  time.monotonic += 1_000;
  return meter.read('errors', { tag: 'v2', colour }, window, new AbortController().signal);
}

/** Files of the test's directory that this process holds open. */
async function openFiles(): Promise<string[]> {
  const links = await readdir('/proc/self/fd');
  const targets = await Promise.all(links.map((fd) => readlink(`/proc/self/fd/${fd}`).catch(() => '')));
  return targets.filter((target) => target.startsWith(directory));
}

describe('what is counted', () => {
  test('requests, errors and refusals of each colour', async () => {
    await write(
      {},
      { status: 500 },
      { status: 502, release: 'none' },
      { status: 401 },
      { status: 403 },
      { status: 404 },
    );
    await write({ colour: 'blue', release: 'v1' }, { colour: '', release: 'none', status: 503 });
    expect(await errors()).toEqual({ kind: 'share', hits: 2, of: 6 });
    expect(await errors('blue')).toEqual({ kind: 'share', hits: 0, of: 1 });
    const measure = (metric: string) => meter.measure(metric, { colour: 'green' }, everything);
    expect(measure('refusals')).toEqual({ kind: 'share', hits: 2, of: 6 });
    expect(measure('server-errors')).toMatchObject({ kind: 'events', count: 2 });
    expect(measure('accuracy')).toMatchObject({ kind: 'none', why: 'the access log does not show accuracy' });
  });

  test('times, exactly against every limit, own ones included', async () => {
    meter = begin([0.257]);
    const next = random(21);
    const seconds = Array.from({ length: 500 }, () => Math.round(next() ** 3 * 1_500) / 1_000);
    await write(...seconds.map((value) => ({ seconds: value })), { status: 101, seconds: 3_600 });
    await errors();
    const seen = meter.measure('latency-p95', { colour: 'green' }, everything);
    if (seen.kind !== 'times') throw new Error('no times');
    expect(seen.times.count).toBe(500);
    expect(seen.times.sum).toBeCloseTo(
      seconds.reduce((sum, value) => sum + value, 0),
      6,
    );
    for (const limit of [0.1, 0.12, 0.2, 0.257, 0.5, 1])
      expect(slowerThan(seen.times, limit)).toBe(seconds.filter((value) => value > limit).length);
    const sorted = [...seconds].sort((a, b) => a - b);
    expect(quantileOf(seen.times, 0.95)).toBeCloseTo(sorted[Math.ceil(0.95 * 500) - 1] ?? 0, 1);
  });

  test('windows to the second', async () => {
    for (let second = 0; second < 60; second += 1)
      await write({ at: noon + second * 1_000, status: second < 30 ? 200 : 500 });
    pass(60_000);
    expect(await errors('green', { from: noon, to: noon + 30_000 })).toEqual({ kind: 'share', hits: 0, of: 30 });
    expect(await errors('green', { from: noon + 30_000, to: noon + 60_000 })).toEqual({
      kind: 'share',
      hits: 30,
      of: 30,
    });
    expect(await errors('green', { from: noon + 29_000, to: noon + 31_000 })).toEqual({
      kind: 'share',
      hits: 1,
      of: 2,
    });
  });

  test('a long stage is counted to the end, in bounded memory', async () => {
    for (let minute = 0; minute < 12 * 60; minute += 1) {
      await write({ at: time.now, status: 500 }, { at: time.now + 30_000 });
      if (minute % 10 === 0) await meter.poll();
      pass(60_000);
    }
    expect(await errors('green', { from: noon, to: time.now })).toEqual({ kind: 'share', hits: 720, of: 1_440 });
    const last = { from: time.now - 300_000, to: time.now };
    expect(await errors('green', last)).toEqual({ kind: 'share', hits: 5, of: 10 });
    // Across the border between minutes and seconds.
    expect(await errors('green', { from: time.now - 40 * 60_000, to: time.now })).toMatchObject({ of: 80 });
    pass(48 * hour);
    expect(await errors('green', { from: noon, to: time.now })).toEqual({ kind: 'share', hits: 0, of: 0 });
  });

  test('totals of releases begin with the meter and are bounded', async () => {
    await write({ at: noon - 60_000 }, {}, { status: 500 });
    await write(...Array.from({ length: 50 }, (_, index) => ({ release: `tag-${index}` })));
    await errors();
    const totals = meter.totals();
    expect(totals.get('v2')?.codes).toEqual(
      new Map([
        [200, 1],
        [500, 1],
      ]),
    );
    expect(totals.get('v2')?.times.count).toBe(2);
    expect(totals.size).toBeLessThanOrEqual(33);
    expect([...totals.values()].reduce((sum, { times }) => sum + times.count, 0)).toBe(52);
  });
});

describe('a log that is disturbed', () => {
  test('none at all is a reason, not zero errors', async () => {
    expect(await errors()).toEqual({ kind: 'none', why: 'there is no access log yet' });
    await write({});
    expect(await errors()).toEqual({ kind: 'share', hits: 0, of: 1 });
  });

  test('no requests are no requests', async () => {
    await writeFile(log, '');
    expect(await errors()).toEqual({ kind: 'share', hits: 0, of: 0 });
    expect(meter.measure('server-errors', { colour: 'green' }, everything)).toEqual({
      kind: 'none',
      why: 'no requests',
    });
  });

  test('rotated by rename: what is still written into the old file is counted too', async () => {
    await write({}, {});
    await errors();
    await write({});
    await rename(log, `${log}.1`);
    await appendFile(`${log}.1`, line({ status: 500 }));
    expect(await errors()).toEqual({ kind: 'share', hits: 1, of: 4 });
    await writeFile(log, line());
    await appendFile(`${log}.1`, line({ status: 500 }));
    expect(await errors()).toEqual({ kind: 'share', hits: 2, of: 6 });
    await rename(`${log}.1`, `${log}.2`);
    await rename(log, `${log}.1`);
    await writeFile(log, line());
    pass(60_000);
    expect(await errors()).toEqual({ kind: 'share', hits: 2, of: 7 });
    expect(await errors()).toEqual({ kind: 'share', hits: 2, of: 7 });
  });

  test('rotated, and nginx never told: the old file goes on being read', async () => {
    await write({});
    await errors();
    await rename(log, `${log}.1`);
    for (let minute = 0; minute < 3; minute += 1) {
      pass(60_000);
      await errors();
    }
    await appendFile(`${log}.1`, line());
    expect(await errors()).toMatchObject({ of: 2 });
  });

  test('rotated, and nginx never told, before the meter began', async () => {
    await writeFile(`${log}.1`, line());
    for (let minute = 0; minute < 3; minute += 1) {
      expect(await errors()).toMatchObject({ of: 1 });
      pass(60_000);
    }
    await appendFile(`${log}.1`, line());
    expect(await errors()).toMatchObject({ of: 2 });
  });

  test('rotated for ever: old files are let go of', async () => {
    for (let rotation = 0; rotation < 12; rotation += 1) {
      await write({});
      await errors();
      await rename(log, `${log}.1`);
      pass(60_000);
    }
    await write({});
    await errors();
    pass(60_000);
    expect(await errors()).toMatchObject({ of: 13 });
    expect((await openFiles()).length).toBeLessThanOrEqual(2);
  });

  test('a meter that begins late reads what is there, the last rotated file included', async () => {
    await writeFile(`${log}.1`, line().repeat(3));
    await write({}, {});
    expect(await errors()).toMatchObject({ of: 5 });
    await rename(`${log}.1`, `${log}.2`);
    await copyFile(`${log}.2`, join(directory, 'elsewhere'));
    expect(await errors()).toMatchObject({ of: 5 });
  });

  test('truncated', async () => {
    await write({}, {}, {});
    expect(await errors()).toMatchObject({ of: 3 });
    await truncate(log, 0);
    await write({ status: 500 });
    expect(await errors()).toEqual({ kind: 'share', hits: 1, of: 4 });
  });

  test('a line that is not finished is counted once, when it is', async () => {
    const text = line({ status: 500 });
    for (let cut = 1; cut < text.length; cut += 37) {
      await writeFile(log, '');
      await meter.close();
      meter = begin();
      await appendFile(log, text.slice(0, cut));
      expect(await errors()).toMatchObject({ of: 0 });
      await appendFile(log, text.slice(cut));
      expect(await errors()).toEqual({ kind: 'share', hits: 1, of: 1 });
    }
  });

  test('garbage in the middle is told apart, and what is around it counted', async () => {
    const bytes = Buffer.from(Array.from({ length: 5_000 }, (_, index) => (index * 7919) % 256));
    await write({}, {});
    await appendFile(log, Buffer.concat([bytes, Buffer.from('\n{"time":"x","status":500\n\n\n')]));
    await appendFile(log, '{"time":"2026-01-05T12:00:00+00:00","uri":"","status":abc,"bytes":1}\n');
    await appendFile(log, line({ status: 500 }).replace('"seconds":0.012', '"seconds":-'));
    await appendFile(log, '{"time":"2026-01-05T12:00:00+00:00","id":"without the rest"}\n');
    await write({ status: 500 });
    expect(await errors()).toEqual({ kind: 'share', hits: 1, of: 3 });
    expect(meter.lines.unreadable).toBeGreaterThan(4);
  });

  test('nothing but garbage is a reason', async () => {
    await writeFile(log, 'x\n'.repeat(3));
    expect(await errors()).toEqual({ kind: 'none', why: 'no requests, and 3 lines of the access log cannot be read' });
  });

  test('a text of line ends, and a line without end, take no time to speak of', async () => {
    const began = performance.now();
    await writeFile(log, '\n'.repeat(2_000_000));
    await appendFile(log, 'x'.repeat(8_000_000));
    await errors();
    await appendFile(log, `\n${line()}`);
    expect(await errors()).toMatchObject({ of: 1 });
    expect(performance.now() - began).toBeLessThan(10_000);
  });

  test('a client cannot write itself a status', async () => {
    const forged = String.raw`/\",\"status\":200,\"bytes\":1,\"seconds\":0.001,\"colour\":\"green\",\"release\":\"v2\"`;
    await write({ uri: forged, status: 500 });
    expect(await errors()).toEqual({ kind: 'share', hits: 1, of: 1 });
  });

  test('a clock that jumps ahead and back leaves nothing behind', async () => {
    await write({});
    await errors();
    time.now += 30 * 24 * hour;
    await write({ status: 500 });
    await errors();
    time.now = noon + 5_000;
    await write({ status: 500 });
    expect(await errors()).toMatchObject({ hits: 1 });
    // A request of a far future is not believed.
    await write({ at: noon + 10 * 24 * hour, status: 500 });
    expect(await errors('green', { from: noon - hour, to: noon + 20 * 24 * hour })).toMatchObject({ hits: 1 });
  });

  test('a log that may not be read is a reason', async () => {
    await meter.close();
    meter = new Meter({
      path: join(directory, 'log/x'),
      clock: { now: () => time.now, monotonic: () => time.monotonic },
    });
    await writeFile(join(directory, 'log'), 'a file where a directory should be');
    expect(await errors()).toMatchObject({ kind: 'none', why: expect.stringMatching(/cannot be read: ENOTDIR/) });
  });
});
