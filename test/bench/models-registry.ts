import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import Sqlite from 'better-sqlite3';
import { addVersion, removeTree } from '../../src/capabilities/models/add.ts';
import { ModelRegistry } from '../../src/capabilities/models/registry.ts';
import { copyFiles } from '../../src/host/copy-files.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { writeModel } from '../support/models.ts';
import { main, median, type Row, range } from './row.ts';

export const about = `Models: four files of 512 MiB of noise each, read once before. Hashing stands beside \`sha256sum\` of
the same files, adding beside \`cp -r\` and then \`sha256sum\` of the copy; pairs take turns in who is first, and what each
wrote is flushed and removed before the next. An add also flushes its files and its directories, which \`cp\` does not. The registry holds
100,000 versions of ten models with seven files and eleven metrics each; every question is asked of a random version, a
promotion is on the disk when it returns.`;

const runs = Number(process.env.BENCH_RUNS ?? 3);
const gigabytes = Number(process.env.BENCH_GIB ?? 2);
const versions = 100_000;
const questions = 300;
const signal = new AbortController().signal;

export async function bench(): Promise<Row[]> {
  const root = await mkdtemp(join(tmpdir(), 'bench-models-'));
  try {
    return [...(await files(root)), ...(await registry(root))];
  } finally {
    await removeTree(root);
  }
}

async function files(root: string): Promise<Row[]> {
  const source = join(root, 'source');
  await writeModel(source, { name: 'bench' });
  const names = ['a', 'b', 'c', 'd'].map((name) => `${name}.bin`);
  const each = (gigabytes * 2 ** 30) / names.length;
  for (const name of names) await pipeline(Readable.from(noise(each)), createWriteStream(join(source, name)));
  const paths = names.map((name) => join(source, name));
  execFileSync('sync');

  const hash = { ours: [] as number[], theirs: [] as number[] };
  const add = { ours: [] as number[], theirs: [] as number[] };
  for (let run = 0; run < runs; run += 1) {
    const hashing = [
      async () =>
        void hash.ours.push(
          await timed(() =>
            copyFiles(
              paths.map((from) => ({ from, size: each })),
              signal,
            ),
          ),
        ),
      async () => void hash.theirs.push(await timed(() => execFileSync('sha256sum', paths))),
    ];
    const adding = [
      async () => void add.ours.push(await addOnce(join(root, `models-${run}`), source)),
      async () => void add.theirs.push(await copyOnce(join(root, `copy-${run}`), source)),
    ];
    for (const pair of [hashing, adding]) for (const one of run % 2 === 0 ? pair : pair.reverse()) await one();
  }
  await rm(source, { recursive: true });
  const size = `${gigabytes} GiB`;
  const speed = (seconds: number) => (gigabytes * 1_024) / seconds;
  const faster = hash.theirs.map((seconds, index) => seconds / (hash.ours[index] ?? Number.NaN));
  const slower = add.ours.map((seconds, index) => seconds / (add.theirs[index] ?? Number.NaN));
  return [
    {
      name: `hashing the files of a model of ${size}`,
      value: speed(median(hash.ours)),
      unit: 'MiB/s',
      rival: { name: 'sha256sum', value: speed(median(hash.theirs)) },
      ratio: median(faster),
      spread: `${range(faster)} of ${runs} pairs`,
      target: '≥ 0.8 of it',
      met: median(faster) >= 0.8,
    },
    {
      name: `models add of ${size}, flushed to the disk`,
      value: median(add.ours),
      unit: 's',
      rival: { name: 'cp and sha256sum', value: median(add.theirs) },
      ratio: median(slower),
      spread: `${range(slower)} of ${runs} pairs`,
      target: '≤ 1.3 of it',
      met: median(slower) <= 1.3,
    },
  ];
}

function* noise(bytes: number): Generator<Buffer> {
  const piece = randomBytes(2 ** 24);
  for (let done = 0; done < bytes; done += piece.length) {
    piece.writeDoubleLE(Math.random(), 0);
    yield Buffer.from(piece.subarray(0, Math.min(piece.length, bytes - done)));
  }
}

