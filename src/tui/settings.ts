import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { messageOf, systemCode } from '../lib/errors.ts';
import { didYouMean } from '../lib/near.ts';
import { KeyTable } from './key-table.ts';
import { namedKeys } from './keys.ts';
import type { Screen } from './screens/screen.ts';

/** What a person may choose about the screens. */
export interface Settings {
  readonly keys: KeyTable;
  readonly mouse: boolean;
  readonly theme: 'dark' | 'light';
  /** What is wrong with the file; then everything is as if there were none. */
  readonly problem: string | undefined;
}

type Environment = Readonly<Record<string, string | undefined>>;

/** `$XDG_CONFIG_HOME/appliance/screens.json`, by default in `~/.config`. */
function settingsFile(env: Environment): string | undefined {
  const home = env.XDG_CONFIG_HOME || (env.HOME && join(env.HOME, '.config'));
  return home ? join(home, 'appliance', 'screens.json') : undefined;
}

/** Reads the file of the user, if there is one, and checks all of it. */
export function readSettings(screens: readonly Screen[], env: Environment): Settings {
  const usual: Settings = {
    keys: new KeyTable(screens),
    mouse: false,
    theme: themeOf(env),
    problem: undefined,
  };
  const file = settingsFile(env);
  if (file === undefined) return usual;
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    const code = systemCode(error);
    return code === 'ENOENT' || code === 'ENOTDIR' ? usual : { ...usual, problem: `${file}: ${messageOf(error)}` };
  }
  try {
    return { ...usual, ...checked(JSON.parse(text), screens) };
  } catch (error) {
    return { ...usual, problem: `${file} is not used: ${messageOf(error)}` };
  }
}

/** Terminals that say so tell their colours as `15;0`: text, then background. */
function themeOf(env: Environment): Settings['theme'] {
  const background = Number(/;(\d+)$/.exec(env.COLORFGBG ?? '')?.[1] ?? 0);
  return background === 7 || background > 8 ? 'light' : 'dark';
}

const members = ['keys', 'mouse', 'theme'];

/** @throws Error that says what is wrong */
function checked(document: unknown, screens: readonly Screen[]): Partial<Settings> {
  if (!isRecord(document)) throw new Error('it must be an object with keys, mouse and theme');
  for (const name of Object.keys(document)) {
    if (!members.includes(name)) throw new Error(`it has no setting "${name}"; there are ${members.join(', ')}`);
  }
  const { keys = {}, mouse, theme } = document;
  if (mouse !== undefined && typeof mouse !== 'boolean') throw new Error('mouse must be true or false');
  if (theme !== undefined && theme !== 'dark' && theme !== 'light') throw new Error('theme must be "dark" or "light"');
  if (!isRecord(keys)) throw new Error('keys must be an object: {"quit": ["q", "x"]}');
  const known = new KeyTable(screens).bindings.map(({ action }) => action);
  const chosen = new Map<string, readonly string[]>();
  for (const [action, list] of Object.entries(keys)) {
    if (!known.includes(action)) {
      throw new Error(`there is no action "${action}"; ${didYouMean(action, known) ?? '? shows what keys do'}`);
    }
    if (!Array.isArray(list) || list.length === 0 || !list.every(isKey)) {
      throw new Error(`the keys of "${action}" must be a list of keys: ["x", "Ctrl-X", "PgUp"]`);
    }
    chosen.set(action, list);
  }
  const table = new KeyTable(screens, chosen);
  const [conflict] = table.conflicts();
  if (conflict !== undefined) throw new Error(conflict);
  return { keys: table, ...(mouse === undefined ? {} : { mouse }), ...(theme === undefined ? {} : { theme }) };
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** One character, a key with a name, or Ctrl with a letter. Ctrl-C always quits. */
function isKey(value: unknown): value is string {
  if (typeof value !== 'string' || value === 'Ctrl-C') return false;
  return [...value].length === 1 || value === 'Space' || namedKeys.has(value) || /^Ctrl-[A-Z]$/.test(value);
}
