import { seconds, stageOf } from '../../api/describe.ts';
import type { Rollout } from '../../api/schema.ts';
import { oneLine } from '../../lib/text.ts';
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
import type { Intent, Order } from '../order.ts';
import { releaseOrders } from '../orders/releases.ts';
import { rolloutOrders } from '../orders/rollout.ts';
import type { State } from '../state.ts';
import type { Canvas, Screen } from './screen.ts';
import { verdictColors } from './signs.ts';
import { trafficBar } from './traffic.ts';

const none: Intent = { kind: 'say', text: 'No rollout is running. A deploy with a policy begins one: d on Releases.' };

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
      hint: 'pause',
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
  const traffic = status
    ? [named('Traffic', trafficBar(status.traffic, width - nameWidth - 3, glyphs), width, glyphs)]
    : [];
  if (status === undefined) return fill([head, blank, [dim('   nothing is known before the agent answers')]], height);
  if (!rollout) {
    return fill(
      [
        head,
        blank,
        ...traffic,
        blank,
        plain('   No rollout is running. A deploy with a policy begins one:'),
        [dim('   '), bold('appliance deploy <tag> --policy <name>')],
        [dim('   appliance config policies'), dim(' lists the policies')],
      ].map((line) => clip(line, width, glyphs.cut)),
      height,
    );
  }
  return fill(
    [
      clip(
        [
          ...head,
          dim('  '),
          bold(rollout.to),
          dim(` by policy ${rollout.policy}, instead of ${rollout.from ?? 'nothing'}`),
        ],
        width,
        glyphs.cut,
      ),
      blank,
      ...traffic,
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
      blank,
      ...findingLines(rollout, width, glyphs),
      blank,
      ...historyLines(rollout, width, glyphs),
    ],
    height,
  );
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

/** `████████░░░░ 3 min 10 s of at least 10 min` */
function heldBar({ secondsHeld, secondsAtLeast }: Rollout, width: number, glyphs: Glyphs): Line {
  const length = Math.min(30, Math.max(8, width - 55));
  const full = secondsAtLeast <= 0 ? length : Math.round(Math.min(1, secondsHeld / secondsAtLeast) * length);
  return [
    { text: glyphs.full.repeat(full), color: 'cyan' },
    { text: glyphs.empty.repeat(length - full), dim: true },
    { text: ` ${seconds(secondsHeld)}` },
    dim(` of at least ${seconds(secondsAtLeast)}`),
  ];
}

/** What the analysis sees, with the samples that a verdict needs. */
function findingLines({ findings }: Rollout, width: number, glyphs: Glyphs): Line[] {
  if (findings.length === 0) return [[dim('   nothing was measured yet')]];
  return [
    [dim('   WHAT THE ANALYSIS SEES')],
    ...findings.map(({ verdict, observed, expected, samples, needed, role }) =>
      clip(
        [
          { text: ` ${glyphs[verdict]} `, color: verdictColors[verdict], bold: true },
          { text: oneLine(observed) },
          dim(expected === undefined ? '' : `, expected ${oneLine(expected)}`),
          dim(samples === undefined ? '' : `  ${samples}${needed === undefined ? '' : ` of ${needed}`} samples`),
          dim(role === undefined ? '' : `  ${role}`),
        ],
        width,
        glyphs.cut,
      ),
    ),
  ];
}

const outcomes = {
  passed: 'pass',
  promoted: 'pass',
  failed: 'fail',
  aborted: 'fail',
  inconclusive: 'inconclusive',
} as const;

function historyLines({ history }: Rollout, width: number, glyphs: Glyphs): Line[] {
  return [
    [dim('   STAGES')],
    ...history.map(({ weight, kind, secondsHeld, outcome, promotedBy }, index) => {
      const verdict = outcome === null ? undefined : outcomes[outcome];
      return clip(
        [
          verdict === undefined
            ? { text: ` ${glyphs.running} `, color: 'cyan' }
            : { text: ` ${glyphs[verdict]} `, color: verdictColors[verdict] },
          { text: `${index + 1}  ${`${weight} %`.padStart(5)}  ${kind.padEnd(6)}` },
          dim(`  held ${seconds(secondsHeld)}`),
          { text: `  ${outcome ?? 'now'}${promotedBy === null ? '' : ` by ${oneLine(promotedBy)}`}` },
        ],
        width,
        glyphs.cut,
      );
    }),
  ];
}
