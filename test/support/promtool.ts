import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { execa } from 'execa';
import { stringify } from 'yaml';
import { ensureDirectory } from '../../src/host/files.ts';

export interface ToolAnswer {
  readonly exitCode: number;
  readonly output: string;
}

/** Runs promtool from the image of Prometheus on files of a directory of its own. @param files path → text */
export async function promtool(files: Readonly<Record<string, string>>, args: readonly string[]): Promise<ToolAnswer> {
  const directory = await mkdtemp(join(tmpdir(), 'promtool-'));
  try {
    for (const [name, text] of Object.entries(files)) {
      await ensureDirectory(dirname(join(directory, name)));
      await writeFile(join(directory, name), text);
    }
    const flags = ['run', '--rm', '--network=none', '--user=0', '--workdir=/work', `--volume=${directory}:/work:ro`];
    const result = await execa('docker', [...flags, '--entrypoint=promtool', 'appliance/prometheus:1', ...args], {
      reject: false,
      all: true,
      timeout: 120_000,
    });
    return { exitCode: result.exitCode ?? -1, output: result.all };
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/** Seconds between two samples and two evaluations, as in the running configuration. */
export const step = 10;

/** One series, as amounts that it has, or grows by, in each step of a phase. */
export interface Series {
  readonly name: string;
  /** A counter grows by the value of its phase, a gauge is it. */
  readonly kind: 'counter' | 'gauge';
  readonly values: readonly number[];
  /** By how much a gauge changes in each step of a phase. */
  readonly slope?: readonly number[];
}

/** Whether an alert fires at an instant, in seconds from the start. */
interface Expectation {
  readonly at: number;
  readonly fires: boolean;
}

export interface AlertCase {
  readonly alert: string;
  /** Seconds that each phase takes, a multiple of the step. */
  readonly phases: readonly number[];
  readonly series: readonly Series[];
  readonly expect: readonly Expectation[];
}

/**
 * The input of `promtool test rules`.
 * @param ruleFiles names of files beside it
 * @param seconds between two samples and two evaluations
 */
export function ruleTest(ruleFiles: readonly string[], cases: readonly AlertCase[], seconds = step): string {
  return stringify(
    {
      rule_files: ruleFiles,
      evaluation_interval: `${seconds}s`,
      tests: cases.map(({ alert, phases, series, expect }) => ({
        name: alert,
        interval: `${seconds}s`,
        input_series: series.map((one) => ({ series: one.name, values: values(one, phases, seconds) })),
        promql_expr_test: expect.map(({ at, fires }) => ({
          expr: `count(ALERTS{alertname="${alert}",alertstate="firing"}) > bool 0 or vector(0)`,
          eval_time: `${at}s`,
          exp_samples: [{ labels: '{}', value: fires ? 1 : 0 }],
        })),
      })),
    },
    { lineWidth: 0 },
  );
}

/** In the notation of promtool: `a+bxn` is a, a+b, … n times after the first. */
function values({ kind, values, slope }: Series, phases: readonly number[], seconds: number): string {
  let total = 0;
  return phases
    .map((length, index) => {
      const value = values[index] ?? 0;
      const steps = Math.ceil(length / seconds);
      if (kind === 'gauge') return `${value}${signed(slope?.[index] ?? 0)}x${steps - 1}`;
      const text = `${total}+${value}x${steps - 1}`;
      total += value * steps;
      return text;
    })
    .join(' ');
}

function signed(value: number): string {
  return value < 0 ? String(value) : `+${value}`;
}
