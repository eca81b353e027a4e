import { createReadStream } from 'node:fs';
import { appendFile, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { accessLogFormat } from '../../src/capabilities/traffic/log-format.ts';
import { Meter } from '../../src/capabilities/traffic/meter.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { random } from '../support/random.ts';
import { main, median, middleHalf, type Row, range } from './row.ts';

const rounds = Number(process.env.BENCH_RUNS ?? 9);
const lines = 400_000;
/** Of the run at a steady rate. */
const perSecond = 1_000;
const seconds = 10;
const everything = { from: 0, to: Date.now() + 86_400_000 };

export const about = `\
Analysis of the access log: a file of ${lines.toLocaleString('en-US')} lines in the edge's own format, read from beginning to end by the meter of a
rollout, in turns with the plain way, \`node:readline\` and \`JSON.parse\` of every line, which only counts requests and
errors by colour. Seconds are CPU time of the process, so that neighbours do not count. Then
${perSecond.toLocaleString('en-US')} lines a second are appended for ${seconds} s, and the meter reads them once a second.`;

/** Lines of requests on both colours, some of them errors, all within the last minutes. */
function sample(count: number): string {
  const next = random(1);
  const format = accessLogFormat.slice(accessLogFormat.indexOf("'") + 1, accessLogFormat.lastIndexOf("'"));
  const now = Date.now();
  return Array.from({ length: count }, (_, index) => {
    const colour = next() < 0.2 ? 'green' : 'blue';
    const values: Record<string, string> = {
      time_iso8601: new Date(now - 60_000 + (index / count) * 60_000).toISOString().replace(/\.\d+Z$/, '+00:00'),
      appliance_request_id: `${Math.floor(next() * 1e6)}-${index}-${now / 1_000}`,
      remote_addr: '192.0.2.17',
      host: 'appliance.example',
      request_method: 'POST',
      uri: '/api/predict/ITEM_A001',
      server_protocol: 'HTTP/1.1',
      status: next() < 0.01 ? '500' : '200',
      bytes_sent: String(400 + Math.floor(next() * 2_000)),
      request_time: (next() ** 4).toFixed(3),
      appliance_colour: colour,
      appliance_release: colour === 'green' ? 'v1.1' : 'v1.0',
      upstream_addr: '10.213.1.11:8000',
      upstream_response_time: '0.012',
      upstream_status: '200',
    };
    return `${format.replaceAll(/\$(\w+)/g, (_match, name: string) => values[name] ?? '')}\n`;
  }).join('');
}

export async function bench(): Promise<Row[]> {
  const directory = await mkdtemp(join(tmpdir(), 'bench-meter-'));
  try {
    const path = join(directory, 'access.log');
    await writeFile(path, sample(lines));
    const ours: number[] = [];
    const plain: number[] = [];
    for (let round = 0; round < rounds; round += 1) {
      ours.push(await cpuSeconds(() => byMeter(path)));
      plain.push(await cpuSeconds(() => byReadline(path)));
    }
    const ratios = ours.map((value, index) => (plain[index] ?? 0) / value);
    const rate = lines / median(ours);
    const steady = await steadyShare(join(directory, 'steady.log'));
    return [
      {
        name: 'access log lines analysed in a second of one core',
        value: Math.round(rate),
        unit: '/s',
        rival: { name: 'readline and JSON.parse', value: Math.round(lines / median(plain)) },
        ratio: median(ratios),
        spread: `middle half ${range(middleHalf(ratios))} of ${rounds} pairs`,
        target: '≥ 100,000 /s',
        met: rate >= 100_000,
      },
      {
        name: `analysis at ${perSecond.toLocaleString('en-US')} requests a second, of one core`,
        value: median(steady) * 100,
        unit: '%',
        spread: `${range(steady.map((share) => share * 100))} in ${seconds} s`,
        target: '≤ 5 %',
        met: median(steady) <= 0.05,
      },
    ];
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

async function byMeter(path: string): Promise<void> {
  const meter = new Meter({ path, clock: systemClock });
  await meter.poll();
  assertCounted(requestsOf(meter, 'blue') + requestsOf(meter, 'green'));
  await meter.close();
}

function requestsOf(meter: Meter, colour: 'blue' | 'green'): number {
  const seen = meter.measure('errors', { colour }, everything);
  return seen.kind === 'share' ? seen.of : 0;
}

async function byReadline(path: string): Promise<void> {
  const counts = new Map<string, { requests: number; errors: number }>();
  for await (const line of createInterface({ input: createReadStream(path) })) {
    const { colour, status }: { colour: string; status: number } = JSON.parse(line);
    const held = counts.get(colour) ?? { requests: 0, errors: 0 };
    counts.set(colour, held);
    held.requests += 1;
    if (status >= 500) held.errors += 1;
  }
  assertCounted([...counts.values()].reduce((sum, { requests }) => sum + requests, 0));
}

/** Speed without all of the lines would be none. */
function assertCounted(requests: number): void {
  if (requests !== lines) throw new RangeError(`counted ${requests} of ${lines} requests`);
}

async function cpuSeconds(work: () => Promise<void>): Promise<number> {
  const before = process.cpuUsage();
  await work();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1e6;
}

/** What reading once a second costs, as a share of one core, second by second. */
async function steadyShare(path: string): Promise<number[]> {
  await writeFile(path, '');
  const meter = new Meter({ path, clock: systemClock });
  const shares: number[] = [];
  for (let second = 0; second < seconds; second += 1) {
    await appendFile(path, sample(perSecond));
    await systemClock.sleep(1_000);
    shares.push(await cpuSeconds(() => meter.poll()));
  }
  await meter.close();
  return shares;
}

if (import.meta.main) await main(bench);
