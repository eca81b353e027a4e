import { age, wayBack } from '../../api/describe.ts';
import type { Status } from '../../api/schema.ts';
import { oneLine, wrap } from '../../lib/text.ts';
import {
  blank,
  bold,
  clip,
  dim,
  fill,
  type Glyphs,
  type Line,
  named,
  nameWidth,
  plain,
  type Segment,
} from '../line.ts';
import type { State } from '../state.ts';
import { colourOf, verdictColors } from './frame.ts';
import { belowLines, operationLines } from './operations.ts';
import { serviceLines } from './services.ts';

type Shown = Pick<State, 'link' | 'status' | 'operation' | 'history' | 'now'> & { readonly selected: number };

interface Room {
  readonly width: number;
  readonly height: number;
}

/** Lines that the services get before anything above them is left out. */
const leastServices = 6;
/** Lines that must be free before something stands below the services. */
const leastBelow = 3;

/** The overview: exactly as many lines as the screen has. */
export function overviewLines(shown: Shown, room: Room, glyphs: Glyphs): readonly Line[] {
  const { status } = shown;
  if (status === undefined) return fill(waitingLines(shown, room, glyphs), room.height);
  const top = topLines(shown, status, room, glyphs);
  const services = serviceLines(
    status.services,
    shown.selected,
    shown.now,
    { ...room, height: room.height - top.length },
    glyphs,
  );
  const spare = room.height - top.length - services.length - 1;
  const below = spare >= leastBelow ? [blank, ...belowLines(shown, { ...room, height: spare }, glyphs)] : [];
  return fill([...top, ...services, ...below], room.height);
}

/** Everything above the services. A short terminal gets less of it, so that the services are not pushed out. */
function topLines(shown: Shown, status: Status, room: Room, glyphs: Glyphs): Line[] {
  const state = stateLines(status, shown.now, room.width, glyphs);
  const operation = operationLines(shown, room.width, glyphs);
  const problems = problemLines(status, room, glyphs);
  const all = [...state, blank, ...withGap(operation), ...withGap(problems)];
  if (room.height - all.length >= leastServices) return all;
  // Which release, and where the traffic goes; a warm one in between is told where there is room.
  const essential = [state[0] ?? blank, state[status.warm ? 2 : 1] ?? blank];
  return [...essential, ...operation.slice(0, 1), ...problems].slice(0, Math.max(2, room.height - leastServices));
}

function withGap(lines: Line[]): Line[] {
  return lines.length === 0 ? [] : [...lines, blank];
}

function waitingLines({ link, now }: Shown, { width }: Room, glyphs: Glyphs): Line[] {
  if (link.kind === 'connecting' || link.kind === 'up') return [blank, [dim('  connecting to the agent')]];
  const left = Math.max(0, Math.ceil((link.retryAt - now) / 1_000));
  return [
    blank,
    [
      { text: ` ${glyphs.inconclusive} `, color: 'yellow', bold: true },
      bold(link.code === 'agent_unreachable' ? 'No agent is running.' : 'The agent cannot be used.'),
    ],
    ...(link.code === 'agent_unreachable' ? [] : wrap(link.message, width - 4).map((line) => [dim(`   ${line}`)])),
    blank,
    plain('   To start it:'),
    [dim('     under systemd   '), bold('systemctl start appliance')],
    [dim('     otherwise       '), bold('appliance agent --foreground')],
    blank,
    ...wrap('Every verb of the command line works without an agent too: appliance status', width - 4).map((line) => [
      dim(`   ${line}`),
    ]),
    blank,
    [dim(left === 0 ? '   trying again' : `   trying again in ${left} s`)],
  ];
}

