import { appendFile, mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import { z } from 'zod';
import { Lab } from '../support/appliance.ts';
import { Load } from '../support/load.ts';
import { main, median, type Row, range } from './row.ts';

export const about = `Support bundle: \`appliance support-bundle\` of the reference application with an agent, while 16 clients ask for
predictions' health without a pause; each backend has written 20,000 lines before, the agent's log has 10 MB and the access log
what the clients left. Seconds are those of the whole command, bytes those of the file.`;

const runs = Number(process.env.BENCH_RUNS ?? 10);
const port = 28_980;
const answer = z.object({
  bytes: z.number(),
  files: z.array(z.object({ path: z.string(), missing: z.string().nullable() })),
});

export async function bench(): Promise<Row[]> {
  const lab = await Lab.make({ name: 'benchsupport', port, pool: '10.251.0.0/16' });
  const out = join(lab.root, 'out');
  try {
    await mkdir(out);
    const deployed = await lab.run(['deploy', 'v1.0', '--yes']);
    if (deployed.exitCode !== 0) throw new Error(deployed.stderr.slice(-2_000));
    await lab.startAgent();
    await writeLogs(lab);
    const load = new Load({ port, path: '/health', keepAlive: 16, fresh: 0, pause: 0 });
    const took: number[] = [];
    const bytes: number[] = [];
    try {
      for (let run = 0; run < runs; run += 1) {
        const began = performance.now();
        const { exitCode, document } = await lab.json(['support-bundle', '--output', join(out, `${run}.tar.gz`)]);
        took.push((performance.now() - began) / 1_000);
        const made = answer.parse(document);
        const lost = made.files.filter(
          ({ path, missing }) => missing !== null && path.startsWith('logs/') && !missing.startsWith('cut'),
        );
        if (exitCode !== 0 || lost.length > 0) throw new Error(`the bundle is not whole: ${JSON.stringify(lost)}`);
        bytes.push(made.bytes / 1e6);
        await rm(join(out, `${run}.tar.gz`));
      }
    } finally {
      await load.stop();
    }
    return [
      {
        name: 'support bundle of a busy appliance',
        value: median(took),
        unit: 's',
        spread: `${range(took)} of ${runs} runs`,
        target: '≤ 10',
        met: median(took) <= 10,
      },
      {
        name: 'its size',
        value: Math.max(...bytes),
        unit: 'MB',
        spread: `${range(bytes)} of ${runs} runs`,
        target: '≤ 50',
        met: Math.max(...bytes) <= 50,
      },
    ];
  } finally {
    await lab.destroy();
  }
}

async function writeLogs(lab: Lab): Promise<void> {
  const line = JSON.stringify({ level: 30, time: '2026-01-01T00:00:00.000Z', msg: 'x'.repeat(80) });
  await appendFile(join(lab.root, 'log/agent.log'), `${line}\n`.repeat(Math.ceil(10e6 / line.length)));
  const { stdout } = await execa('docker', [
    'ps',
    '--quiet',
    '--filter',
    'label=appliance.name=benchsupport',
    '--filter',
    'label=appliance.service=backend',
  ]);
  const script =
    'i=0; while [ $i -lt 20000 ]; do echo "INFO a line of the application, number $i, password=hidden-$i"; i=$((i+1)); done > /proc/1/fd/1';
  await Promise.all(
    stdout
      .split('\n')
      .filter((id) => id !== '')
      .map((id) => execa('docker', ['exec', id, 'sh', '-c', script])),
  );
}

if (import.meta.main) await main(bench);
