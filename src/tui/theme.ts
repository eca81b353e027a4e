import type { Line, Segment } from './line.ts';

/** How a terminal is told to begin a style, and to end it (ECMA-48, SGR). */
type Style = readonly [begin: string, end: string];

const sgr = (begin: string, end: number): Style => [`\u001b[${begin}m`, `\u001b[${end}m`];
const bold = sgr('1', 22);
const dim = sgr('2', 22);
const inverse = sgr('7', 27);

/** The colours of meanings, as every terminal has them. */
const onDark: Readonly<Record<string, string>> = {
  red: '31',
  green: '32',
  yellow: '33',
  blue: '34',
  magenta: '35',
  cyan: '36',
  gray: '90',
  blueBright: '94',
};

/** Those of the palette of 256 that can be read on white: a contrast of 4.5 to 1 and more (WCAG 2.2, 1.4.3). */
export const onLight: Readonly<Record<string, number>> = {
  red: 160,
  green: 28,
  yellow: 94,
  blue: 26,
  magenta: 127,
  cyan: 24,
  gray: 241,
  blueBright: 26,
};

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * How lines become what a terminal is sent. Without colour everything is still said by signs, weight and inverse.
 * @param color whether colours are wanted
 */
export function painter(color: boolean, theme: 'dark' | 'light', env: Environment): (line: Line) => string {
  if (env.TERM === 'dumb') return (line) => line.map(({ text }) => text).join('');
  const palette = color ? paletteOf(theme, env) : new Map<string, Style>();
  return (line) => line.map((segment) => painted(segment, palette)).join('');
}

function paletteOf(theme: 'dark' | 'light', env: Environment): ReadonlyMap<string, Style> {
  const many = Boolean(env.COLORTERM) || /256|direct|kitty|alacritty|ghostty|foot/.test(env.TERM ?? '');
  return new Map(
    Object.entries(onDark).map(([name, code]) => {
      const light = theme === 'light' && many ? `38;5;${onLight[name]}` : undefined;
      // The bright blue is for black alone.
      return [name, sgr(light ?? (theme === 'light' && name === 'blueBright' ? '34' : code), 39)];
    }),
  );
}

function painted(segment: Segment, palette: ReadonlyMap<string, Style>): string {
  const { text } = segment;
  if (text === '') return '';
  const color = segment.color === undefined ? undefined : palette.get(segment.color);
  let begin = '';
  let end = '';
  for (const style of [color, segment.bold && bold, segment.dim && dim, segment.inverse && inverse]) {
    if (!style) continue;
    begin += style[0];
    end = style[1] + end;
  }
  return begin + text + end;
}
