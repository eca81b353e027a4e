import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { execa } from 'execa';
import type { BackupKind } from '../../src/capabilities/backups/manifest.ts';
import { BackupLab } from '../support/backup-lab.ts';
import { backupSizes } from './backup-sizes.ts';
import { main, median, type Row, range } from './row.ts';

export const about = `Backups: models of noise and a PostgreSQL database, each night beside the script of the documents (\`pg_dump\`
and then \`tar -czf\` of the models) and beside plain restic 0.18 from the same image on the same directories. The nights take turns;
each of ours is a whole operation: dump, copies, manifest, store, read back. An unchanged night changes nothing, a changed one brings a
new version of a hundredth of the models. Then so many nights of which each brings such a version and changes a hundredth of the
rows: what the repository takes, beside one copy of the data of the first day. At last everything is gone and comes back by one restore, which is timed as a whole. By default it is
small; BENCH_FULL=1 takes 5 GB of models and a database of 500 MB. BENCH_MIB, BENCH_ROWS and BENCH_NIGHTS say it singly.`;

const runs = Number(process.env.BENCH_RUNS ?? 3);
const { mebibytes, rows } = backupSizes();
const allNights = Number(process.env.BENCH_NIGHTS ?? 30);
const files = 8;
let changes = 0;

export async function bench(): Promise<Row[]> {
  const lab = await BackupLab.make({ name: 'benchbackup', backups: { limits: { cpus: 2 } } });
  const scratch = await mkdtemp(join(tmpdir(), 'bench-backups-'));
  try {
    await lab.sql('CREATE TABLE orders (id int PRIMARY KEY, text text)');
    await lab.sql(`INSERT INTO orders SELECT n, repeat(md5(n::text), 4) FROM generate_series(1, ${rows}) n`);
    for (let index = 0; index < files; index += 1)
      await lab.addModel(String(index), randomBytes(Math.round((mebibytes / files) * 2 ** 20)));
    const beside = await nights(lab, scratch);
    return [...beside, await space(lab), await restore(lab)];
  } finally {
    await lab.destroy();
    await rm(scratch, { recursive: true, force: true });
  }
}

async function nights(lab: BackupLab, scratch: string): Promise<Row[]> {
  const first = { ours: await seconds(() => ours(lab)), script: await seconds(() => script(lab, scratch)) };
  await restic(lab, scratch);
  await atRest(lab);
  const unchanged = { ours: [] as number[], script: [] as number[], restic: [] as number[] };
  const changed = { ours: [] as number[], restic: [] as number[] };
  for (let run = 0; run < runs; run += 1) {
    unchanged.ours.push(await seconds(() => ours(lab)));
    unchanged.restic.push(await seconds(() => restic(lab, scratch)));
    unchanged.script.push(await seconds(() => script(lab, scratch)));
    await change(lab);
    changed.ours.push(await seconds(() => ours(lab)));
    changed.restic.push(await seconds(() => restic(lab, scratch)));
  }
  const dump = await seconds(() => dumpOnly(lab, scratch));
  const faster = median(unchanged.script.map((one, index) => one / (unchanged.ours[index] ?? one)));
  const beyond = median(unchanged.ours) - dump;
  return [
    row(
      `first backup of ${mebibytes} MiB of models`,
      [first.ours],
      { name: 'pg_dump + tar -czf', value: first.script },
      first.script / first.ours,
      1.5,
    ),
    row('unchanged night', unchanged.ours, { name: 'pg_dump + tar -czf', value: median(unchanged.script) }, faster, 50),
    {
      name: 'unchanged night beyond the dump',
      value: beyond,
      unit: 's',
      rival: { name: 'the dump alone', value: dump },
      target: '≤ 10 s',
      met: beyond <= 10,
    },
    beside('unchanged night beside plain restic', unchanged.ours, unchanged.restic),
    beside('night with 1 % change beside plain restic', changed.ours, changed.restic),
  ];
}

/** A night without changes comes hours after the last one: the server is done with what it does by itself. */
async function atRest(lab: BackupLab): Promise<void> {
  await lab.sql('VACUUM ANALYZE');
  await lab.sql('CHECKPOINT');
  await delay(17_000);
  // The first to read after a change may tidy pages, which is a change to the server.
  await ours(lab);
  await ours(lab);
}

