import { oneLine } from '../../lib/text.ts';
import { formatDuration } from '../../lib/units.ts';
import type { KeyTable } from '../key-table.ts';
import { bold, clip, dim, type Glyphs, type Line, type Segment, spread, widthOf } from '../line.ts';
import type { Notice, State } from '../state.ts';
import { colourOf, conditionColors, verdictColors } from './signs.ts';
import { screens } from './table.ts';

/** Milliseconds for which a notice of success stays. Others stay until something else is done. */
const noticeTime = 15_000;

/** The top line: which appliance, how it is, what is live; at the right, what runs and what the person may do. */
export function headerLine(state: State, width: number, glyphs: Glyphs): Line {
  const { status, operation, link } = state;
  const left: Segment[] = status
    ? [
        { text: ` ${glyphs[status.verdict]} `, color: verdictColors[status.verdict], bold: true },
        bold(status.name),
        ...(status.release
          ? [
              { text: `  ${status.release.tag}`, bold: true },
              dim(' on '),
              { text: status.release.colour, color: colourOf(status.release.colour) },
            ]
          : [dim('  nothing deployed')]),
      ]
    : [{ text: ' appliance', bold: true }];
  const right: Segment[] = [
    ...(operation
      ? [{ text: `${glyphs.running} ${operation.title} ${Math.round(operation.progress * 100)} % `, color: 'cyan' }]
      : []),
    ...(link.kind === 'up' && link.access === 'viewer' ? [{ text: 'read-only ', color: 'yellow' }] : []),
  ];
  return spread(left, right, width, glyphs.cut);
}

/** The screens with their keys, and how many alerts fire that are more than news. Where there is no room for all titles, some show their key alone. */
export function tabsLine(state: State, width: number, glyphs: Glyphs): Line {
  return clip(
    tabsOf(state, width, glyphs).flatMap(({ segments }) => segments),
    width,
    glyphs.cut,
  );
}

interface Tab {
  readonly screen: (typeof screens)[number];
  readonly segments: readonly Segment[];
}

function tabsOf({ view, status }: State, width: number, glyphs: Glyphs): readonly Tab[] {
  const alerts = status?.alerts.filter(({ severity }) => severity !== 'info').length ?? 0;
  const draw = (screen: Tab['screen'], long: boolean): Tab => {
    const { name, key, title } = screen;
    const inverse = view.screen === name;
    const badge = name === 'alerts' && alerts > 0 ? ` ${glyphs.fail}${alerts}` : '';
    return {
      screen,
      segments: [
        { text: ` ${key}`, color: 'cyan', inverse, bold: inverse },
        { text: long ? ` ${title}` : '', inverse, bold: inverse, dim: !inverse },
        ...(badge === '' ? [] : [{ text: badge, color: 'red', inverse, bold: true }]),
        { text: ' ', inverse },
      ],
    };
  };
  // The open screen has its title first, then the others from the left for as long as there is room.
  const titled = new Set([view.screen]);
  const drawn = () => screens.map((screen) => draw(screen, titled.has(screen.name)));
  for (const { name } of screens) {
    titled.add(name);
    if (widthOf(drawn().flatMap(({ segments }) => segments)) <= width) continue;
    if (name !== view.screen) titled.delete(name);
    break;
  }
  return drawn();
}

/** The screen that is under a column of the line of screens, for the mouse. @param column counted from 0 */
export function tabAt(
  state: State,
  width: number,
  column: number,
  glyphs: Glyphs,
): (typeof screens)[number] | undefined {
  let at = 0;
  for (const { screen, segments } of tabsOf(state, width, glyphs)) {
    at += widthOf(segments);
    if (column < at) return screen;
  }
  return undefined;
}

/** The line under the screens: a rule, or what is wrong with the connection. */
export function bannerLine(
  state: Pick<State, 'link' | 'problem' | 'now' | 'status'>,
  width: number,
  glyphs: Glyphs,
): Line {
  const { link, problem, status } = state;
  if (link.kind === 'lost') {
    const left = Math.max(0, Math.ceil((link.retryAt - state.now) / 1_000));
    const again = left === 0 ? 'trying again' : `trying again in ${formatDuration(left * 1_000).replace('.0', '')}`;
    return banner(`${glyphs.fail} The agent does not answer; ${again}. What you see may be old.`, width, glyphs);
  }
  if (problem)
    return banner(
      `${glyphs.fail} ${problem.message}${problem.hint ? ` ${glyphs.arrow} ${problem.hint}` : ''}`,
      width,
      glyphs,
    );
  const engine = status?.findings.find(({ id, verdict }) => id === 'engine' && verdict === 'fail');
  if (engine) {
    const [what] = oneLine(engine.observed).split(' (');
    const text = `${glyphs.fail} ${what}; containers are shown as they were.`;
    return banner(engine.hint ? `${text} ${glyphs.arrow} ${engine.hint}` : text, width, glyphs);
  }
  return [dim(glyphs.rule.repeat(width))];
}

