import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { openLab } from '../integration/edge-lab.ts';
import { BackupLab } from '../support/backup-lab.ts';
import { ForeignLoad } from '../support/load-process.ts';
import { backupSizes } from './backup-sizes.ts';
import { main, median, type Row, range } from './row.ts';

export const about = `\
Requests at the edge while a backup runs: 8 kept connections and 2 clients without, 20 ms apart, from a process that goes before all others,
as clients on another machine would, in front of a trivial backend.
Each round measures as long without a backup as the backup took that follows, which stores models of new noise and a database,
with the limits of processors and IO that everybody gets. The ratio of p95 is of the two halves of a round.`;

const runs = Number(process.env.BENCH_RUNS ?? 5);
const { mebibytes, rows } = backupSizes();
const port = 18_190;
/** Milliseconds of the first half of the first round, when nobody knows yet how long a backup takes. */
const firstIdle = 8_000;

export async function bench(): Promise<Row[]> {
  const edge = await openLab({ name: 'backups', net: 90, http: port, https: port + 1 });
  const lab = await BackupLab.make({ name: 'benchbackupedge' });
  try {
    await edge.startRelease('blue', 'v1', 11);
    await edge.configure(edge.topologies({ blue: { release: 'v1', addresses: [edge.address('blue', 11)] } }));
    await edge.shift('blue', 'blue', 'v1');
    await lab.sql('CREATE TABLE orders (id int PRIMARY KEY, text text)');
    await lab.sql(`INSERT INTO orders SELECT n, repeat(md5(n::text), 4) FROM generate_series(1, ${rows}) n`);
    return [await rounds(lab)];
  } finally {
    await lab.destroy();
    await edge.close();
  }
}

async function rounds(lab: BackupLab): Promise<Row> {
  const idle: number[] = [];
  const busy: number[] = [];
  let lost = 0;
  let wait = firstIdle;
  for (let run = 0; run < runs; run += 1) {
    await lab.addModel(String(run), randomBytes(Math.round((mebibytes / 8) * 2 ** 20)));
    const alone = await measured(() => delay(wait));
    const began = performance.now();
    const during = await measured(async () => {
      const { result } = await lab.backup('nightly');
      if (result.result !== 'done') throw new Error(result.error?.message ?? 'the backup failed');
    });
    wait = performance.now() - began;
    idle.push(alone.p95);
    busy.push(during.p95);
    lost += alone.lost + during.lost;
  }
  const ratios = busy.map((value, run) => value / (idle[run] ?? Number.NaN));
  const ratio = median(ratios);
  return {
    name: `p95 at the edge during a backup, ${lost} requests failed`,
    value: median(busy),
    unit: 'ms',
    rival: { name: 'idle', value: median(idle) },
    ratio,
    spread: range(ratios),
    target: '≤ 1.25 of it, none failed',
    met: ratio <= 1.25 && lost === 0,
  };
}

async function measured(work: () => Promise<unknown>): Promise<{ p95: number; lost: number }> {
  const load = new ForeignLoad({ port, path: '/', keepAlive: 8, fresh: 2, pause: 20, timed: true });
  try {
    await work();
  } catch (error) {
    await load.stop();
    throw error;
  }
  const { times, losses } = await load.stop();
  const sorted = [...times].sort((a, b) => a - b);
  const p95 = sorted[Math.ceil(sorted.length * 0.95) - 1];
  if (p95 === undefined) throw new Error('nothing was answered');
  return { p95, lost: losses.length };
}

if (import.meta.main) await main(bench);
