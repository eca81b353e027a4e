import type { Key } from 'ink';

/** Everything that a key can do. */
export type Action =
  | 'quit'
  | 'suspend'
  | 'help'
  | 'back'
  | 'overview'
  | 'logs'
  | 'up'
  | 'down'
  | 'page-up'
  | 'page-down'
  | 'first'
  | 'last'
  | 'left'
  | 'right'
  | 'open'
  | 'filter'
  | 'next-service'
  | 'previous-service'
  | 'follow';

export type Scope = 'everywhere' | 'overview' | 'logs';

export interface Binding {
  readonly action: Action;
  /** Names of keys: `q`, `Enter`, `Ctrl-C`. */
  readonly keys: readonly string[];
  readonly scope: Scope;
  readonly help: string;
  /** Two words for the bottom line; left out there when absent. */
  readonly hint?: string;
}

/** The one table of keys. What a key does, the bottom line and the help screen all come from it. */
export const bindings: readonly Binding[] = [
  { action: 'overview', keys: ['1'], scope: 'everywhere', help: 'the overview' },
  { action: 'logs', keys: ['2'], scope: 'everywhere', help: 'the logs of all services' },
  { action: 'up', keys: ['↑', 'k'], scope: 'overview', help: 'mark the service above' },
  { action: 'down', keys: ['↓', 'j'], scope: 'overview', help: 'mark the service below', hint: 'mark' },
  { action: 'open', keys: ['Enter', 'l'], scope: 'overview', help: 'the logs of the marked service', hint: 'its logs' },
  { action: 'up', keys: ['↑', 'k'], scope: 'logs', help: 'one line back; following pauses' },
  { action: 'down', keys: ['↓', 'j'], scope: 'logs', help: 'one line on', hint: 'scroll' },
  { action: 'page-up', keys: ['PgUp', 'b'], scope: 'logs', help: 'one screen back' },
  { action: 'page-down', keys: ['PgDn', 'Space'], scope: 'logs', help: 'one screen on' },
  { action: 'first', keys: ['Home', 'g'], scope: 'logs', help: 'the oldest line that is kept' },
  { action: 'follow', keys: ['f', 'End', 'G'], scope: 'logs', help: 'the newest line; follow again', hint: 'follow' },
  { action: 'left', keys: ['←', 'h'], scope: 'logs', help: 'show what is further left in long lines' },
  { action: 'right', keys: ['→', 'l'], scope: 'logs', help: 'show what is further right in long lines' },
  {
    action: 'filter',
    keys: ['/'],
    scope: 'logs',
    help: 'show only lines that match; Enter keeps it, Esc drops it',
    hint: 'filter',
  },
  { action: 'next-service', keys: ['s', 'Tab'], scope: 'logs', help: 'the next service', hint: 'service' },
  { action: 'previous-service', keys: ['S', 'Shift-Tab'], scope: 'logs', help: 'the service before' },
  {
    action: 'back',
    keys: ['Esc'],
    scope: 'everywhere',
    help: 'back: drop the filter, then the service, then the screen',
  },
  { action: 'help', keys: ['?'], scope: 'everywhere', help: 'this help', hint: 'help' },
  { action: 'suspend', keys: ['Ctrl-Z'], scope: 'everywhere', help: 'suspend; fg brings it back' },
  {
    action: 'quit',
    keys: ['q', 'Ctrl-C'],
    scope: 'everywhere',
    help: 'quit; nothing that runs is stopped',
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
export const namedKeys: ReadonlySet<string> = new Set(special.map(([, name]) => name));

/**
 * The names of the keys in one input event. Keys that are pressed quickly may arrive together (`jjj`).
 * @returns names as they stand in the table
 */
export function keyNames(input: string, key: Key): string[] {
  if (key.tab) return [key.shift ? 'Shift-Tab' : 'Tab'];
  const name = special.find(([property]) => key[property] === true)?.[1];
  if (name) return [name];
  if (key.ctrl) return [`Ctrl-${input.toUpperCase()}`];
  if (key.meta) return [];
  return [...input].map((character) => (character === ' ' ? 'Space' : character === '\r' ? 'Enter' : character));
}

/** What a key does on a screen. */
export function actionFor(name: string, scope: Scope): Action | undefined {
  return bindings.find(
    (binding) => (binding.scope === scope || binding.scope === 'everywhere') && binding.keys.includes(name),
  )?.action;
}
