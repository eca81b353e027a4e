import { seconds, stageOf } from '../../api/describe.ts';
import type { Rollout, Status } from '../../api/schema.ts';
import { otherColour } from '../../lib/colour.ts';
import { count, oneLine } from '../../lib/text.ts';
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
  widthOf,
} from '../line.ts';
import type { Intent, Order } from '../order.ts';
import { releaseOrders } from '../orders/releases.ts';
import { rolloutOrders } from '../orders/rollout.ts';
import type { State } from '../state.ts';
import { windowAround } from '../window.ts';
import type { Room } from './columns.ts';
import { belowLines, operationLines } from './operations.ts';
import type { Canvas, Screen } from './screen.ts';
import { colourOf, verdictColors } from './signs.ts';
import { trafficBar } from './traffic.ts';

const none: Intent = { kind: 'say', text: 'No rollout is running. On Releases d begins one: TAG --policy NAME.' };

function withRollout(order: (rollout: Rollout, state: State) => Order): (state: State) => Intent {
  return (state) => (state.status?.rollout ? { kind: 'order', order: order(state.status.rollout, state) } : none);
}

/** A progressive rollout: its stages, the shares, and what the analysis says of the stage that is held. */
export const rolloutScreen: Screen = {
  name: 'rollout',
  title: 'Rollout',
  key: '5',
  kind: 'page',
  actions: [
    {
      name: 'pause',
      keys: ['p'],
      help: 'hold the rollout at the share it has, or let it go on',
      hint: 'pause, resume',
      changes: true,
      act: withRollout((rollout, state) =>
        rollout.state === 'paused' ? rolloutOrders.resume(state) : rolloutOrders.pause(state),
      ),
    },
    {
      name: 'promote',
      keys: ['m'],
      help: 'pass the stage, whatever its gates say',
      hint: 'promote',
      changes: true,
      act: withRollout((_, state) => rolloutOrders.promote(false, state)),
    },
    {
      name: 'promote-all',
      keys: ['M'],
      help: 'pass every stage that is left',
      changes: true,
      act: withRollout((_, state) => rolloutOrders.promote(true, state)),
    },
    {
      name: 'abort',
      keys: ['a'],
      help: 'take the rollout, or a deploy before its first request, back at once',
      hint: 'abort',
      changes: true,
      act: (state): Intent => {
        const { status, operation } = state;
        if (!status?.rollout && !operation?.title.startsWith('deploy')) return none;
        const from = status?.rollout?.from ?? status?.release?.tag ?? null;
        return { kind: 'order', order: rolloutOrders.abort(from, state) };
      },
    },
    {
      name: 'rollback',
      keys: ['b'],
      help: 'go back to the release before the live one',
      hint: 'roll back',
      changes: true,
      act: (): Intent => ({ kind: 'order', order: releaseOrders.rollback(undefined) }),
    },
  ],
  lines: rolloutLines,
};

function rolloutLines(state: State, { width, height, glyphs }: Canvas): readonly Line[] {
  const { status } = state;
  const rollout = status?.rollout;
  const head: Line = [bold(' Rollout')];
  if (status === undefined) return fill([head, blank, [dim('   nothing is known before the agent answers')]], height);
  const traffic = named('Traffic', trafficBar(status.traffic, width - nameWidth - 3, glyphs), width, glyphs);
  if (!rollout) return fill([head, blank, traffic, blank, ...withoutRollout(state, { width, height }, glyphs)], height);
  const above = [
    clip([...head, ...namesOf(rollout, status)], width, glyphs.cut),
    blank,
    traffic,
    named('State', [moodOf(rollout, glyphs), dim(`  operation ${rollout.operation}`)], width, glyphs),
    named('Stage', [{ text: stageOf(rollout) }], width, glyphs),
    named('Held', heldBar(rollout, width, glyphs), width, glyphs),
    named(
      'Verdict',
      [
        { text: `${glyphs[rollout.verdict]} ${rollout.verdict}`, color: verdictColors[rollout.verdict], bold: true },
        dim(rollout.waiting === null ? '' : `  ${oneLine(rollout.waiting)}`),
      ],
      width,
      glyphs,
    ),
  ];
  // Where there is no room for both, the stages keep a third of it.
  const room = height - above.length;
  const stages = stageLines(rollout, width, glyphs);
  const forStages = Math.min(stages.length + 1, Math.max(0, room - rollout.findings.length - 2, Math.floor(room / 3)));
  const findings = findingLines(rollout, { width, height: room - forStages - 1 }, glyphs);
  const { first } = windowAround(stages.length - 1, forStages - 2, rollout.history.length - 1);
  const shown = forStages < 3 ? [] : [blank, ...stages.slice(0, 1), ...stages.slice(1 + first).slice(0, forStages - 2)];
  return fill([...above, blank, ...findings, ...shown], height);
}

/** What is there instead: the deploy before its first stage, or how the last operation has ended, and how a rollout begins. */
function withoutRollout(state: State, { width, height }: Room, glyphs: Glyphs): readonly Line[] {
  const operation = operationLines(state, width, glyphs);
  if (state.operation) {
    const room = { width, height: height - 5 - operation.length };
    return [...operation, blank, ...belowLines(state, room, glyphs)];
  }
  return [
    ...operation,
    ...(operation.length === 0 ? [] : [blank]),
    ...[
      plain('   No rollout is running. A deploy with a policy begins one; on Releases d takes'),
      [dim('   '), bold('TAG --policy NAME'), dim(', in a shell it is '), bold('appliance deploy TAG --policy NAME')],
      [dim('   appliance config policies'), dim(' lists the policies')],
    ].map((line) => clip(line, width, glyphs.cut)),
  ];
}

