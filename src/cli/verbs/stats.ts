import { percent } from '../../api/describe.ts';
import type { ServiceStat } from '../../api/schema.ts';
import { exitCodes } from '../../lib/errors.ts';
import { formatBytes } from '../../lib/units.ts';
import type { Call } from '../catalog.ts';
import { type Column, table } from '../output/table.ts';
import type { Session } from '../session.ts';
import { stopped } from './logs.ts';

export async function stats(call: Call<'stats'>, session: Session): Promise<number> {
  const { follow } = call.options;
  const client = await session.client();
  let drawn = 0;
  for await (const services of client.stream('stats', { follow }, session.signal)) {
    if (session.globals.json) {
      session.document(services);
    } else {
      const lines = services.length === 0 ? ['no containers are running'] : table(columns, services, session.out);
      // Over the table before, so that a terminal shows one that changes instead of a roll of paper.
      if (drawn > 0 && session.out.terminal) session.world.stdout.write(`\u001b[${drawn}A\u001b[J`);
      session.print(...lines);
      drawn = lines.length;
    }
    if (!follow) return exitCodes.done;
  }
  return stopped(session, follow);
}

const columns: readonly Column<ServiceStat>[] = [
  { title: 'SERVICE', value: (row) => row.service, least: 10 },
  { title: 'COLOUR', value: (row) => row.colour ?? '–', style: (row) => row.colour ?? 'dim' },
  { title: '%CPU', value: (row) => percent(row.cpuPercent), align: 'right' },
  { title: 'MEMORY', value: memory, align: 'right' },
  { title: 'RECEIVED', value: (row) => formatBytes(row.rxBytes), align: 'right', dropAt: 1 },
  { title: 'SENT', value: (row) => formatBytes(row.txBytes), align: 'right', dropAt: 2 },
  { title: 'PROCESSES', value: (row) => String(row.pids), align: 'right', dropAt: 3 },
];

function memory({ memoryBytes, memoryLimitBytes }: ServiceStat): string {
  if (memoryBytes === null) return '–';
  return memoryLimitBytes === null
    ? formatBytes(memoryBytes)
    : `${formatBytes(memoryBytes)} of ${formatBytes(memoryLimitBytes)}`;
}
