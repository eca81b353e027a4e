// What an entry of the table of verbs says, and the options that every verb takes.

export interface OptionSpec {
  readonly short?: string;
  /** Name of the value; an option without one is a switch. */
  readonly value?: string;
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
  readonly name: string;
  readonly required?: true;
  readonly many?: true;
  /** What a shell completes here. */
  readonly completes?: 'service' | 'tag' | 'shell' | 'verb';
  readonly help: string;
}

export interface VerbSpec {
  readonly summary: string;
  readonly group: Group;
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
