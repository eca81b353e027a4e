import { afterAll, beforeAll, expect, test } from 'vitest';
import { systemClock } from '../../src/lib/clock.ts';
import type { Measurement } from '../../src/lib/measurement.ts';
import { type Backend, startBackend } from './edge-backend.ts';
import { ask } from './edge-clients.ts';
import { type EdgeLab, openLab } from './edge-lab.ts';

const { signal } = new AbortController();
let lab: EdgeLab;
let backends: Backend[];
const since = Date.now() - 1_000;

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

/** What is counted when nothing comes any more: nginx keeps lines for up to a second. */
async function settled() {
  for (let before = -1; ; ) {
    const [errors, refusals, blue] = [
      await share('errors', 'green'),
      await share('refusals', 'green'),
      await share('errors', 'blue'),
    ];
    if (errors.of + blue.of === before) return { errors, refusals, blue };
    before = errors.of + blue.of;
    await systemClock.sleep(1_500);
  }
}

test('counts what the real edge writes, its own 502 included, by the colour that was asked', async () => {
  const { errors, refusals, blue } = await settled();
  for (const path of ['/', '/', '/status/500', '/status/503', '/status/401', '/hang-up'])
    await ask(`${lab.url}${path}`);
  for (let index = 0; index < 3; index += 1) await ask(`${lab.url}/`, { headers: { 'X-Appliance-Preview': 'blue' } });
  expect(await settled()).toEqual({
    errors: { hits: errors.hits + 3, of: errors.of + 6 },
    refusals: { hits: refusals.hits + 1, of: refusals.of + 6 },
    blue: { hits: blue.hits, of: blue.of + 3 },
  });
  expect(await measure('latency-mean')).toMatchObject({ kind: 'times', times: { count: errors.of + 6 } });
  expect(lab.traffic.meter.lines.unreadable).toBe(0);
});

test('loses and repeats no line while the log is rotated under load', async () => {
  const { errors: before } = await settled();
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
  expect((await settled()).errors).toEqual({ hits: before.hits, of: before.of + asked });
});
