import { errorCodes, exitCodes } from '../lib/errors.ts';
import { type Group, globalOptions, groups, type OptionSpec } from './catalog/spec.ts';
import { specOf, type VerbName, verbNames } from './catalog.ts';
import { flagsOf, usageOf } from './help.ts';

/** `docs/reference/cli.md`, written from the catalogue; a test keeps the file equal to it. */
export function cliReference(): string {
  return `${[
    '# Command line',
    '',
    'Written from the catalogue of verbs (`src/cli/catalog.ts`); `npx vitest run --project unit -u` writes it anew.',
    '',
    '`appliance` without a verb opens the [screens](../guide/screens.md) on a terminal, and prints help elsewhere.',
    'Data goes to stdout, progress and errors to stderr. With `--json`, stdout is exactly one JSON document, or one per',
    'line for streams (`deploy` and the other operations, `follow`, `logs`, `stats`), errors included:',
    '`{"error":{"code":"…","message":"…","hint":"…","exit":6}}`. Text is for people and may change; JSON is a contract.',
    'Exit statuses and error codes: [errors](errors.md).',
    '',
    'A verb that changes something runs in the agent. Ctrl-C then only stops watching; the message says how to go on',
    '(`appliance follow`). Without a running agent the command does the work itself, and Ctrl-C takes it back.',
    '',
    '## Options of every verb',
    '',
    'They may stand before or after the verb.',
    '',
    ...optionTable(globalOptions),
    ...(Object.keys(groups) as Group[]).flatMap((group) => [
      '',
      `## ${groups[group]}`,
      ...verbNames.filter((name) => specOf(name).group === group).flatMap(verbSection),
    ]),
  ].join('\n')}\n`;
}

/** `docs/reference/errors.md`, written from the registry of error codes. */
export function errorReference(): string {
  const meanings: Readonly<Record<keyof typeof exitCodes, string>> = {
    done: 'done',
    failed: 'failed; the message says what was left as it was, or that it was taken back',
    usage: 'usage or configuration error; nothing was touched',
    verdictFail: 'verdict: fail',
    verdictInconclusive: 'verdict: inconclusive; the message says what is missing',
    busy: 'another operation holds the lock; the message says which, whose and since when',
    notFound: 'not found; near matches are offered',
    notPermitted: 'not permitted',
    unreachable: 'the agent or the Docker Engine does not answer',
    manual: 'a person must decide; the message says what to type',
    interrupted: 'interrupted; the message says whether the operation goes on',
  };
  return `${[
    '# Exit statuses and error codes',
    '',
    'Written from `src/lib/errors.ts`; `npx vitest run --project unit -u` writes it anew.',
    '',
    'An error says what happened, what was left as it was, and what to do next. With `--json` it is',
    '`{"error":{"code":"…","message":"…","left":"…","hint":"…","exit":6}}` on stdout; `left` and `hint` are absent where',
    'there is nothing to say. Scripts should look at the exit status, or at `code`; messages may change.',
    '',
    '## Exit statuses',
    '',
    '| status | meaning |',
    '|---|---|',
    ...(Object.keys(exitCodes) as (keyof typeof exitCodes)[]).map(
      (name) => `| ${exitCodes[name]} | ${meanings[name]} |`,
    ),
    '',
    '`appliance exec` passes on the exit status of the command that it ran.',
    '',
    '## Error codes',
    '',
    '| code | status | meaning |',
    '|---|---|---|',
    ...Object.entries(errorCodes).map(([code, { exit, meaning }]) => `| \`${code}\` | ${exit} | ${meaning} |`),
  ].join('\n')}\n`;
}

function verbSection(name: VerbName): string[] {
  const { summary, about, args = [], options, examples = [] } = specOf(name);
  return [
    '',
    `### ${name}`,
    '',
    `\`${usageOf(name)}\``,
    '',
    `${capitalised(summary)}.${about === undefined ? '' : ` ${about}`}`,
    ...(args.length === 0
      ? []
      : ['', '| argument | |', '|---|---|', ...args.map((arg) => `| \`${arg.name}\` | ${cell(arg.help)} |`)]),
    ...(options === undefined ? [] : ['', ...optionTable(options)]),
    ...(examples.length === 0 ? [] : ['', '```sh', ...examples, '```']),
  ];
}

function optionTable(options: Readonly<Record<string, OptionSpec>>): string[] {
  return [
    '| option | |',
    '|---|---|',
    ...Object.entries(options).map(([name, option]) => {
      const choices = option.choices ? ` (${option.choices.join(', ')})` : '';
      return `| \`${flagsOf(name, option)}\` | ${cell(option.help + choices)} |`;
    }),
  ];
}

/** A pipe would end the cell. */
function cell(text: string): string {
  return text.replaceAll('|', '\\|');
}

function capitalised(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
