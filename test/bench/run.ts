import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { writeFileAtomic } from '../../src/host/files.ts';
import { messageOf } from '../../src/lib/errors.ts';
import { formatDuration } from '../../src/lib/units.ts';
import { describeMachine, type Measured, report } from './report.ts';
import { type Row, table } from './row.ts';

const page = join(import.meta.dirname, '../../docs/benchmarks.md');

/**
 * Runs every benchmark of this directory, one after the other, and prints one Markdown table. A file is a benchmark
 * when it exports `bench`; what it exports as `about` says how it measures.
 *
 * Arguments: parts of file names to choose by; `--write` puts the table into docs/benchmarks.md, if all of it could be
 * measured. Environment: BENCH_RUNS, how often each thing is measured, for trying a benchmark out.
 * Exit: 0 every target is met, 1 one is missed or a benchmark could not be run, 2 usage.
 */
async function run(wanted: readonly string[], write: boolean): Promise<void> {
  if (write && (wanted.length > 0 || process.env.BENCH_RUNS)) {
    process.stderr.write('bench: --write is for a whole run: no file names, no BENCH_RUNS\n');
    process.exitCode = 2;
    return;
  }
  const names = (await readdir(import.meta.dirname)).filter((name) => name.endsWith('.ts') && name !== 'run.ts').sort();
  const measured: Measured[] = [];
  let broken = 0;
  for (const name of names) {
    if (wanted.length > 0 && !wanted.some((part) => name.includes(part))) continue;
    const loaded: unknown = await import(`./${name}`);
    if (!isBenchmark(loaded)) continue;
    const started = performance.now();
    process.stderr.write(`bench: ${name}\n`);
    try {
      const rows = await loaded.bench();
      measured.push({ rows, ...(loaded.about === undefined ? {} : { about: loaded.about }) });
      process.stderr.write(`bench: ${name} took ${formatDuration(performance.now() - started)}\n`);
    } catch (error) {
      broken += 1;
      process.stderr.write(`bench: ${name} could not be run: ${messageOf(error)}\n`);
    }
  }
  const machine = await describeMachine();
  const rows = measured.flatMap((one) => one.rows);
  process.stdout.write(`${machine}\n\n${table(rows)}\n`);
  process.exitCode = broken === 0 && rows.length > 0 && rows.every((row) => row.met) ? 0 : 1;
  if (!write) return;
  if (broken > 0) process.stderr.write(`bench: ${page} is left as it was, because not all could be measured\n`);
  else await writeFileAtomic(page, report(machine, measured), 0o644);
}

interface Benchmark {
  readonly bench: () => Promise<Row[]>;
  readonly about?: string;
}

function isBenchmark(loaded: unknown): loaded is Benchmark {
  if (typeof loaded !== 'object' || loaded === null) return false;
  const described = !('about' in loaded) || typeof loaded.about === 'string';
  return described && 'bench' in loaded && typeof loaded.bench === 'function';
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { write: { type: 'boolean', default: false } },
});
await run(positionals, values.write);
