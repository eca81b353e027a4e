import { ApplianceError } from '../../lib/errors.ts';

/** One sign of a command line and how it stands there. */
interface Place {
  readonly text: string;
  /** Where it stands, counted from 0. */
  readonly at: number;
}

/** Signs that a shell acts on wherever they stand without quotes (POSIX.1-2024, XCU 2.2, 2.7, 2.14; bash: `{a,b}`). */
const active = new Map([
  ...[...';&|<>()\n'].map((sign) => [sign, 'joins or redirects commands'] as const),
  ...[...'*?[{~'].map((sign) => [sign, 'stands for names of files'] as const),
]);

/** What follows a `$` that a shell replaces; before anything else it stands for itself, as in `"ERROR$"`. */
const afterDollar = { bare: /^[\w{(@*#?$!\-['"]/, quoted: /^[\w{(@*#?$!\-[]/ } as const;

/**
 * Takes a command line apart into the words that a POSIX shell would pass on, without a shell: quotes and backslashes are
 * read as there, and nothing is ever expanded. What a shell would act on is refused, so that nobody believes that it did.
 * @throws ApplianceError `not_permitted`, with the sign that is in the way
 */
export function splitWords(text: string): string[] {
  const words: string[] = [];
  let word: string | undefined;
  for (let at = 0; at < text.length; ) {
    const sign = text[at] ?? '';
    if (sign === ' ' || sign === '\t') {
      if (word !== undefined) words.push(word);
      word = undefined;
      at += 1;
      continue;
    }
    if (sign === '#' && word === undefined) throw refused(sign, 'begins a comment');
    const piece = pieceAt({ text, at });
    word = (word ?? '') + piece.text;
    at = piece.end;
  }
  if (word !== undefined) words.push(word);
  return words;
}

/** The part of a word that begins at a place: a quoted one as a whole, else one sign. */
function pieceAt(place: Place): { readonly text: string; readonly end: number } {
  const { text, at } = place;
  const sign = text[at] ?? '';
  if (sign === "'") return singleQuoted(place);
  if (sign === '"') return doubleQuoted(place);
  if (sign === '\\') return { text: escaped(place), end: at + 2 };
  assertNotReplaced(place, afterDollar.bare);
  const why = active.get(sign);
  if (why !== undefined) throw refused(sign, why);
  return { text: sign, end: at + 1 };
}

function singleQuoted({ text, at }: Place) {
  const end = text.indexOf("'", at + 1);
  if (end < 0) throw unfinished('a single quote is never closed');
  return { text: text.slice(at + 1, end), end: end + 1 };
}

function doubleQuoted({ text, at: begin }: Place) {
  let out = '';
  for (let at = begin + 1; at < text.length; at += 1) {
    const sign = text[at] ?? '';
    if (sign === '"') return { text: out, end: at + 1 };
    if (sign !== '\\') {
      assertNotReplaced({ text, at }, afterDollar.quoted);
      out += sign;
      continue;
    }
    const next = escaped({ text, at });
    // Before any other sign the backslash stands for itself.
    out += '$`"\\'.includes(next) ? next : `\\${next}`;
    at += 1;
  }
  throw unfinished('a double quote is never closed');
}

/** The sign after a backslash. */
function escaped({ text, at }: Place): string {
  const next = text[at + 1];
  if (next === undefined) throw unfinished('it ends with a backslash');
  if (next === '\n') throw refused('\n', 'joins or redirects commands');
  return next;
}

function assertNotReplaced({ text, at }: Place, follows: RegExp): void {
  if (text[at] === '`' || (text[at] === '$' && follows.test(text.slice(at + 1, at + 2)))) {
    throw refused(text[at] ?? '', 'stands for something else');
  }
}

function refused(sign: string, why: string): ApplianceError {
  const name = sign === '\n' ? 'a new line' : sign;
  return new ApplianceError('not_permitted', `there is no shell here, and to a shell ${name} ${why}`, {
    left: 'nothing was run',
    hint: 'one verb at a time; where the sign is meant as it is, quote it once more for this side: ssh HOST \'logs --grep "a|b"\'',
  });
}

function unfinished(what: string): ApplianceError {
  return new ApplianceError('not_permitted', `the command is not whole: ${what}`, { left: 'nothing was run' });
}
