import { z } from 'zod';
import { Lab } from '../support/appliance.ts';
import { main, median, type Row, range } from './row.ts';

export const about = `Checks: \`appliance check preflight\` and \`appliance check config\` one after the other for the reference
application before its first deploy, by the demands of the policy routing-ml; the seconds are those that the reports say.`;

const runs = Number(process.env.BENCH_RUNS ?? 10);
const reportSchema = z.object({ seconds: z.number(), checks: z.array(z.object({ id: z.string() })).min(10) });

export async function bench(): Promise<Row[]> {
  const lab = await Lab.make({ name: 'benchchecks', port: 28_940, pool: '10.247.0.0/16' });
  try {
    const took: number[] = [];
    let checks = 0;
    for (let run = 0; run < runs; run += 1) {
      const reports = [];
      for (const group of ['preflight', 'config'])
        reports.push(
          reportSchema.parse((await lab.json(['check', group, '--tag', 'v1.0', '--policy', 'routing-ml'])).document),
        );
      took.push(reports.reduce((sum, { seconds }) => sum + seconds, 0));
      checks = reports.reduce((sum, one) => sum + one.checks.length, 0);
    }
    return [
      {
        name: `all ${checks} checks of preflight and config`,
        value: median(took),
        unit: 's',
        spread: `${range(took)} of ${runs} runs`,
        target: '≤ 3',
        met: median(took) <= 3,
      },
    ];
  } finally {
    await lab.destroy();
  }
}

if (import.meta.main) await main(bench);
