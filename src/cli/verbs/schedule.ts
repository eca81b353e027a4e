import { age } from '../../api/describe.ts';
import type { JobView } from '../../api/schedule.ts';
import { exitCodes } from '../../lib/errors.ts';
import type { Call } from '../catalog.ts';
import { type Look, mark, paint, speak } from '../output/look.ts';
import { table } from '../output/table.ts';
import type { Session } from '../session.ts';
import { operate, waitOf } from './operate.ts';

export async function list(_: Call<'schedule'>, session: Session): Promise<number> {
  const jobs = await (await session.client()).ask('schedule', {}, session.signal);
  session.answer(jobs, () => jobsLines(jobs, session.out, Date.now()));
  return exitCodes.done;
}

export async function run(call: Call<'schedule run'>, session: Session): Promise<number> {
  const { wait, detach } = call.options;
  const { job } = call.args;
  return operate(session, {
    route: 'scheduleRun',
    title: `schedule run ${job}`,
    detach,
    input: { job, wait: waitOf(wait) },
  });
}

/** @param now milliseconds since 1970 */
export function jobsLines(jobs: readonly JobView[], look: Look, now: number): string[] {
  const zones = [...new Set(jobs.map(({ zone }) => zone))];
  return [
    ...table(
      [
        { title: 'JOB', value: ({ name }) => name, least: 6 },
        { title: 'WHEN', value: ({ schedule }) => schedule, least: 8 },
        { title: 'NEXT', value: ({ nextRun, state }) => nextText(nextRun, state, now) },
        { title: 'LAST', value: ({ last }) => (last ? `${age(last.endedAt ?? last.startedAt, now)} ago` : '-') },
        { title: 'RESULT', value: ({ last }) => last?.result ?? '-', style: styleOf },
        { title: 'WHAT', value: ({ title }) => title, dropAt: 1 },
      ],
      jobs,
      look,
      2,
    ),
    paint(look, 'dim', `  times of day by the clock of ${zones.join(', ')}`),
    ...jobs.flatMap((job) => notesOf(job, look)),
  ];
}

function notesOf({ name, state, waitsFor, last, overdueSeconds }: JobView, look: Look): string[] {
  if (state === 'waiting')
    return [`${mark(look, 'inconclusive')} ${speak(look, `${name} waits for its turn: ${waitsFor ?? ''}`)}`];
  if (state === 'running' || overdueSeconds === 0 || !last?.error) return [];
  return [`${mark(look, 'fail')} ${speak(look, `${name} has not succeeded since it was due: ${last.error}`)}`];
}

function styleOf({ last }: JobView): 'red' | 'yellow' | undefined {
  if (last?.result === 'failed') return 'red';
  return last?.result === 'interrupted' ? 'yellow' : undefined;
}

/** `in 3 h`, `now`; by UTC beside it nobody would know which night is meant. */
function nextText(next: string | null, state: JobView['state'], now: number): string {
  if (state !== 'idle') return state;
  if (next === null) return '-';
  const left = Date.parse(next) - now;
  return left <= 0 ? 'now' : `in ${age(new Date(now - left).toISOString(), now)}`;
}
