import type { Backup, BackupDetail } from '../../api/backups.ts';
import { age, type Condition, seconds } from '../../api/describe.ts';
import type { JobView } from '../../api/schedule.ts';
import { count, oneLine } from '../../lib/text.ts';
import { formatBytes, formatDuration } from '../../lib/units.ts';
import { bold, clip, dim, type Glyphs, type Line, named, namedText, nameWidth, plain } from '../line.ts';
import type { Intent } from '../order.ts';
import { backupOrders, restoreComponents } from '../orders/backups.ts';
import { scheduleOrders } from '../orders/schedule.ts';
import { word } from '../orders/word.ts';
import type { State } from '../state.ts';
import { type Column, fitting, type Room } from './columns.ts';
import { listScreen } from './list.ts';
import { conditionColors, utcOf, verdictColors } from './signs.ts';

const nothingMarked: Intent = { kind: 'say', text: 'No snapshot is marked.' };
const lost = 'the next prune forgets it';

const keptOf = ({ kept, problem }: Backup) => oneLine(problem ?? (kept.length > 0 ? kept.join(', ') : lost));
const agoOf = (time: string, now: number) => `${age(time, now)} ago`;

/** Good is only what was restored once; one that retention drops is on its way out. */
function conditionOf({ problem, proven, kept }: Backup): Condition {
  if (problem !== null) return 'fail';
  if (proven !== null) return 'pass';
  return kept.length === 0 ? 'skipped' : 'inconclusive';
}

export const backupsScreen = listScreen<Backup>({
  name: 'backups',
  title: 'Backups',
  command: 'backup list',
  key: '7',
  feed: 'backups',
  noun: 'snapshot',
  rows: ({ documents }) => documents.backups?.data?.snapshots,
  id: ({ id }) => id,
  condition: conditionOf,
  columns: columnsOf,
  about: ({ documents, now }, { width, height }, glyphs) =>
    (documents.backups?.data?.jobs ?? []).slice(0, Math.floor(height / 5)).map((job, _, jobs) => {
      const name = job.name.padEnd(Math.max(nameWidth, ...jobs.map((one) => one.name.length + 2)));
      return clip([dim(` ${name}`), ...jobSegments(job, now, glyphs)], width, glyphs.cut);
    }),
  details: detailsOf,
  empty: { text: 'There is no snapshot yet. This makes one:', command: 'appliance backup now' },
  actions: [
    {
      name: 'show',
      keys: ['Enter'],
      help: 'all about the marked snapshot: its parts, and what drills have shown',
      hint: 'show',
      changes: false,
      act: (row): Intent => (row ? lookAt(row) : nothingMarked),
    },
    {
      name: 'now',
      keys: ['n'],
      help: 'make a snapshot now',
      hint: 'back up now',
      changes: true,
      act: (): Intent => ({ kind: 'order', order: backupOrders.now() }),
    },
    {
      name: 'restore',
      keys: ['R'],
      help: 'put the data of the marked snapshot in the place of those in use, after the plan was shown',
      hint: 'restore',
      changes: true,
      act: (row, { status }): Intent => {
        if (!row) return nothingMarked;
        if (row.problem !== null) return { kind: 'say', text: `${row.id} cannot be restored: ${oneLine(row.problem)}` };
        if (!status) return { kind: 'say', text: 'The agent has not answered yet.' };
        return askRestore(row.id, status.name);
      },
    },
    {
      name: 'drill',
      keys: ['D'],
      help: 'restore the marked snapshot into throw-away containers and look at what comes out',
      hint: 'drill',
      changes: true,
      act: (row): Intent => (row ? { kind: 'order', order: backupOrders.drill(row.id) } : nothingMarked),
    },
    {
      name: 'job',
      keys: ['J'],
      help: 'run one of the jobs above the list now, as the clock would',
      hint: 'run job',
      changes: true,
      act: (_, state): Intent => askJob(state),
    },
    {
      name: 'verify',
      keys: ['v'],
      help: 'read the marked snapshot back and compare every byte with its checksum',
      hint: 'verify',
      changes: true,
      act: (row): Intent => (row ? { kind: 'order', order: backupOrders.verify(row.id) } : nothingMarked),
    },
    {
      name: 'protect',
      keys: ['p'],
      help: 'keep the marked snapshot whatever the policy says, or no longer',
      hint: 'protect',
      changes: true,
      act: (row): Intent =>
        row ? { kind: 'order', order: backupOrders.protect(row.id, !row.protected) } : nothingMarked,
    },
  ],
});

