import type { Key } from 'ink';

/** Where a key means something: on every screen, on lists and logs, on one screen, or in what lies over a screen. */
type Scope = string;

export interface Binding {
  /** What it does: `quit`, or of one screen `releases.rollback`. The name in the file of keys. */
  readonly action: string;
  /** Names of keys: `q`, `Enter`, `Ctrl-C`. */
  readonly keys: readonly string[];
  readonly scope: Scope;
  readonly help: string;
  /** A word or two for the bottom line; left out there when absent. */
  readonly hint?: string;
  /** Whether it changes something, so that a viewer cannot do it. */
  readonly changes?: boolean;
}

/** Keys that mean the same everywhere, and those for moving about. What screens add stands in the table of screens. */
export const commonBindings: readonly Binding[] = [
  { action: 'up', keys: ['↑', 'k'], scope: 'moving', help: 'one line up' },
  { action: 'down', keys: ['↓', 'j'], scope: 'moving', help: 'one line down', hint: 'move' },
  { action: 'page-up', keys: ['PgUp', 'Ctrl-B', 'Ctrl-U'], scope: 'moving', help: 'one screen up' },
  { action: 'page-down', keys: ['PgDn', 'Space', 'Ctrl-D'], scope: 'moving', help: 'one screen down' },
  { action: 'first', keys: ['Home', 'g'], scope: 'moving', help: 'the first line' },
  { action: 'last', keys: ['End', 'G'], scope: 'moving', help: 'the last line' },
  { action: 'filter', keys: ['/'], scope: 'moving', help: 'show only what matches an expression', hint: 'filter' },
  {
    action: 'palette',
    keys: [':'],
    scope: 'everywhere',
    help: 'type a command; every verb of the command line is there',
    hint: 'command',
  },
  { action: 'next-screen', keys: ['Tab'], scope: 'everywhere', help: 'the next screen' },
  { action: 'previous-screen', keys: ['Shift-Tab'], scope: 'everywhere', help: 'the screen before' },
  {
    action: 'back',
    keys: ['Esc'],
    scope: 'everywhere',
    help: 'back: what lies over the screen, the filter, the service, the screen before',
  },
  { action: 'help', keys: ['?'], scope: 'everywhere', help: 'this help', hint: 'help' },
  {
    action: 'redraw',
    keys: ['Ctrl-L'],
    scope: 'everywhere',
    help: 'draw everything anew, when another program has written over it',
  },
  { action: 'suspend', keys: ['Ctrl-Z'], scope: 'everywhere', help: 'suspend; fg brings it back' },
  {
    action: 'quit',
    keys: ['q'],
    scope: 'everywhere',
    help: 'quit; an operation that runs goes on. Ctrl-C quits at once',
    hint: 'quit',
  },
];

const special: readonly (readonly [keyof Key, string])[] = [
  ['upArrow', '↑'],
  ['downArrow', '↓'],
  ['leftArrow', '←'],
  ['rightArrow', '→'],
  ['pageUp', 'PgUp'],
  ['pageDown', 'PgDn'],
  ['home', 'Home'],
  ['end', 'End'],
  ['return', 'Enter'],
  ['escape', 'Esc'],
  ['backspace', 'Backspace'],
  ['delete', 'Backspace'],
];

/** Keys that are not text, although some of their names are one character long. */
export const namedKeys: ReadonlySet<string> = new Set([
  ...special.map(([, name]) => name),
  'Tab',
  'Shift-Tab',
  'Wheel-Up',
  'Wheel-Down',
]);

/** What a mouse sends (SGR 1006), without its Escape. Other sequences that begin like it are no text either. */
const mouse = /^\[<(\d+);(\d+);(\d+)([Mm])$/;
const sequence = /^\[[<?0-9;]+[A-Za-z~]$/;

/**
 * The names of the keys in one input event. Keys that are pressed quickly may arrive together (`jjj`).
 * @returns names as they stand in the table;
 */
export function keyNames(input: string, key: Key): string[] {
  if (key.tab) return [key.shift ? 'Shift-Tab' : 'Tab'];
  const name = special.find(([property]) => key[property] === true)?.[1];
  if (name) return [name];
  if (sequence.test(input)) return [];
  if (key.ctrl) return [`Ctrl-${input.toUpperCase()}`];
  if (key.meta) return [];
  return [...input].map(nameOf);
}

/** The name of one character of several that came together. */
function nameOf(character: string): string {
  if (character === ' ') return 'Space';
  if (character === '\r' || character === '\n') return 'Enter';
  if (character === '\t') return 'Tab';
  if (character === '\u007f' || character === '\b') return 'Backspace';
  // Ctrl with a letter is the letter's place in the alphabet.
  return character < ' ' ? `Ctrl-${String.fromCharCode(character.charCodeAt(0) + 64)}` : character;
}

/** The names of what a mouse did. @param sequence as it sends it, without its Escape */
export function mouseKeys(sequence: string): string[] {
  const [, button, column, line, end] = mouse.exec(sequence) ?? [];
  // A click is named by its place, counted from 1.
  if (button === '64') return ['Wheel-Up'];
  if (button === '65') return ['Wheel-Down'];
  return button === '0' && end === 'M' ? [`Click-${column}-${line}`] : [];
}
