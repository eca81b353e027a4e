import { pad, wrap } from '../lib/text.ts';
import { type ArgumentSpec, type Group, globalOptions, groups, type OptionSpec } from './catalog/spec.ts';
import { specOf, type VerbName, verbNames } from './catalog.ts';
import { type Look, paint } from './output/look.ts';

/** Widest a paragraph of help becomes, in columns. */
const widest = 100;

/** What `appliance --help` prints. */
export function overviewHelp(look: Look): string[] {
  const column = Math.max(...verbNames.map((name) => name.length));
  const section = (group: Group) => [
    '',
    paint(look, 'bold', groups[group]),
    ...verbNames
      .filter((name) => specOf(name).group === group)
      .map((name) => `  ${paint(look, 'cyan', name)}${pad('', column - name.length)}  ${specOf(name).summary}`),
  ];
  return [
    'appliance deploys versions of a Compose application, takes them back and looks after them.',
    '',
    'Usage: appliance [options] <verb> …    without a verb on a terminal: opens the screens',
    ...(Object.keys(groups) as Group[]).flatMap(section),
    '',
    paint(look, 'bold', 'Options of every verb'),
    ...optionLines(globalOptions, look),
    '',
    'appliance <verb> --help explains a verb. Exit status: 0 done, 1 failed, 2 usage, 3 and 4 verdict fail and',
    'inconclusive, 5 busy, 6 not found, 7 not permitted, 8 not reachable, 9 a person must decide, 130 interrupted.',
  ];
}

/** What `appliance <verb> --help` prints. */
export function verbHelp(name: VerbName, look: Look): string[] {
  const { summary, about, args = [], options, examples = [] } = specOf(name);
  const children = verbNames.filter((other) => other.startsWith(`${name} `));
  const titled = (title: string, lines: readonly string[]) =>
    lines.length === 0 ? [] : ['', paint(look, 'bold', title), ...lines];
  return [
    `appliance ${name}: ${summary}`,
    '',
    `Usage: ${usageOf(name)}`,
    ...(about === undefined ? [] : ['', ...wrap(about, Math.min(look.width, widest))]),
    ...titled(
      'Arguments',
      args.map((arg) => `  ${pad(arg.name, 22)}  ${arg.help}`),
    ),
    ...titled('Options', optionLines(options ?? {}, look)),
    ...titled(
      'Verbs',
      children.map((child) => `  ${pad(child, 22)}  ${specOf(child).summary}`),
    ),
    ...titled(
      'Examples',
      examples.map((example) => `  ${example}`),
    ),
    '',
    'Options of every verb: appliance --help',
  ];
}

/** What `appliance config --help` prints, where `config` is no verb itself. @param names the verbs that begin with it */
export function groupHelp(group: string, names: readonly VerbName[], look: Look): string[] {
  return [
    `Usage: appliance ${group} <verb> …`,
    '',
    paint(look, 'bold', 'Verbs'),
    ...names.map((name) => `  ${pad(name, 22)}  ${specOf(name).summary}`),
    '',
    `appliance ${group} <verb> --help explains one.`,
  ];
}

/** Help for programs, as `--json` prints it. @param names default: all verbs */
export function helpDocument(names: readonly VerbName[] = verbNames): object {
  return { verbs: names.map((name) => ({ name, usage: usageOf(name), ...specOf(name) })) };
}

/** `appliance logs [service…] [options]` */
export function usageOf(name: VerbName): string {
  const { args = [], options, passThrough } = specOf(name);
  return [
    'appliance',
    name,
    ...(options ? ['[options]'] : []),
    ...args.map((arg) => (passThrough && arg.many ? `[-- ${arg.name}…]` : argumentText(arg))),
  ].join(' ');
}

function argumentText({ name, required, many }: ArgumentSpec): string {
  const text = `${name}${many ? '…' : ''}`;
  return required ? `<${text}>` : `[${text}]`;
}

/** `-f, --follow`, `--since TIME`, `--wait [DURATION]` */
export function flagsOf(name: string, { short, value, optional }: OptionSpec): string {
  const suffix = value === undefined ? '' : optional ? ` [${value}]` : ` ${value}`;
  return `${short ? `-${short}, ` : ''}--${name}${suffix}`;
}

function optionLines(options: Readonly<Record<string, OptionSpec>>, look: Look): string[] {
  const rows = Object.entries(options).map(([name, option]) => {
    const flags = flagsOf(name, option);
    return { option, flags: option.short ? flags : `    ${flags}` };
  });
  const column = Math.max(22, ...rows.map(({ flags }) => flags.length));
  return rows.flatMap(({ option, flags }) => {
    const text = pad(flags, column);
    const choices = option.choices ? ` (${option.choices.join(', ')})` : '';
    const [first = '', ...more] = wrap(option.help + choices, Math.max(30, Math.min(look.width, widest) - column - 4));
    return [`  ${paint(look, 'cyan', text)}  ${first}`, ...more.map((line) => `  ${pad('', text.length)}  ${line}`)];
  });
}
