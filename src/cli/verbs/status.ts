import {
  age,
  backupLine,
  conditionOf,
  percent,
  requestsLine,
  rolloutLine,
  titleOf,
  wayBack,
} from '../../api/describe.ts';
import type { ServiceStatus, Status } from '../../api/schema.ts';
import { exitCodes } from '../../lib/errors.ts';
import { formatBytes } from '../../lib/units.ts';
import type { Call } from '../catalog.ts';
import { exitCodeOfVerdict } from '../exit.ts';
import { type Look, type Mark, mark, paint, type Style, speak } from '../output/look.ts';
import { type Column, table } from '../output/table.ts';
import type { Session } from '../session.ts';

export async function status(_: Call<'status'>, session: Session): Promise<number> {
  const now = await (await session.client()).ask('status', {}, session.signal);
  session.answer(now, () => statusLines(now, session.out, Date.now()));
  return exitCodeOfVerdict(now.verdict);
}

export async function ps(_: Call<'ps'>, session: Session): Promise<number> {
  const services = await (await session.client()).ask('ps', {}, session.signal);
  session.answer(services, () =>
    services.length === 0
      ? ['no containers; appliance up starts them']
      : table(serviceColumns(session.out, Date.now()), services, session.out),
  );
  return exitCodes.done;
}

/** Findings that say something also when all is well, and what their lines are called. */
const watching: ReadonlyMap<string, string> = new Map([
  ['monitoring', 'watched'],
  ['grafana', 'grafana'],
]);

/** The one-glance text. @param now milliseconds since 1970 */
export function statusLines(status: Status, look: Look, now: number): string[] {
  const { release, warm, operation, edge, agent } = status;
  const headline = release
    ? `${paint(look, 'bold', release.tag)} on ${paint(look, release.colour, release.colour)}, live for ${age(release.since, now)}`
    : 'nothing is deployed yet; appliance deploy <tag> starts';
  const line = (name: string, text: string) => `  ${paint(look, 'dim', name.padEnd(9))} ${speak(look, text)}`;
  return [
    `${mark(look, status.verdict)} ${paint(look, 'bold', status.name)}  ${headline}`,
    ...(warm ? [line('warm', `${warm.tag} on ${warm.colour}, ${wayBack}`)] : []),
    line('traffic', `blue ${status.traffic.blue} % · green ${status.traffic.green} %`),
    ...(status.requests ? [line('requests', requestsLine(status.requests))] : []),
    line('edge', `${edge.http} · ${edge.https}${edge.reachable ? '' : ' · does not answer'}`),
    line('backup', backupLine(status.backup, now)),
    line('agent', agent.running ? `running, pid ${agent.pid}, for ${age(agent.since, now)}` : 'not running'),
    ...(operation
      ? [
          line(
            'running',
            `${titleOf(operation.kind, operation.step)}, ${Math.round(operation.progress)} %, by ${operation.actor.user} for ${age(operation.startedAt, now)}`,
          ),
        ]
      : []),
    ...status.findings
      .filter(({ id, verdict }) => verdict === 'pass' && watching.has(id))
      .map(({ id, observed }) => line(watching.get(id) ?? id, observed)),
    ...rolloutLines(status, line, look),
    ...problemLines(status, look),
    ...(status.services.length === 0 ? [] : ['', ...table(serviceColumns(look, now), status.services, look, 2)]),
  ];
}

/** How far a rollout is, and each number that it goes by. */
function rolloutLines({ rollout }: Status, line: (name: string, text: string) => string, look: Look): string[] {
  if (!rollout) return [];
  return [
    line('rollout', rolloutLine(rollout)),
    ...rollout.findings.map(({ id, verdict, observed, expected, hint }) => {
      const limit = expected === undefined ? '' : ` (expected ${expected})`;
      const missing = hint === undefined ? '' : `, ${hint}`;
      return `            ${mark(look, verdict)} ${speak(look, `${id}: ${observed}${limit}${missing}`)}`;
    }),
  ];
}

/** Everything that is not as it should be, with advice. */
function problemLines(status: Status, look: Look): string[] {
  const findings = status.findings.filter(({ verdict }) => verdict !== 'pass');
  return [
    ...findings.flatMap(({ verdict, id, observed, expected, hint }) => [
      `${mark(look, verdict)} ${speak(look, `${id}: ${observed}${expected === undefined ? '' : `, expected ${expected}`}`)}`,
      ...(hint === undefined ? [] : [speak(look, `  → ${hint}`)]),
    ]),
    ...status.alerts.map(
      ({ severity, summary }) => `${mark(look, alertMarks[severity] ?? 'fail')} ${severity}: ${speak(look, summary)}`,
    ),
  ];
}

/** News is no fault. */
const alertMarks: Readonly<Record<string, Mark>> = { critical: 'fail', warning: 'inconclusive', info: 'skipped' };

const conditionStyles: Readonly<Record<Mark, Style>> = {
  pass: 'green',
  fail: 'red',
  inconclusive: 'yellow',
  running: 'cyan',
  skipped: 'dim',
};

function serviceColumns(look: Look, now: number): Column<ServiceStatus>[] {
  const uncoloured = { ...look, colour: false };
  const style = (row: ServiceStatus) => conditionStyles[conditionOf(row)];
  return [
    { title: '', value: (row) => mark(uncoloured, conditionOf(row)), style },
    { title: 'SERVICE', value: (row) => row.name, least: 10 },
    { title: 'COLOUR', value: (row) => row.colour ?? '–', style: (row) => row.colour ?? 'dim' },
    { title: 'STATE', value: (row) => row.state, least: 7 },
    { title: 'HEALTH', value: (row) => row.health ?? '–', style },
    { title: '%CPU', value: (row) => percent(row.cpuPercent), align: 'right', dropAt: 2 },
    {
      title: 'MEMORY',
      value: (row) => (row.memoryBytes === null ? '–' : formatBytes(row.memoryBytes)),
      align: 'right',
      dropAt: 1,
    },
    { title: 'RESTARTS', value: (row) => String(row.restarts), align: 'right', dropAt: 3 },
    { title: 'SINCE', value: (row) => age(row.since, now), align: 'right', dropAt: 4 },
    { title: 'IMAGE', value: (row) => row.image, dropAt: 5 },
  ];
}