function stateLines(status: Status, now: number, width: number, glyphs: Glyphs): Line[] {
  const { release, warm, edge, agent } = status;
  return [
    named(
      'Release',
      release
        ? [
            bold(release.tag),
            { text: ' on ' },
            { text: release.colour, color: colourOf(release.colour) },
            dim(`, live for ${age(release.since, now)}`),
          ]
        : [{ text: 'nothing is deployed yet; type ' }, bold('appliance deploy <tag>'), { text: ' in a shell' }],
      width,
      glyphs,
    ),
    ...(warm
      ? [
          named(
            'Warm',
            [{ text: `${warm.tag} on ` }, { text: warm.colour, color: colourOf(warm.colour) }, dim(`, ${wayBack}`)],
            width,
            glyphs,
          ),
        ]
      : []),
    named('Traffic', trafficBar(status.traffic, width - nameWidth - 3, glyphs), width, glyphs),
    named(
      'Edge',
      edge.reachable
        ? [{ text: `${edge.http} ${glyphs.dot} ${edge.https}` }]
        : [{ text: `${glyphs.fail} ${edge.http} does not answer`, color: 'red' }],
      width,
      glyphs,
    ),
    named('Backup', backupLine(status, now), width, glyphs),
    named(
      'Agent',
      [{ text: `pid ${agent.pid ?? glyphs.none}` }, dim(`, up for ${age(agent.since, now)}`)],
      width,
      glyphs,
    ),
  ];
}

/** `3 h ago, proven 3 h ago, next in 21 h`: what matters comes first where the line is cut. */
function backupLine({ backup }: Pick<Status, 'backup'>, now: number): Segment[] {
  const { lastSuccess, lastProvenRestore, nextRun } = backup;
  const last: Segment = lastSuccess
    ? { text: `${age(lastSuccess, now)} ago` }
    : { text: 'none yet', ...(nextRun === null ? {} : { color: 'yellow' }) };
  const proven = lastProvenRestore ? `proven ${age(lastProvenRestore, now)} ago` : 'no restore proven';
  const next = nextRun === null ? 'none planned' : `next in ${untilText(nextRun, now)}`;
  return [last, dim(`, ${proven}, ${next}`)];
}

function untilText(time: string, now: number): string {
  return age(new Date(2 * now - Date.parse(time)).toISOString(), now);
}

/** `blue 30 % ████████░░░░░░░░░░░░ green 70 %` */
export function trafficBar(traffic: Status['traffic'], width: number, glyphs: Glyphs): Line {
  const left = `blue ${traffic.blue} % `;
  const right = ` green ${traffic.green} %`;
  const length = Math.min(40, Math.max(4, width - left.length - right.length));
  const total = traffic.blue + traffic.green;
  const blue = total === 0 ? 0 : Math.round((traffic.blue / total) * length);
  // A colour that gets any traffic at all is seen in the bar.
  const shown = Math.min(traffic.green > 0 ? length - 1 : length, Math.max(traffic.blue > 0 ? 1 : 0, blue));
  const side = (weight: number, colour: 'blue' | 'green', text: string): Segment => ({
    text,
    color: colourOf(colour),
    dim: weight === 0,
  });
  if (total === 0) return [dim(`${left}${glyphs.empty.repeat(length)}${right}`)];
  return [
    side(traffic.blue, 'blue', left),
    { text: glyphs.full.repeat(shown), color: colourOf('blue') },
    { text: glyphs.empty.repeat(length - shown), color: colourOf('green') },
    side(traffic.green, 'green', right),
  ];
}

/** What is not as it should be; at most a third of the screen. */
function problemLines(status: Status, { width, height }: Room, glyphs: Glyphs): Line[] {
  const findings = status.findings
    .filter(({ verdict }) => verdict !== 'pass')
    .flatMap(({ verdict, observed, expected, hint }): Line[] => [
      [
        { text: ` ${glyphs[verdict]} `, color: verdictColors[verdict], bold: true },
        { text: oneLine(observed) },
        dim(expected === undefined ? '' : `, expected ${oneLine(expected)}`),
      ],
      ...(hint === undefined ? [] : [[dim(`   ${glyphs.arrow} ${oneLine(hint)}`)]]),
    ]);
  const alerts = status.alerts.map(
    ({ severity, summary }): Line => [
      { text: ` ${glyphs.fail} `, color: 'red', bold: true },
      { text: `${severity}: ${oneLine(summary)}` },
    ],
  );
  const all = [...findings, ...alerts];
  if (all.length === 0) return [];
  const most = Math.max(2, Math.floor(height / 3));
  const shown = all.length > most ? [...all.slice(0, most - 1), [dim('   and more: appliance status')]] : all;
  return shown.map((line) => clip(line, width, glyphs.cut));
}
