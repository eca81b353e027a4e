import { Argument, Command, CommanderError, Option } from 'commander';
import { ApplianceError } from '../lib/errors.ts';
import { didYouMean } from '../lib/near.ts';
import { assemble, type Read, type Understood } from './call.ts';
import { globalOptions, type OptionSpec } from './catalog/spec.ts';
import { specOf, type VerbName } from './catalog.ts';

/** What stands for an option with an optional value that was given without one. */
const bare = '\u0000';

/**
 * Understands the words after a verb.
 * @param words the command line without the verb itself
 * @param env where APPLIANCE_ROOT stands
 * @throws ApplianceError `usage`
 */
export function parseCall<Name extends VerbName>(
  verb: Name,
  words: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): Understood<Name> {
  const { read, args } = readWords(verb, words);
  return assemble(verb, read, args, env);
}

/** What stands in the words after a verb, and nothing that stands elsewhere. */
interface Words {
  /** Value of an option by its name. */
  readonly read: Read;
  /** Values of the arguments, in the order of the catalogue. */
  readonly args: readonly (string | readonly string[] | undefined)[];
}

/**
 * Reads the words after a verb.
 * @param words the command line without the verb itself
 * @throws ApplianceError `usage`
 */
export function readWords(verb: VerbName, words: readonly string[]): Words {
  const spec = specOf(verb);
  const options: Record<string, OptionSpec> = { ...globalOptions, ...spec.options };
  const command = new Command()
    .exitOverride()
    .configureOutput({ writeErr: () => undefined, writeOut: () => undefined })
    .helpOption(false)
    .allowExcessArguments(false)
    .passThroughOptions(spec.passThrough ?? false)
    .action(() => undefined);
  for (const [name, option] of Object.entries(options)) command.addOption(optionFor(name, option));
  for (const { name, required, many } of spec.args ?? []) {
    const dots = many ? '...' : '';
    command.addArgument(new Argument(required ? `<${name}${dots}>` : `[${name}${dots}]`));
  }
  try {
    command.parse(joinOptional(words, options), { from: 'user' });
  } catch (error) {
    throw asUsage(error, { verb, words, options });
  }
  const values: Record<string, unknown> = command.opts();
  return {
    read: (name) => {
      if (name === 'no-color') return values.color === false;
      return readValue(values[camel(name)], options[name]?.value !== undefined);
    },
    args: (spec.args ?? []).map(({ many }, index) => argumentOf(command.processedArgs[index], many ?? false)),
  };
}

function optionFor(name: string, { short, value, choices, many, help }: OptionSpec): Option {
  const flags = `${short ? `-${short}, ` : ''}--${name}${value ? ` <${value}>` : ''}`;
  const option = new Option(flags, help);
  if (many) option.argParser((word: string, before: readonly string[] = []) => [...before, word]);
  return choices ? option.choices([...choices]) : option;
}

/**
 * `--wait 5m` becomes `--wait=5m` and a bare `--wait` gets a value too. Left to the parser, `--wait v1.0` would take the
 * tag for the duration.
 */
function joinOptional(words: readonly string[], options: Readonly<Record<string, OptionSpec>>): string[] {
  const out: string[] = [];
  for (let index = 0; index < words.length; index += 1) {
    const word = words[index] ?? '';
    if (word === '--') return [...out, ...words.slice(index)];
    const looksLikeOne = word.startsWith('--') ? options[word.slice(2)]?.optional : undefined;
    if (!looksLikeOne) {
      out.push(word);
      continue;
    }
    const next = words[index + 1];
    const joins = next !== undefined && looksLikeOne.test(next);
    out.push(`${word}=${joins ? next : bare}`);
    if (joins) index += 1;
  }
  return out;
}

function readValue(value: unknown, takesValue: boolean): ReturnType<Read> {
  if (!takesValue) return value === true;
  if (Array.isArray(value)) return value.map(String);
  if (value === bare) return true;
  return typeof value === 'string' ? value : undefined;
}

function argumentOf(value: unknown, many: boolean): string | string[] | undefined {
  if (!many) return typeof value === 'string' ? value : undefined;
  const all = Array.isArray(value) ? value.map(String) : [];
  return all[0] === '--' ? all.slice(1) : all;
}

/** As commander names the attribute of an option. */
function camel(name: string): string {
  return name.replace(/-(\w)/g, (_, letter: string) => letter.toUpperCase());
}

function asUsage(
  error: unknown,
  { verb, words, options }: { verb: string; words: readonly string[]; options: Readonly<Record<string, OptionSpec>> },
): unknown {
  if (!(error instanceof CommanderError)) return error;
  const [first = ''] = error.message.replace(/^error: /, '').split('\n');
  const unknown = /^unknown option '([^'=]+)/.exec(first)?.[1];
  const near =
    unknown === undefined
      ? undefined
      : didYouMean(
          unknown,
          Object.keys(options).map((name) => `--${name}`),
        );
  const hint = near ?? valueHint(error, words, options) ?? `appliance ${verb} --help explains it`;
  return new ApplianceError('usage', first, { hint });
}

/** A word that was meant for the value of an option that may stand without one. */
function valueHint(
  { code }: CommanderError,
  words: readonly string[],
  options: Readonly<Record<string, OptionSpec>>,
): string | undefined {
  if (code !== 'commander.excessArguments') return undefined;
  const found = words.find((word) => word.startsWith('--') && options[word.slice(2)]?.optional);
  return (
    found && `"${words[words.indexOf(found) + 1]}" is no value of ${found}; where it is meant for one: ${found}=VALUE`
  );
}
