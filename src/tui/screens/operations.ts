import { age, failureLine, seconds, successLine } from '../../api/describe.ts';
import type { OperationResult } from '../../api/schema.ts';
import { displayWidth, oneLine, wrap } from '../../lib/text.ts';
import { formatDuration } from '../../lib/units.ts';
import { bold, clip, dim, type Glyphs, type Line, named, nameWidth, type Segment } from '../line.ts';
import type { LiveOperation, LiveStep } from '../operation.ts';
import type { State } from '../state.ts';
import { windowAround } from '../window.ts';
import { conditionColors } from './signs.ts';

/** Lines that the reason of a failure may have besides its first. */
const mostMore = 2;

type Shown = Pick<State, 'operation' | 'history' | 'now'>;

/** The running operation, else the last one. */
export function operationLines({ operation, history, now }: Shown, width: number, glyphs: Glyphs): Line[] {
  if (operation) return runningLines(operation, now, width, glyphs);
  const [last] = history;
  if (!last) return [];
  const good = last.result === 'done';
  const text = good ? successLine(last) : failureLine(last);
  const sign: Segment = good
    ? { text: `${glyphs.pass} `, color: 'green' }
    : { text: `${glyphs.fail} `, color: 'red', bold: true };
  const hint = good ? undefined : last.error?.hint;
  // Why something failed is what somebody looks for; all else is cut where there is no room.
  const [first = '', ...more] = good ? [oneLine(text)] : wrap(oneLine(text), Math.max(20, width - nameWidth - 4));
  const shown = more.slice(0, mostMore);
  const end = whoAndWhen(last, now, glyphs);
  return [
    named('Last', [sign, { text: first }, ...(shown.length === 0 ? [end] : [])], width, glyphs),
    ...shown.map((rest, index) =>
      named('', [{ text: `  ${rest}` }, ...(index === shown.length - 1 ? [end] : [])], width, glyphs),
    ),
    ...(hint === undefined ? [] : [named('', [dim(`${glyphs.arrow} ${oneLine(hint)}`)], width, glyphs)]),
  ];
}

/** Where there is room: the steps of the running operation, else the operations before the last. */
export function belowLines(
  { operation, history, now }: Shown,
  room: { readonly width: number; readonly height: number },
  glyphs: Glyphs,
): Line[] {
  if (operation && operation.steps.length > 0) return stepLines(operation.steps, room, glyphs);
  if (history.length < 2) return [];
  return [
    [dim('   OPERATIONS BEFORE')],
    ...history.slice(1, room.height).map((result): Line => {
      const good = result.result === 'done';
      return clip(
        [
          { text: ` ${good ? glyphs.pass : glyphs.fail} `, color: good ? 'green' : 'red' },
          good ? dim(successLine(result)) : { text: oneLine(failureLine(result)) },
          whoAndWhen(result, now, glyphs),
        ],
        room.width,
        glyphs.cut,
      );
    }),
  ];
}

/** The end of a line about an operation; the first to go where there is no room. */
function whoAndWhen({ startedAt, actor }: OperationResult, now: number, glyphs: Glyphs): Segment {
  return dim(`  ${age(startedAt, now)} ago ${glyphs.dot} ${oneLine(actor)}`);
}

const stepConditions = {
  pending: 'skipped',
  running: 'running',
  verifying: 'running',
  done: 'pass',
  failed: 'fail',
  undoing: 'running',
  undone: 'skipped',
} as const;

function stepLines(
  steps: readonly LiveStep[],
  { width, height }: { readonly width: number; readonly height: number },
  glyphs: Glyphs,
): Line[] {
  const active = steps.findIndex(({ state }) => state === 'running' || state === 'verifying' || state === 'undoing');
  const { first } = windowAround(steps.length, height - 1, active === -1 ? steps.length - 1 : active);
  return [
    [dim('   STEPS')],
    ...steps.slice(first, first + height - 1).map(({ title, state, seconds: took }): Line => {
      const condition = stepConditions[state];
      const back = state === 'undoing' || state === 'undone' ? 'taken back: ' : '';
      const time = state === 'done' || state === 'failed' ? `  ${seconds(took)}` : '';
      return clip(
        [
          { text: ` ${glyphs[condition]} `, color: conditionColors[condition] },
          { text: `${back}${title}`, dim: state === 'pending', bold: condition === 'running' },
          dim(time),
        ],
        width,
        glyphs.cut,
      );
    }),
  ];
}

function runningLines(operation: LiveOperation, now: number, width: number, glyphs: Glyphs): Line[] {
  const elapsed = formatDuration(Math.max(0, Math.floor((now - operation.startedAt) / 1_000) * 1_000)).replace(
    '.0 s',
    ' s',
  );
  const share = Math.min(1, Math.max(0, operation.progress));
  const percent = ` ${Math.round(share * 100)} %`;
  const who = `  ${elapsed} ${glyphs.dot} ${operation.user}`;
  // The bar gives way to what is done, how far it is, for how long and by whom.
  const left = width - nameWidth - 2 - displayWidth(`${operation.title}${percent}${who}`);
  const length = left < 6 ? 0 : Math.min(30, left);
  const color = operation.goingBack ? 'yellow' : 'cyan';
  return [
    named(
      'Running',
      [
        bold(operation.title),
        { text: length === 0 ? '' : ' ' },
        { text: glyphs.full.repeat(Math.round(share * length)), color },
        { text: glyphs.empty.repeat(length - Math.round(share * length)), dim: true },
        { text: percent, color },
        dim(who),
      ],
      width,
      glyphs,
    ),
    named(
      '',
      [
        { text: operation.goingBack ? `taking back: ${operation.step}` : operation.step, color },
        dim(operation.detail === '' ? '' : `  ${oneLine(operation.detail)}`),
      ],
      width,
      glyphs,
    ),
  ];
}