/** Which job; the first that is overdue is offered. */
function askJob(state: State): Intent {
  const jobs = state.documents.backups?.data?.jobs ?? [];
  const [offered] = [...jobs].sort((a, b) => b.overdueSeconds - a.overdueSeconds);
  if (offered === undefined) return { kind: 'say', text: 'Nothing runs by the clock here.' };
  return {
    kind: 'ask',
    label: `job (${jobs.map(({ name }) => name).join(', ')})`,
    text: offered.name,
    next: (text) => {
      const job = jobs.find(({ name }) => name === text.trim());
      if (job === undefined) return { kind: 'say', text: `There is no job "${text}".` };
      return { kind: 'order', order: scheduleOrders.run(job, state) };
    },
  };
}

/** Which part first: whoever has lost rows does not want the models of then. */
function askRestore(id: string, appliance: string): Intent {
  return {
    kind: 'ask',
    label: `what (${restoreComponents.join(', ')})`,
    text: 'all',
    next: (text) => {
      const component = restoreComponents.find((one) => one === text.trim());
      if (component === undefined) return { kind: 'say', text: `A snapshot has no part "${text}".` };
      return { kind: 'order', order: backupOrders.restore(id, component, appliance) };
    },
  };
}

function columnsOf(rows: readonly Backup[], { now }: State, glyphs: Glyphs): readonly Column<Backup>[] {
  const bytes = (value: number | null) => (value === null ? glyphs.none : formatBytes(value));
  return [
    { title: 'SNAPSHOT', width: fitting(rows, ({ id }) => id, 10, 40), text: ({ id }) => id },
    { title: 'KIND', width: fitting(rows, ({ kind }) => kind, 7, 13), text: ({ kind }) => kind },
    { title: 'AGE', width: 11, align: 'right', text: ({ time }) => age(time, now) },
    { title: 'SIZE', width: 8, align: 'right', text: (row) => bytes(row.bytes) },
    {
      title: 'PROVEN',
      width: 15,
      text: ({ proven }) => (proven === null ? 'never' : agoOf(proven.time, now)),
      color: (row) => conditionColors[row.proven === null ? 'inconclusive' : 'pass'],
    },
    { title: 'KEPT', width: fitting(rows, keptOf, 8, 40), text: keptOf },
    { title: 'NEW', width: 8, align: 'right', text: ({ added }) => bytes(added) },
  ];
}

/** How the last run ended, when the next one is due, when it runs. */
function jobSegments(
  { schedule, zone, state, last, nextRun, overdueSeconds, waitsFor }: JobView,
  now: number,
  glyphs: Glyphs,
) {
  const ended = last?.result === 'done' ? 'pass' : last?.result === 'running' ? 'running' : 'fail';
  const condition: Condition =
    state === 'off' ? 'skipped' : overdueSeconds > 0 || last === null ? 'inconclusive' : ended;
  const next = nextRun === null ? undefined : Math.max(0, Date.parse(nextRun) - now);
  return [
    { text: `${glyphs[condition]} `, color: conditionColors[condition] },
    { text: last === null ? 'never ran' : `${last.result} ${agoOf(last.endedAt ?? last.startedAt, now)}` },
    { text: last?.error ? `: ${oneLine(last.error)}` : '' },
    ...(overdueSeconds > 0 ? [{ text: `, overdue by ${seconds(overdueSeconds)}`, color: 'yellow' }] : []),
    { text: waitsFor === null ? '' : `, waits for ${waitsFor}` },
    { text: state === 'off' ? ', switched off' : next === undefined ? '' : `, next in ${formatDuration(next)}` },
    // A zone tells of a time of day, not of a time after something.
    dim(`  ${schedule}${/\d:\d\d/.test(schedule) ? ` ${zone}` : ''}`),
  ];
}

