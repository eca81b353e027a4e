// What an entry of the table of verbs says, and the options that every verb takes.

/**
 * What may stand for a value in help, and what the value is: `file` is a file or directory of this host, which nobody names
 * who comes through `ssh-gate`. A new word does not compile before it says which.
 */
const valueWords = {
  CERTIFICATE: 'plain',
  COUNT: 'plain',
  DIGEST: 'plain',
  DIR: 'file',
  DURATION: 'plain',
  FILE: 'file',
  FINGERPRINT: 'plain',
  FORMAT: 'plain',
  ID: 'plain',
  'ID=ANSWER': 'plain',
  LINES: 'plain',
  NAME: 'plain',
  PART: 'plain',
  PATH: 'file',
  PATTERN: 'plain',
  ROLE: 'plain',
  'SEQ:HASH': 'plain',
  SHARE: 'plain',
  SNAPSHOT: 'plain',
  STATE: 'plain',
  STRATEGY: 'plain',
  TAG: 'plain',
  TEXT: 'plain',
  TIME: 'plain',
  VERBS: 'plain',
  VERSION: 'plain',
  WHERE: 'plain',
  alert: 'plain',
  certificate: 'plain',
  chain: 'file',
  command: 'plain',
  condition: 'plain',
  directory: 'file',
  file: 'file',
  from: 'plain',
  group: 'plain',
  job: 'plain',
  key: 'file',
  matcher: 'plain',
  name: 'plain',
  operation: 'plain',
  path: 'file',
  receiver: 'plain',
  release: 'plain',
  repository: 'file',
  service: 'plain',
  shell: 'plain',
  silence: 'plain',
  snapshot: 'plain',
  source: 'file',
  symptom: 'plain',
  tag: 'plain',
  target: 'file',
  to: 'plain',
  verb: 'plain',
  version: 'plain',
} as const satisfies Readonly<Record<string, 'plain' | 'file'>>;
type ValueWord = keyof typeof valueWords;

/** Whether a value is, or may be, a file or directory of this host. */
export function isFile(word: ValueWord | undefined): boolean {
  return word !== undefined && valueWords[word] === 'file';
}

/**
 * How `ssh-gate` treats a verb.
 * - `look`: it changes nothing and is allowed where no list is given;
 * - `act`: a list has it, or the word that it begins with;
 * - `named`: it reaches beyond the appliance (it runs programs, writes files of the host or hands out a secret), so that a list
 *   has to have its whole name;
 * - `never`: it is no work for a key that may only do a part.
 */
type Gate = 'look' | 'act' | 'named' | 'never';

export interface OptionSpec {
  readonly short?: string;
  /** Name of the value; an option without one is a switch. */
  readonly value?: ValueWord;
  /**
   * The value may be left out: `--wait` as well as `--wait 5m`. What looks like one, whole, is taken for it; everything else
   * after such an option is an argument.
   */
  readonly optional?: RegExp;
  readonly choices?: readonly string[];
  /** May be given several times; its values come as a list. */
  readonly many?: true;
  readonly help: string;
}

export interface ArgumentSpec {
  readonly name: ValueWord;
  readonly required?: true;
  readonly many?: true;
  /** What a shell completes here. */
  readonly completes?: 'service' | 'tag' | 'shell' | 'verb';
  readonly help: string;
}

export interface VerbSpec {
  readonly summary: string;
  readonly group: Group;
  readonly gate: Gate;
  readonly args?: readonly ArgumentSpec[];
  readonly options?: Readonly<Record<string, OptionSpec>>;
  /** Everything after the first argument belongs to another program. */
  readonly passThrough?: true;
  /** A paragraph for `--help` and the reference. */
  readonly about?: string;
  readonly examples?: readonly string[];
}

export const groups = {
  releases: 'Releases',
  people: 'People',
  stack: 'The stack',
  alerts: 'Alerts',
  models: 'Models',
  backups: 'Backups',
  certificates: 'Certificates',
  appliance: 'The appliance',
} as const;
export type Group = keyof typeof groups;

/** Accepted before and after every verb. */
export const globalOptions = {
  json: { help: 'print exactly one JSON document (one per line for streams), errors included' },
  yes: { short: 'y', help: 'answer every question with yes' },
  root: { value: 'DIR', help: 'use the appliance whose files all live under DIR (same as APPLIANCE_ROOT)' },
  'no-color': { help: 'no colours (also with NO_COLOR, with TERM=dumb and when the output is no terminal)' },
  quiet: { short: 'q', help: 'no progress; results and errors only' },
  verbose: { short: 'v', help: 'more detail, among it what each step reports' },
  timeout: { value: 'DURATION', help: 'give up after so long, for example 30s or 5m' },
  help: { short: 'h', help: 'explain the command' },
  version: { short: 'V', help: 'print the version' },
} as const satisfies Record<string, OptionSpec>;
