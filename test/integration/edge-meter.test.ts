import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { systemClock } from '../../src/lib/clock.ts';
import type { Measurement } from '../../src/lib/measurement.ts';
import { type Backend, startBackend } from './edge-backend.ts';
import { ask } from './edge-clients.ts';
import { type EdgeLab, openLab } from './edge-lab.ts';

const { signal } = new AbortController();
let lab: EdgeLab;
let backends: Backend[];
/** Milliseconds since 1970; what was asked before is nobody's business. */
let since: number;

beforeAll(async () => {
  lab = await openLab({ name: 'meter', net: 70, http: 18170, https: 18171 });
  backends = [await startBackend('v1', lab.address('blue', 1)), await startBackend('v2', lab.address('green', 1))];
  await lab.configure(
    lab.topologies({
      blue: { release: 'v1', addresses: [lab.address('blue', 1)] },
      green: { release: 'v2', addresses: [lab.address('green', 1)] },
    }),
  );
  await lab.shift('blue', 'green', 'v2');
});
/** A request counts in the second in which it ends. */
beforeEach(async () => {
  since = Math.ceil((Date.now() + 1) / 1_000) * 1_000;
  while (Date.now() < since) await systemClock.sleep(since - Date.now());
});
afterAll(async () => {
  await Promise.all((backends ?? []).map((backend) => backend.close()));
  await lab?.traffic.meter.close();
  await lab?.close();
});

async function measure(metric: string, colour: 'blue' | 'green' = 'green'): Promise<Measurement> {
  const window = { from: since, to: Date.now() + 60_000 };
  return lab.traffic.meter.read(metric, { tag: 'v2', colour }, window, signal);
}

async function share(metric: string, colour: 'blue' | 'green'): Promise<{ hits: number; of: number }> {
  const seen = await measure(metric, colour);
  return seen.kind === 'share' ? { hits: seen.hits, of: seen.of } : { hits: 0, of: 0 };
}

const counts = async () => ({
  errors: await share('errors', 'green'),
  refusals: await share('refusals', 'green'),
  blue: await share('errors', 'blue'),
});

/** Waits until all of it is counted, and a moment longer for what comes twice: nginx keeps lines for a second. */
async function expectCounts(expected: Awaited<ReturnType<typeof counts>>): Promise<void> {
  await expect.poll(counts, { timeout: 60_000, interval: 200 }).toEqual(expected);
  await systemClock.sleep(1_500);
  expect(await counts()).toEqual(expected);
}

test('counts what the real edge writes, its own 502 included, by the colour that was asked', async () => {
  for (const path of ['/', '/', '/status/500', '/status/503', '/status/401', '/hang-up'])
    await ask(`${lab.url}${path}`);
  for (let index = 0; index < 3; index += 1) await ask(`${lab.url}/`, { headers: { 'X-Appliance-Preview': 'blue' } });
  await expectCounts({ errors: { hits: 3, of: 6 }, refusals: { hits: 1, of: 6 }, blue: { hits: 0, of: 3 } });
  expect(await measure('latency-mean')).toMatchObject({ kind: 'times', times: { count: 6 } });
  expect(lab.traffic.meter.lines.unreadable).toBe(0);
});

test('loses and repeats no line while the log is rotated under load', async () => {
  let [asked, rotated, goOn] = [0, 0, true];
  const client = async () => {
    while (goOn) {
      await ask(`${lab.url}/`);
      asked += 1;
    }
  };
  const clients = Promise.all(Array.from({ length: 4 }, client));
  const deadline = Date.now() + 60_000;
  while (rotated < 4 && Date.now() < deadline) {
    await systemClock.sleep(500);
    rotated += (await lab.traffic.rotateAccessLog({ maxBytes: 0, keep: 3 })).length;
    await measure('errors');
  }
  goOn = false;
  await clients;
  expect(rotated).toBeGreaterThanOrEqual(4);
  expect(asked).toBeGreaterThan(20);
  await expectCounts({
    errors: { hits: 0, of: asked },
    refusals: { hits: 0, of: asked },
    blue: { hits: 0, of: 0 },
  });
});
