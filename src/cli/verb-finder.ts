import { ApplianceError } from '../lib/errors.ts';
import { nearMatches } from '../lib/near.ts';
import { globalOptions, type OptionSpec } from './catalog/spec.ts';
import { catalog, specOf, type VerbName, verbNames } from './catalog.ts';

export interface Found {
  /** Undefined when the command line names no verb at all. */
  readonly verb: VerbName | undefined;
  /** First word of several verbs, such as `config`, when help is asked for all of them. */
  readonly group?: string;
  /** The command line without the words of the verb. */
  readonly rest: readonly string[];
}

/**
 * Finds the verb (`deploy`, `releases show`) in a command line, wherever global options stand.
 * @throws ApplianceError `usage` when the word is not a verb, with what was probably meant
 */
export function findVerb(argv: readonly string[]): Found {
  const first = nextWord(argv, 0, globalOptions);
  if (first === undefined) return { verb: undefined, rest: argv };
  const head = argv[first] ?? '';
  const children = verbsOf(head);
  const own = isVerb(head) ? head : undefined;
  if (own === undefined && children.length === 0) throw unknownVerb(head);
  if (children.length === 0) return { verb: own, rest: without(argv, [first]) };

  const second = nextWord(argv, first + 1, { ...globalOptions, ...(own ? specOf(own).options : {}) });
  if (second === undefined) {
    if (own) return { verb: own, rest: without(argv, [first]) };
    const group: Found = { verb: undefined, group: head, rest: without(argv, [first]) };
    if (asksForHelp(group)) return group;
    throw new ApplianceError('usage', `${head} needs one of: ${children.map(lastWord).join(', ')}`, {
      hint: `for example: appliance ${children[0]}`,
    });
  }
  const full = `${head} ${argv[second]}`;
  if (isVerb(full)) return { verb: full, rest: without(argv, [first, second]) };
  throw unknownVerb(full);
}

/** Whether help is asked for; not when the word belongs to a program that `exec` runs. */
export function asksForHelp(found: Found): boolean {
  const own = ownPart(found);
  return own.includes('--help') || own.includes('-h');
}

export function asksForVersion(found: Found): boolean {
  const own = ownPart(found);
  return found.verb === undefined && (own.includes('--version') || own.includes('-V'));
}

/** Verbs that begin with a word: `config check`, `config show`, … */
export function verbsOf(group: string): VerbName[] {
  return verbNames.filter((name) => name.startsWith(`${group} `));
}

/** Whether `--json` is given to us and not to a program that `exec` runs. */
export function asksForDocument(found: Found): boolean {
  return ownPart(found).includes('--json');
}

/** Whether `--json` is given, found out before the command line is understood: errors in it are JSON too. */
export function asksForJson(argv: readonly string[]): boolean {
  const end = argv.indexOf('--');
  return (end === -1 ? argv : argv.slice(0, end)).includes('--json');
}

/** The words up to `--`, or up to the command that a verb passes through. */
function ownPart({ verb, rest }: Found): readonly string[] {
  const end = rest.indexOf('--');
  const own = end === -1 ? rest : rest.slice(0, end);
  if (verb === undefined || !specOf(verb).passThrough) return own;
  const first = nextWord(own, 0, globalOptions);
  return first === undefined ? own : own.slice(0, first);
}

export function isVerb(name: string): name is VerbName {
  return Object.hasOwn(catalog, name);
}

/** Index of the next word that is neither an option nor the value of one. */
function nextWord(
  argv: readonly string[],
  from: number,
  options: Readonly<Record<string, OptionSpec>>,
): number | undefined {
  for (let index = from; index < argv.length; index += 1) {
    const word = argv[index] ?? '';
    if (word === '--') return undefined;
    if (!word.startsWith('-') || word === '-') return index;
    if (takesNext(word, options)) index += 1;
  }
  return undefined;
}

function takesNext(word: string, options: Readonly<Record<string, OptionSpec>>): boolean {
  return Object.entries(options).some(
    ([name, { short, value, optional }]) =>
      value !== undefined && !optional && (word === `--${name}` || word === `-${short ?? ''}`),
  );
}

function without(argv: readonly string[], indexes: readonly number[]): string[] {
  return argv.filter((_, index) => !indexes.includes(index));
}

function lastWord(name: string): string {
  return name.slice(name.lastIndexOf(' ') + 1);
}

function unknownVerb(name: string): ApplianceError {
  const near = nearMatches(name, [...verbNames, ...new Set(verbNames.map((verb) => verb.split(' ')[0] ?? verb))]);
  return new ApplianceError('usage', `there is no verb "${name}"`, {
    hint:
      near.length > 0 ? `did you mean: appliance ${near.join(', appliance ')}?` : 'appliance --help lists the verbs',
  });
}