/** What the repository takes after a month, beside the data as they lay there on its first day. */
async function space(lab: BackupLab): Promise<Row> {
  const { backups } = await lab.appliance();
  const dumps = backups.recent(1)[0]?.manifest?.components.filter(({ path }) => path.endsWith('.dump')) ?? [];
  const data = (await bytesIn(lab.models)) + dumps.reduce((sum, { bytes }) => sum + bytes, 0);
  for (let night = 0; night < allNights; night += 1) {
    await change(lab);
    await lab.sql(`UPDATE orders SET text = repeat(md5((id + ${night})::text), 4) WHERE id % 100 = ${night % 100}`);
    // As of a deploy: what is stored is the same, and nothing is read back.
    await ours(lab, 'pre-deploy');
  }
  const value = (await bytesIn(backups.paths.repository)) / data;
  return {
    name: `space after ${allNights} nights with 1 % change`,
    value,
    unit: '× the data',
    target: '≤ 2 × the data',
    met: value <= 2,
  };
}

/** Everything is lost and comes back: staged, its hashes compared, rows counted, put in place. */
async function restore(lab: BackupLab): Promise<Row> {
  const { id } = await lab.backup('nightly');
  const { backups } = await lab.appliance();
  const manifest = await backups.manifest(id, AbortSignal.timeout(60_000));
  const bytes = manifest.components
    .filter(({ name }) => name === 'models' || name.startsWith('database:'))
    .reduce((sum, one) => sum + one.bytes, 0);
  await lab.sql('DROP TABLE orders');
  await rm(join(lab.models, 'versions'), { recursive: true });
  let failed: string | undefined;
  const took = await seconds(async () => {
    const { result, error } = await lab.restore(id, 'all', { skipSafety: true });
    if (result !== 'done') failed = error?.message ?? result;
  });
  if (failed !== undefined) throw new Error(failed);
  if ((await lab.sql('SELECT count(*) FROM orders')) !== String(rows)) throw new Error('rows are missing');
  const value = bytes / 1e6 / took;
  return { name: 'restore of everything', value, unit: 'MB/s', target: '≥ 150 MB/s', met: value >= 150 };
}

async function bytesIn(directory: string): Promise<number> {
  const { stdout } = await execa('du', ['--summarize', '--bytes', directory]);
  return Number.parseInt(stdout, 10);
}

function row(
  name: string,
  values: readonly number[],
  rival: NonNullable<Row['rival']>,
  ratio: number,
  times: number,
): Row {
  const target = `≥ ${times} × faster`;
  return {
    name,
    value: median(values),
    unit: 's',
    rival,
    ratio: 1 / ratio,
    spread: range(values),
    target,
    met: ratio >= times,
  };
}

/** Plain restic stores the same directories, without dump, copies, manifest and reading back. */
function beside(name: string, values: readonly number[], theirs: readonly number[]): Row {
  const rival = { name: 'restic backup', value: median(theirs) };
  return { name, value: median(values), unit: 's', rival, spread: range(values), target: 'told', met: true };
}

async function ours(lab: BackupLab, kind: BackupKind = 'nightly'): Promise<void> {
  const { result } = await lab.backup(kind);
  if (result.result !== 'done') throw new Error(result.error?.message ?? 'the backup failed');
}

async function script(lab: BackupLab, scratch: string): Promise<void> {
  await dumpOnly(lab, scratch);
  await execa('tar', ['-czf', join(scratch, 'models.tar.gz'), '-C', lab.models, '.']);
}

async function dumpOnly(lab: BackupLab, scratch: string): Promise<void> {
  const target = join(scratch, 'db.sql');
  await execa('docker', ['exec', lab.container, 'pg_dump', '-U', 'app', 'app'], {
    stdout: { file: target },
    buffer: false,
  });
}

async function restic(lab: BackupLab, scratch: string): Promise<void> {
  const mounts = ['-v', `${scratch}:/scratch`, '-v', `${lab.models}:/models:ro`, '-e', 'RESTIC_PASSWORD=bench'];
  const run = (...args: string[]) =>
    execa('docker', [
      'run',
      '--rm',
      '--network',
      'none',
      ...mounts,
      'appliance/restic:1',
      '--repo',
      '/scratch/repository',
      ...args,
    ]);
  if (!existsSync(join(scratch, 'repository/config'))) await run('init');
  await run('backup', '--host', 'bench', '/models');
}

/** Brings a new version of a hundredth of all models. */
async function change(lab: BackupLab): Promise<void> {
  changes += 1;
  await lab.addModel(`new-${changes}`, randomBytes(Math.round((mebibytes * 2 ** 20) / 100)));
}

async function seconds(work: () => Promise<unknown>): Promise<number> {
  const began = performance.now();
  await work();
  return (performance.now() - began) / 1_000;
}

if (import.meta.main) await main(bench);
