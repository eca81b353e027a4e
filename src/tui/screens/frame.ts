import { formatDuration } from '../../lib/units.ts';
import { bindings } from '../keys.ts';
import { bold, clip, dim, type Glyphs, type Line, type Segment, spread } from '../line.ts';
import type { State } from '../state.ts';

export const verdictColors = { pass: 'green', fail: 'red', inconclusive: 'yellow' } as const;
export const conditionColors = { ...verdictColors, running: 'cyan', skipped: 'gray' } as const;

/** The top line: which appliance, how it is, and the screens. */
export function headerLine(state: Pick<State, 'status' | 'view'>, width: number, glyphs: Glyphs): Line {
  const { status, view } = state;
  const tab = (key: string, title: string, chosen: boolean): Segment[] => [
    { text: ` ${key} ${title} `, inverse: chosen, bold: chosen, dim: !chosen },
  ];
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
  const right = [
    ...tab('1', 'Overview', view.screen === 'overview' && !view.help),
    ...tab('2', 'Logs', view.screen === 'logs' && !view.help),
    ...tab('?', 'Help', view.help),
  ];
  return spread(left, right, width, glyphs.cut);
}

/** A colour of DESIGN §3 as the terminal shows it; the plain blue of many terminals cannot be read on black. */
export function colourOf(colour: 'blue' | 'green' | null): string | undefined {
  if (colour === null) return undefined;
  return colour === 'blue' ? 'blueBright' : 'green';
}

/** The line under the top: a rule, or what is wrong with the connection. */
export function bannerLine(state: Pick<State, 'link' | 'problem' | 'now'>, width: number, glyphs: Glyphs): Line {
  const { link, problem } = state;
  if (link.kind === 'lost') {
    const left = Math.max(0, Math.ceil((link.retryAt - state.now) / 1_000));
    const again = left === 0 ? 'trying again' : `trying again in ${formatDuration(left * 1_000).replace('.0', '')}`;
    return banner(`The agent does not answer; ${again}. What you see may be old.`, width, glyphs);
  }
  if (problem)
    return banner(`${problem.message}${problem.hint ? ` ${glyphs.arrow} ${problem.hint}` : ''}`, width, glyphs);
  return [dim(glyphs.rule.repeat(width))];
}

function banner(text: string, width: number, glyphs: Glyphs): Line {
  const [segment = dim('')] = clip([{ text: ` ${text}` }], width, glyphs.cut);
  return [{ text: segment.text.padEnd(width), color: 'yellow', inverse: true }];
}

/** The bottom line: the keys that matter here. */
export function footerLine(state: Pick<State, 'view'>, width: number, glyphs: Glyphs): Line {
  const { view } = state;
  if (view.typing !== undefined) {
    return clip(
      [bold(' / '), { text: view.typing }, { text: ' ', inverse: true }, dim('  Enter keeps it, Esc drops it')],
      width,
      glyphs.cut,
    );
  }
  const hints = view.help
    ? [
        { key: '↑↓', text: 'scroll' },
        { key: 'Esc', text: 'close' },
        { key: 'q', text: 'quit' },
      ]
    : bindings
        .filter(({ scope, hint }) => hint !== undefined && (scope === view.screen || scope === 'everywhere'))
        .map(({ keys, hint, action }) => ({
          key: action === 'down' ? '↑↓' : (keys[0] ?? ''),
          text: hint ?? '',
        }));
  return clip(
    hints.flatMap(({ key, text }) => [bold(` ${spoken(key, glyphs)}`), dim(` ${text} `)]),
    width,
    glyphs.cut,
  );
}

/** Names of keys in ASCII where the terminal has no arrows. */
export function spoken(key: string, glyphs: Glyphs): string {
  return glyphs.up === '↑'
    ? key
    : key.replace('↑↓', 'Up/Down').replace('↑', 'Up').replace('↓', 'Down').replace('←', 'Left').replace('→', 'Right');
}