function detailsOf(row: Backup, { now }: State, { width }: Room, glyphs: Glyphs): readonly Line[] {
  const parts = row.components.map(({ name, bytes }) => `${name} ${formatBytes(bytes)}`).join('  ');
  return [
    named('Marked', [bold(row.id), dim(`  ${row.kind}, ${agoOf(row.time, now)}`)], width, glyphs),
    ...namedText('Parts', parts || 'unknown', width, glyphs),
    named(
      'Proven',
      row.proven
        ? [{ text: `${glyphs.pass} restored in ${seconds(row.proven.seconds)}, ${agoOf(row.proven.time, now)}` }]
        : [{ text: `${glyphs.inconclusive} never restored; D proves it` }],
      width,
      glyphs,
    ),
    ...namedText('Kept', keptOf(row), width, glyphs, row.problem === null ? undefined : 'red'),
  ];
}

function lookAt({ id }: Backup): Intent {
  return {
    kind: 'look',
    title: `Snapshot ${id}`,
    command: `appliance backup show ${word(id)}`,
    load: async (client, signal) => showLines(await client.ask('backupShow', { snapshot: id }, signal)),
  };
}

function showLines({ time, kind, release, proven, kept, components, models, findings, drills }: BackupDetail): Line[] {
  const rowsOf = (rows: Readonly<Record<string, number>> | null) =>
    rows === null
      ? ''
      : `  ${count(
          Object.values(rows).reduce((sum, one) => sum + one, 0),
          'row',
        )} in ${count(Object.keys(rows).length, 'table')}`;
  return [
    [dim('Made         '), { text: `${utcOf(time)}  ${kind}${release ? `, while ${release.tag} was live` : ''}` }],
    [
      dim('Proven       '),
      { text: proven ? `${utcOf(proven.time)}, restored in ${seconds(proven.seconds)}` : 'never' },
    ],
    [dim('Kept         '), { text: kept.join(', ') || lost }],
    [],
    [bold('Parts')],
    ...components.map(({ name, bytes, rows, sha256 }) =>
      plain(`  ${name}  ${formatBytes(bytes)}${rowsOf(rows)}  ${sha256?.slice(0, 16) ?? ''}`.trimEnd()),
    ),
    ...(models.length === 0 ? [] : [[], [bold('Models')]]),
    ...models.map(({ name, version, bytes }) => plain(`  ${name}@${version}  ${formatBytes(bytes)}`)),
    ...(findings.length === 0 ? [] : [[], [bold('What was seen when it was made')]]),
    ...findings.map(findingLine),
    [],
    [bold('Drills')],
    ...(drills.length === 0 ? [plain('  none on this host; D makes one')] : []),
    ...drills.flatMap((drill): Line[] => [
      [
        { text: `  ${drill.verdict}`, color: verdictColors[drill.verdict], bold: true },
        {
          text: `  ${utcOf(drill.time)}${drill.depth === 'deep' ? ', in depth' : ''}, restored in ${seconds(drill.seconds)}`,
        },
      ],
      ...drill.findings.map(findingLine),
      ...drill.untested.map((what) => plain(`    not tested: ${oneLine(what)}`)),
    ]),
  ];
}

function findingLine({ id, verdict, observed, hint }: BackupDetail['findings'][number]): Line {
  return [
    { text: `    ${verdict}  `, color: verdictColors[verdict] },
    { text: `${id}: ${oneLine(observed)}` },
    dim(hint === undefined ? '' : `  ${oneLine(hint)}`),
  ];
}
