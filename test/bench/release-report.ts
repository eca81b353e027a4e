import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { execa } from 'execa';
import { Lab } from '../support/appliance.ts';
import { main, median, type Row, range } from './row.ts';

export const about = `Report: \`appliance report v0.9 --format html\` as a whole command, written to a file, for the reference application
after a deploy, beside a running agent.`;

const runs = Number(process.env.BENCH_RUNS ?? 10);
const project = resolve(import.meta.dirname, '../..');

export async function bench(): Promise<Row[]> {
  const bundle = await mkdtemp(join(tmpdir(), 'bench-report-'));
  await execa(process.execPath, [join(project, 'build.js'), '--outdir', bundle], { cwd: project });
  const lab = await Lab.make({
    name: 'benchreport',
    port: 28_950,
    pool: '10.248.0.0/16',
    entry: join(bundle, 'appliance.js'),
  });
  try {
    const deployed = await lab.run(['deploy', 'v0.9']);
    if (deployed.exitCode !== 0) throw new Error(deployed.stderr);
    await lab.startAgent();
    const took: number[] = [];
    for (let run = 0; run < runs; run += 1) {
      const began = performance.now();
      const told = await lab.run(['report', 'v0.9', '--format', 'html', '--output', join(lab.root, 'report.html')]);
      took.push((performance.now() - began) / 1_000);
      if (told.exitCode !== 0) throw new Error(told.stderr);
    }
    return [
      {
        name: 'report of a release as HTML',
        value: median(took),
        unit: 's',
        spread: `${range(took)} of ${runs} runs`,
        target: '≤ 1',
        met: median(took) <= 1,
      },
    ];
  } finally {
    await lab.destroy();
    await rm(bundle, { recursive: true, force: true });
  }
}

if (import.meta.main) await main(bench);