function banner(text: string, width: number, glyphs: Glyphs): Line {
  const [segment = dim('')] = clip([{ text: ` ${text}` }], width, glyphs.cut);
  return [{ text: segment.text.padEnd(width), color: 'yellow', inverse: true }];
}

/**
 * The line above the keys: what became of what was just done, with the command that does the same; else what the running
 * operation does, where the screen does not say that itself; else a rule.
 */
export function noticeLine(
  { notice, operation, now, view }: Pick<State, 'notice' | 'operation' | 'now' | 'view'>,
  width: number,
  glyphs: Glyphs,
): Line {
  const said = notice === undefined || isOver(notice, now) ? undefined : notice;
  if (operation && (said === undefined || said.kind === 'running')) {
    if (view.screen === 'overview' && view.overlay === undefined) return [dim(glyphs.rule.repeat(width))];
    const { goingBack, step, detail } = operation;
    const color = goingBack ? 'yellow' : 'cyan';
    return clip(
      [
        { text: ` ${glyphs.running} `, color, bold: true },
        { text: goingBack ? `taking back: ${step}` : step, color },
        dim(detail === '' ? '' : `  ${oneLine(detail)}`),
      ],
      width,
      glyphs.cut,
    );
  }
  if (said === undefined) return [dim(glyphs.rule.repeat(width))];
  const { kind, text, command, hint } = said;
  const sign: Segment = { text: ` ${glyphs[kind]} `, color: conditionColors[kind], bold: true };
  const then = hint === undefined ? [] : [dim(` ${glyphs.arrow} ${hint}`)];
  const dot = dim(` ${glyphs.dot} `);
  if (command === undefined) return clip([sign, { text }, ...then], width, glyphs.cut);
  const line = [sign, { text: command, color: 'cyan' }, dot, { text }, ...then];
  // What became of it matters more than the command, which whoever has pressed the key knows.
  if (widthOf(line) > width)
    return clip([sign, { text }, ...then, dot, { text: command, color: 'cyan' }], width, glyphs.cut);
  return line;
}

function isOver({ kind, at }: Notice, now: number): boolean {
  return kind !== 'running' && kind !== 'fail' && now - at > noticeTime;
}

/** The bottom line: what is being typed, or the keys that matter here. */
export function footerLine(state: State, keys: KeyTable, width: number, glyphs: Glyphs): Line {
  const { view, link } = state;
  if (view.typing !== undefined) {
    const { label, text } = view.typing;
    return clip(
      [dim(` ${label}: `), bold(text), { text: ' ', inverse: true }, dim('  Enter takes it, Esc drops it')],
      width,
      glyphs.cut,
    );
  }
  if (view.overlay !== undefined) return hintLine(overlayHints(view.overlay.kind), width, glyphs);
  const viewer = link.kind === 'up' && link.access === 'viewer';
  const all = keys
    .of(view.screen)
    .filter(({ hint, changes }) => hint !== undefined && !(viewer && changes === true))
    .map(({ keys: [key = ''], hint = '', action }) => ({ key: action === 'down' ? '↑↓' : key, text: hint, action }));
  // How to get help and how to leave stay, whatever there is no room for.
  const kept = new Set(['help', 'quit']);
  let shown = all;
  while (widthOf(hintLine(shown, Number.POSITIVE_INFINITY, glyphs)) > width) {
    const last = shown.findLastIndex(({ action }) => !kept.has(action));
    if (last < 0) break;
    shown = shown.filter((_, index) => index !== last);
  }
  return hintLine(shown, width, glyphs);
}

function hintLine(
  hints: readonly { readonly key: string; readonly text: string }[],
  width: number,
  glyphs: Glyphs,
): Line {
  return clip(
    hints.flatMap(({ key, text }): Segment[] => [
      { text: ` ${spoken(key, glyphs)}`, bold: true, color: 'cyan' },
      dim(` ${text} `),
    ]),
    width,
    glyphs.cut,
  );
}

function overlayHints(kind: NonNullable<State['view']['overlay']>['kind']): { key: string; text: string }[] {
  if (kind === 'palette')
    return [
      { key: '↑↓', text: 'choose' },
      { key: 'Tab', text: 'complete' },
      { key: 'Enter', text: 'run' },
      { key: 'Esc', text: 'back' },
    ];
  if (kind === 'dialog' || kind === 'leave')
    return [
      { key: 'Tab', text: 'choose' },
      { key: 'Enter', text: 'do it' },
      { key: '↑↓', text: 'scroll' },
      { key: 'Esc', text: 'cancel' },
    ];
  return [
    { key: '↑↓', text: 'scroll' },
    { key: 'Esc', text: 'close' },
    { key: 'q', text: 'quit' },
  ];
}

/** Names of keys in ASCII where the terminal has no arrows. */
export function spoken(key: string, glyphs: Glyphs): string {
  return glyphs.up === '↑'
    ? key
    : key.replace('↑↓', 'Up/Down').replace('↑', 'Up').replace('↓', 'Down').replace('←', 'Left').replace('→', 'Right');
}