/** `v1.1 on green by policy flash, instead of v1.0 on blue` */
function namesOf({ to, from, policy }: Rollout, { release }: Status): Line {
  // What has all of the traffic is recorded as live, and still watched.
  const colour = release && (release.tag === to ? release.colour : otherColour(release.colour));
  const on = (name: typeof colour): Segment[] => (name ? [dim(' on '), { text: name, color: colourOf(name) }] : []);
  return [
    dim('  '),
    bold(to),
    ...on(colour),
    dim(` by policy ${policy}, instead of ${from ?? 'nothing'}`),
    ...(from === null ? [] : on(colour && otherColour(colour))),
  ];
}

function moodOf({ state }: Rollout, glyphs: Glyphs): Segment {
  const moods = {
    running: { text: `${glyphs.running} running`, color: 'cyan' },
    paused: { text: `${glyphs.inconclusive} paused; p lets it go on`, color: 'yellow' },
    finishing: { text: `${glyphs.pass} finishing`, color: 'green' },
    aborting: { text: `${glyphs.fail} being taken back`, color: 'red' },
  } as const;
  return moods[state];
}

/** Whole seconds: what moves ten times a second cannot be read. */
function whole(value: number): string {
  return seconds(Math.floor(value)).replace('.0 s', ' s').replace('0 ms', '0 s');
}

/** `████████░░░░ 3 min 10 s of at least 10 min` */
function heldBar({ secondsHeld, secondsAtLeast }: Rollout, width: number, glyphs: Glyphs): Line {
  const length = Math.min(30, Math.max(8, width - 55));
  const full = secondsAtLeast <= 0 ? length : Math.round(Math.min(1, secondsHeld / secondsAtLeast) * length);
  return [
    { text: glyphs.full.repeat(full), color: 'cyan' },
    { text: glyphs.empty.repeat(length - full), dim: true },
    { text: ` ${whole(secondsHeld)}` },
    dim(` of at least ${whole(secondsAtLeast)}`),
  ];
}

const urgency = { fail: 0, inconclusive: 1, pass: 2 } as const;

/** What the analysis sees, with the samples that a verdict still needs. Where not all fit, what passes is left out first. */
function findingLines({ findings }: Rollout, { width, height }: Room, glyphs: Glyphs): Line[] {
  if (findings.length === 0) return [[dim('   nothing was measured yet')]];
  const most = Math.max(1, height - 1);
  const all = findings.length <= most;
  const shown = all
    ? findings
    : [...findings].sort((a, b) => urgency[a.verdict] - urgency[b.verdict]).slice(0, most - 1);
  return [
    [dim('   WHAT THE ANALYSIS SEES')],
    ...shown.map((finding) => findingLine(finding, width, glyphs)),
    ...(all ? [] : [[dim(`   and ${findings.length - shown.length} more`)]]),
  ];
}

function findingLine(finding: Rollout['findings'][number], width: number, glyphs: Glyphs): Line {
  const { verdict, observed, expected, samples, needed, role } = finding;
  const line = (seen: string): Line => [
    { text: ` ${glyphs[verdict]} `, color: verdictColors[verdict], bold: true },
    { text: seen },
    dim(expected === undefined ? '' : `, expected ${oneLine(expected)}`),
    dim(samples === undefined ? '' : `  ${count(samples, 'sample')}${needed ? `, ${needed} more needed` : ''}`),
    dim(role === undefined ? '' : `  ${role}`),
  ];
  // What stands in parentheses is told by the other columns as well.
  const whole = line(oneLine(observed));
  return widthOf(whole) <= width ? whole : clip(line(oneLine(observed).replace(/ \([^)]*\)/g, '')), width, glyphs.cut);
}

const outcomes = {
  passed: 'pass',
  promoted: 'pass',
  failed: 'fail',
  aborted: 'fail',
  inconclusive: 'inconclusive',
} as const;

/** The stages: those that have ended, the one that is held, and what is still to come. */
function stageLines({ history, ahead = [] }: Rollout, width: number, glyphs: Glyphs): Line[] {
  const row = (index: number, weight: number, kind: string) =>
    `${index + 1}  ${`${weight} %`.padStart(5)}  ${kind.padEnd(6)}`;
  return [
    [dim('   STAGES')],
    ...history.map(({ weight, kind, secondsHeld, outcome, promotedBy }, index) => {
      const verdict = outcome === null ? undefined : outcomes[outcome];
      return clip(
        [
          verdict === undefined
            ? { text: ` ${glyphs.running} `, color: 'cyan' }
            : { text: ` ${glyphs[verdict]} `, color: verdictColors[verdict] },
          { text: row(index, weight, kind) },
          dim(`  held ${whole(secondsHeld)}`),
          { text: `  ${outcome ?? 'now'}${promotedBy === null ? '' : ` by ${oneLine(promotedBy)}`}` },
        ],
        width,
        glyphs.cut,
      );
    }),
    ...ahead.map(({ weight, kind, secondsAtLeast }, index) =>
      clip(
        [dim(` ${glyphs.skipped} ${row(history.length + index, weight, kind)}  at least ${whole(secondsAtLeast)}`)],
        width,
        glyphs.cut,
      ),
    ),
  ];
}
