import { appendFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { requestsNow } from '../../src/agent/requests-now.ts';
import { accessLogFormat } from '../../src/capabilities/traffic/log-format.ts';
import { Meter } from '../../src/capabilities/traffic/meter.ts';
import { systemClock } from '../../src/lib/clock.ts';

/** Waits until the log is read, however long this machine takes for it. */
const patient = { now: systemClock.now, sleep: () => new Promise<never>(() => undefined) };

let folder: string;
let path: string;
let meter: Meter;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'requests-now-'));
  path = join(folder, 'access.log');
  meter = new Meter({ path, clock: systemClock });
});
afterEach(async () => {
  await meter.close();
  rmSync(folder, { recursive: true, force: true });
});

/** A line as the edge writes it, made from the edge's own format. */
function line(secondsAgo: number, status: number, seconds: number, colour: string): string {
  const values: Readonly<Record<string, string>> = {
    time_iso8601: new Date(Date.now() - secondsAgo * 1_000).toISOString().replace(/\.\d+Z$/, '+00:00'),
    status: String(status),
    bytes_sent: '512',
    request_time: seconds.toFixed(3),
    appliance_colour: colour,
    appliance_release: 'v1.0',
  };
  const body = /'(.*)'/.exec(accessLogFormat)?.[1] ?? '';
  return `${body.replace(/\$(\w+)/g, (_, name: string) => values[name] ?? '')}\n`;
}

it('tells requests, errors and p95 of the last minute, both colours together', async () => {
  const lines = [
    ...Array.from({ length: 57 }, (_, index) => line(index % 50, 200, 0.08, index % 2 === 0 ? 'blue' : 'green')),
    ...Array.from({ length: 3 }, () => line(5, 502, 0.01, 'green')),
    // Too long ago.
    ...Array.from({ length: 40 }, () => line(90, 500, 3, 'blue')),
  ];
  appendFileSync(path, lines.join(''));
  const seen = await requestsNow({ meter }, patient);
  expect(seen?.perSecond).toBeCloseTo(1, 5);
  expect(seen?.errorRatio).toBeCloseTo(3 / 60, 5);
  expect(seen?.p95).toBeGreaterThan(0.07);
  expect(seen?.p95).toBeLessThanOrEqual(0.082);
});

it('without requests there is a rate, and neither ratio nor p95', async () => {
  appendFileSync(path, line(300, 200, 0.1, 'blue'));
  expect(await requestsNow({ meter }, patient)).toEqual({ seconds: 60, perSecond: 0, errorRatio: null, p95: null });
});

it('says nothing while there is no log, or it is still being read', async () => {
  expect(await requestsNow({ meter }, systemClock)).toBeNull();
  const slow = { poll: () => new Promise<void>(() => undefined), measure: meter.measure.bind(meter) };
  const impatient = { now: systemClock.now, sleep: async () => undefined };
  expect(await requestsNow({ meter: slow }, impatient)).toBeNull();
});
