import { createHash } from 'node:crypto';
import { cp, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { execa } from 'execa';
import { ManifestCache } from '../../src/capabilities/models/cache/manifest-cache.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { Lab } from '../support/appliance.ts';
import { main, type Row, range } from './row.ts';

const reference = resolve(import.meta.dirname, '../../compose/routing-ml/app/models');
const name = 'benchmodels';
/** Milliseconds that the idle cache is looked at. */
const idle = 20_000;
const changes = Number(process.env.BENCH_RUNS ?? 60);

export const about = `Models: a manifest with another content is renamed over the one in force, ${changes} times, of the reference
application with its agent. The clock runs from the rename until both live processes, asked by the benchmark itself,
report its hash. Idle: CPU time of a process that does nothing but watch a models directory, for ${idle / 1_000} s.`;

/** How fast running processes have what lies on the disk, and what watching costs. */
export async function bench(): Promise<Row[]> {
  return [...(await noticed()), await watching()];
}

async function noticed(): Promise<Row[]> {
  const lab = await Lab.make({ name, port: 28_880, pool: '10.243.0.0/16' });
  try {
    const { exitCode, document } = await lab.json(['deploy', 'v1.0', '--yes']);
    if (exitCode !== 0) throw new Error(JSON.stringify(document));
    await lab.startAgent();
    const path = join(lab.root, 'lib/persistent/models/manifest.json');
    const text = await readFile(path, 'utf8');
    const addresses = await liveAddresses();
    await delay(3_000);
    const took: number[] = [];
    for (let count = 0; count < changes; count += 1) {
      const changed = text.replace('"version": "2026.1"', `"version": "2026.1-${count}"`);
      const sha256 = createHash('sha256').update(changed).digest('hex');
      await writeFile(`${path}.new`, changed);
      const began = performance.now();
      await rename(`${path}.new`, path);
      while (!(await Promise.all(addresses.map(digestAt))).every((digest) => digest === sha256)) {
        if (performance.now() - began > 30_000) throw new Error('a change was not noticed in 30 s');
        await delay(5);
      }
      took.push((performance.now() - began) / 1_000);
      // At another moment of the round each time.
      await delay(150 + ((count * 137) % 500));
    }
    const sorted = took.toSorted((a, b) => a - b);
    const p95 = sorted[Math.ceil(sorted.length * 0.95) - 1] ?? Number.NaN;
    return [
      {
        name: 'changed manifest to running processes confirmed, p95',
        value: p95,
        unit: 's',
        spread: `${range(took)} of ${took.length}`,
        target: '≤ 1 s',
        met: p95 <= 1,
      },
    ];
  } finally {
    await lab.destroy();
  }
}

async function liveAddresses(): Promise<string[]> {
  const filters = ['--filter', `label=appliance.name=${name}`, '--filter', 'label=appliance.service=backend'];
  const { stdout } = await execa('docker', ['ps', '--quiet', ...filters]);
  const format = '{{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}';
  const found = await execa('docker', ['inspect', '--format', format, ...stdout.split('\n')]);
  return found.stdout.split('\n').map((line) => line.trim().split(' ')[0] ?? '');
}

async function digestAt(address: string): Promise<string | undefined> {
  const answer: unknown = await (await fetch(`http://${address}:8000/api/models/active`)).json();
  return typeof answer === 'object' && answer !== null && 'sha256' in answer ? String(answer.sha256) : undefined;
}

async function watching(): Promise<Row> {
  const directory = await mkdtemp(join(tmpdir(), 'watch-'));
  try {
    await cp(reference, directory, { recursive: true });
    const cache = new ManifestCache({
      directory,
      clock: systemClock,
      onChange: () => undefined,
      onProblem: () => undefined,
    });
    const stop = new AbortController();
    const following = cache.follow(stop.signal);
    // Files that were just written are read again until nothing can have been missed.
    await delay(4_000);
    const before = process.cpuUsage();
    await delay(idle);
    const { user, system } = process.cpuUsage(before);
    stop.abort();
    await following;
    const share = (user + system) / 1_000 / idle;
    return {
      name: 'watching an idle models directory, of one core',
      value: share * 100,
      unit: '%',
      target: '≤ 0.2 %',
      met: share <= 0.002,
    };
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

if (import.meta.main) await main(bench);
