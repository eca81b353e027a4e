import { displayWidth, pad, truncate, wrap } from '../lib/text.ts';

/** A piece of text in one style. Colours are names that Ink knows. */
export interface Segment {
  readonly text: string;
  readonly color?: string | undefined;
  readonly bold?: boolean | undefined;
  readonly dim?: boolean | undefined;
  readonly inverse?: boolean | undefined;
}

/** One line of the screen. Screens are made of these by pure functions; the components only put them down. */
export type Line = readonly Segment[];

export const blank: Line = [];

export function plain(text: string): Line {
  return [{ text }];
}

export function dim(text: string): Segment {
  return { text, dim: true };
}

export function bold(text: string): Segment {
  return { text, bold: true };
}

export function widthOf(line: Line): number {
  return line.reduce((sum, { text }) => sum + displayWidth(text), 0);
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what this looks for
const controls = /[\u0000-\u001f\u007f-\u009f]+/g;

/** Cuts a line to a width, so that it never wraps. Whatever a program may have written into it stays on this line. */
export function clip(raw: Line, width: number, mark: string): Line {
  const line = raw.some(({ text }) => text.search(controls) !== -1)
    ? raw.map((segment) => ({ ...segment, text: segment.text.replace(controls, ' ') }))
    : raw;
  if (widthOf(line) <= width) return line;
  const out: Segment[] = [];
  let left = width;
  for (const segment of line) {
    if (left <= 0) break;
    const whole = displayWidth(segment.text) <= left;
    const more = widthOf(line.slice(out.length)) > left;
    const text =
      whole && !(more && displayWidth(segment.text) === left) ? segment.text : truncate(`${segment.text} `, left, mark);
    out.push({ ...segment, text });
    left -= displayWidth(text);
  }
  return out;
}

/** Lines that a broken one may become. */
const mostBroken = 8;

/**
 * Breaks a line that is wider than the terminal at its blanks, and a word without blanks where it must be. What follows
 * stands below the beginning of its last column: after the blanks or the name that a line begins with.
 */
export function broken(line: Line, width: number): readonly Line[] {
  if (widthOf(line) <= width) return [line];
  const [, lead = ''] = /^(\s*(?:\S+ {2,})?)/.exec(line.map(({ text }) => text).join('')) ?? [];
  const indent = Math.min(displayWidth(lead), Math.floor(width / 3));
  const out: Segment[][] = [[]];
  let used = 0;
  const put = (text: string, style: Segment) => {
    out.at(-1)?.push({ ...style, text });
    used += displayWidth(text);
  };
  const next = () => {
    out.push([{ text: ' '.repeat(indent) }]);
    used = indent;
  };
  for (const segment of line) {
    for (let word of segment.text.split(/(?<= )(?! )/)) {
      if (used > indent && used + displayWidth(word.trimEnd()) > width) next();
      for (; used + displayWidth(word.trimEnd()) > width && out.length < mostBroken; next()) {
        const part = truncate(word, width - used, '');
        put(part, segment);
        word = word.slice(part.length);
      }
      put(word, segment);
    }
  }
  return out.slice(0, mostBroken);
}

/** Two ends of one line, pushed apart. The left end gives way. */
export function spread(left: Line, right: Line, width: number, mark: string): Line {
  const room = Math.max(0, width - widthOf(right) - 1);
  const start = clip(left, room, mark);
  return [...start, { text: ' '.repeat(Math.max(1, width - widthOf(start) - widthOf(right))) }, ...right];
}

/** A cell of a column. */
export function cell(text: string, width: number, mark: string, align: 'left' | 'right' = 'left'): string {
  return pad(truncate(text, width, mark), width, align);
}

/** Columns of the names at the left. */
export const nameWidth = 10;

/** A name at the left, and what it is. */
export function named(name: string, rest: Line, width: number, glyphs: Glyphs): Line {
  return clip([dim(` ${name.padEnd(nameWidth)}`), ...rest], width, glyphs.cut);
}

/** Lines that a text beside a name may have. */
const mostNamed = 3;

/** A name at the left, and a text that may go on below it. */
export function namedText(name: string, text: string, width: number, glyphs: Glyphs, color?: string): readonly Line[] {
  const lines = wrap(text, Math.max(10, width - nameWidth - 2));
  const shown = lines.slice(0, mostNamed);
  const cut = lines.length > shown.length ? glyphs.cut : '';
  return shown.map((line, index) =>
    named(index === 0 ? name : '', [{ text: index === shown.length - 1 ? line + cut : line, color }], width, glyphs),
  );
}

/** Fills a screen with exactly so many lines. */
export function fill(lines: readonly Line[], height: number): readonly Line[] {
  if (lines.length >= height) return lines.slice(0, Math.max(0, height));
  return [...lines, ...Array.from({ length: height - lines.length }, () => blank)];
}

export interface Glyphs {
  readonly pass: string;
  readonly fail: string;
  readonly inconclusive: string;
  readonly running: string;
  readonly skipped: string;
  readonly rule: string;
  readonly full: string;
  readonly empty: string;
  readonly cut: string;
  readonly dot: string;
  readonly none: string;
  readonly arrow: string;
  readonly cursor: string;
  readonly up: string;
  readonly down: string;
  readonly spinner: readonly string[];
  /** From nothing to full. */
  readonly bars: readonly string[];
}

const unicode: Glyphs = {
  pass: '✓',
  fail: '✗',
  inconclusive: '?',
  running: '•',
  skipped: '·',
  rule: '─',
  full: '█',
  empty: '░',
  cut: '…',
  dot: '·',
  none: '–',
  arrow: '→',
  cursor: '▸',
  up: '↑',
  down: '↓',
  spinner: [...'⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏'],
  bars: [...'▁▂▃▄▅▆▇█'],
};
const ascii: Glyphs = {
  pass: '+',
  fail: 'x',
  inconclusive: '?',
  running: '*',
  skipped: '-',
  rule: '-',
  full: '#',
  empty: '.',
  cut: '~',
  dot: '-',
  none: '-',
  arrow: '>',
  cursor: '>',
  up: '^',
  down: 'v',
  spinner: [...'|/-\\'],
  bars: [...'_.:-=+*#'],
};

/** Signs that the terminal can show. */
export function glyphsFor(env: Readonly<Record<string, string | undefined>>): Glyphs {
  return /utf-?8/i.test(env.LC_ALL || env.LC_CTYPE || env.LANG || '') ? unicode : ascii;
}