async function addOnce(directory: string, source: string): Promise<number> {
  await mkdir(directory);
  const known = new ModelRegistry(directory, { clock: systemClock, access: 'write' });
  try {
    const request = { source, requirements: undefined, change: { actor: 'bench' }, uid: 0, signal };
    return await timed(() => addVersion(known, request));
  } finally {
    known.close();
    await removeTree(directory);
    execFileSync('sync');
  }
}

async function copyOnce(directory: string, source: string): Promise<number> {
  try {
    return await timed(() => {
      execFileSync('cp', ['-r', source, directory]);
      execFileSync('sh', ['-c', 'sha256sum "$1"/*', 'sh', directory]);
    });
  } finally {
    await rm(directory, { recursive: true });
    execFileSync('sync');
  }
}

/** @returns seconds */
async function timed(work: () => unknown): Promise<number> {
  const started = performance.now();
  await work();
  return (performance.now() - started) / 1_000;
}

async function registry(root: string): Promise<Row[]> {
  const directory = join(root, 'registry');
  await mkdir(directory);
  new ModelRegistry(directory, { clock: systemClock, access: 'write' }).close();
  fill(join(directory, 'registry.db'));
  const known = new ModelRegistry(directory, { clock: systemClock, access: 'write' });
  try {
    const random = () => 1 + Math.floor(Math.random() * versions);
    const ask = async (work: () => unknown) => {
      const taken: number[] = [];
      for (let index = 0; index < questions; index += 1) taken.push((await timed(work)) * 1_000);
      return taken.sort((a, b) => a - b);
    };
    const rows: [string, number[]][] = [
      [
        'page of 50 of the list',
        await ask(() => known.page({ name: `m${random() % 10}`, before: random(), limit: 50 })),
      ],
      ['version by its label', await ask(() => known.find(`v${random()}`))],
      ['version in production', await ask(() => known.find(`m${random() % 10}@production`))],
      ['promotion, on the disk', await ask(() => known.promoted(known.get(random()), { actor: 'bench' }))],
    ];
    return rows.map(([name, taken]) => ({
      name: `registry with ${versions.toLocaleString('en-US')} versions: ${name}`,
      value: median(taken),
      unit: 'ms',
      spread: `p95 ${(taken[Math.floor(questions * 0.95)] ?? Number.NaN).toFixed(2)} of ${questions}`,
      target: '≤ 10 ms',
      met: median(taken) <= 10,
    }));
  } finally {
    known.close();
  }
}

/** In one transaction: registering them one by one would take longer than all that is measured. */
function fill(path: string): void {
  const raw = new Sqlite(path);
  raw.exec(`
    BEGIN;
    WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 9)
      INSERT INTO models SELECT i + 1, 'm' || i FROM n;
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${versions})
      INSERT INTO versions SELECT i, i % 10 + 1, 'v' || i, hex(randomblob(32)), hex(randomblob(32)), 7, 42182,
        iif(i <= 10, 'production', 'validated'), '{"features":["a","b"],"libraries":{"numpy":"2.2.4"},"algorithm":null,"trainedAt":null}',
        '/somewhere', 'bench', i, iif(i <= 10, i, NULL) FROM n;
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 7)
      INSERT INTO artefacts SELECT v.id, 'file-' || i, hex(randomblob(32)), 6026 FROM versions AS v, n;
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 11)
      INSERT INTO metrics SELECT v.id, 'metric-' || i, abs(random() % 1000) / 1000.0 FROM versions AS v, n;
    INSERT INTO aliases SELECT model, 'production', id FROM versions WHERE state = 'production';
    INSERT INTO history (model, version, event, at, actor) SELECT model, id, 'registered', id, 'bench' FROM versions;
    COMMIT;`);
  raw.close();
}

if (import.meta.main) await main(bench);
