/** What a stream can show, found out from the stream that is written to and not from another one. */
export interface Look {
  readonly terminal: boolean;
  readonly colour: boolean;
  readonly unicode: boolean;
  /** Columns; infinite when nobody looks at it on a screen. */
  readonly width: number;
}

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * @param stream where the text goes
 * @param allowColour false with `--no-color`
 */
export function lookOf(
  stream: { readonly isTTY?: boolean; readonly columns?: number },
  env: Environment,
  allowColour: boolean,
): Look {
  const terminal = stream.isTTY === true;
  return {
    terminal,
    colour: terminal && allowColour && !env.NO_COLOR && env.TERM !== 'dumb',
    unicode: /utf-?8/i.test(env.LC_ALL || env.LC_CTYPE || env.LANG || ''),
    width: terminal ? Math.max(stream.columns || 80, 20) : Number.POSITIVE_INFINITY,
  };
}

const styles = { bold: 1, dim: 2, red: 31, green: 32, yellow: 33, blue: 34, magenta: 35, cyan: 36 } as const;
export type Style = keyof typeof styles;

/** Colours a text, where the stream shows colours. */
export function paint(look: Look, style: Style | undefined, text: string): string {
  if (!look.colour || style === undefined || text === '') return text;
  return `\u001b[${styles[style]}m${text}\u001b[${styles[style] < 10 ? 22 : 39}m`;
}

const glyphs = {
  pass: ['✓', '+', 'green'],
  fail: ['✗', 'x', 'red'],
  inconclusive: ['?', '?', 'yellow'],
  running: ['•', '*', 'cyan'],
  skipped: ['·', '-', 'dim'],
} as const;
export type Mark = keyof typeof glyphs;

/** A symbol that says the same as its colour, for those who see no colours. */
export function mark(look: Look, name: Mark): string {
  const [unicode, ascii, style] = glyphs[name];
  return paint(look, style, look.unicode ? unicode : ascii);
}

const asciiFor: Readonly<Record<string, string>> = {
  '→': '->',
  '…': '~',
  '·': '-',
  '•': '*',
  '—': '-',
  '–': '-',
  '✓': '+',
  '✗': 'x',
};

/** Replaces the few signs that our own words use where the terminal knows ASCII only. */
export function speak(look: Look, text: string): string {
  return look.unicode ? text : text.replace(/[→…·•—–✓✗]/g, (sign) => asciiFor[sign] ?? sign);
}
