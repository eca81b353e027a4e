import { alertsVerbs } from './catalog/alerts.ts';
import { applianceVerbs } from './catalog/appliance.ts';
import { backupsVerbs } from './catalog/backups.ts';
import { certificatesVerbs } from './catalog/certificates.ts';
import { modelsVerbs } from './catalog/models.ts';
import { peopleVerbs } from './catalog/people.ts';
import { releasesVerbs } from './catalog/releases.ts';
import type { ArgumentSpec, OptionSpec, VerbSpec } from './catalog/spec.ts';
import { stackVerbs } from './catalog/stack.ts';

/**
 * Every verb of the command line, as data. Parsing, help, shell completion and `docs/reference/cli.md` are all derived
 * from this table, and the types of what a verb receives are too: a verb cannot read an option that is not listed here.
 */
export const catalog = {
  ...releasesVerbs,
  ...peopleVerbs,
  ...stackVerbs,
  ...alertsVerbs,
  ...modelsVerbs,
  ...backupsVerbs,
  ...certificatesVerbs,
  ...applianceVerbs,
} as const satisfies Record<string, VerbSpec>;

export type VerbName = keyof typeof catalog;

/** The entry of a verb with all its optional parts, for code that treats every verb alike. */
export function specOf(name: VerbName): VerbSpec {
  return catalog[name];
}

export const verbNames = Object.keys(catalog).filter((name): name is VerbName => name in catalog);

type OptionsOf<Name extends VerbName> = (typeof catalog)[Name] extends {
  readonly options: infer Options extends Readonly<Record<string, OptionSpec>>;
}
  ? Options
  : Record<never, never>;
type OptionValue<Spec> = Spec extends { readonly value: string }
  ? Spec extends { readonly many: true }
    ? readonly string[]
    : Spec extends { readonly optional: RegExp }
      ? string | true | undefined
      : string | undefined
  : boolean;
type ArgsOf<Name extends VerbName> = (typeof catalog)[Name] extends {
  readonly args: infer Args extends readonly ArgumentSpec[];
}
  ? Args[number]
  : never;
type ArgumentValue<Spec> = Spec extends { readonly many: true }
  ? readonly string[]
  : Spec extends { readonly required: true }
    ? string
    : string | undefined;

/** What one verb was called with. */
export interface Call<Name extends VerbName> {
  readonly options: { readonly [Key in keyof OptionsOf<Name>]: OptionValue<OptionsOf<Name>[Key]> };
  readonly args: { readonly [Spec in ArgsOf<Name> as Spec['name']]: ArgumentValue<Spec> };
}

export interface Globals {
  readonly json: boolean;
  readonly yes: boolean;
  /** `--root`, or APPLIANCE_ROOT, or undefined on a host-wide installation. */
  readonly root: string | undefined;
  readonly color: boolean;
  readonly quiet: boolean;
  readonly verbose: boolean;
  /** Milliseconds. */
  readonly timeout: number | undefined;
}
