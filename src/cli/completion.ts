import { ApplianceError } from '../lib/errors.ts';
import { didYouMean } from '../lib/near.ts';
import { type ArgumentSpec, globalOptions } from './catalog/spec.ts';
import { specOf, verbNames } from './catalog.ts';

const shells = { bash: bashScript, zsh: zshScript, fish: fishScript } as const;

/** The hidden word with which a completion script asks for names: `appliance __complete tag`. */
const completeWord = '__complete';

/**
 * A completion script, derived from the catalogue.
 * @throws ApplianceError `usage` for a shell that is not known
 */
export function completionScript(shell: string): string {
  if (shell === 'bash' || shell === 'zsh' || shell === 'fish') return `${shells[shell]()}\n`;
  const names = Object.keys(shells);
  throw new ApplianceError('usage', `there is no completion for "${shell}"`, {
    hint: didYouMean(shell, names) ?? `there is one for ${names.join(', ')}`,
  });
}

/** What may follow each verb: its children, its options, and which kind of name its arguments are. */
function table() {
  return verbNames.map((name) => ({
    name,
    summary: specOf(name).summary,
    flags: Object.keys({ ...specOf(name).options, ...globalOptions }).map((option) => `--${option}`),
    kind: (specOf(name).args ?? []).map((arg: ArgumentSpec) => arg.completes).find((kind) => kind !== undefined),
  }));
}

function heads(): string[] {
  return [...new Set(verbNames.map((name) => name.split(' ')[0] ?? name))];
}

function childrenOf(head: string): string[] {
  return verbNames.filter((name) => name.startsWith(`${head} `)).map((name) => name.slice(head.length + 1));
}

/** The words of a kind of argument that are known without asking anybody. */
function fixedWords(kind: ArgumentSpec['completes']): string | undefined {
  if (kind === 'shell') return Object.keys(shells).join(' ');
  return kind === 'verb' ? heads().join(' ') : undefined;
}

function bashScript(): string {
  const cases = table().map(({ name, flags, kind }) => {
    const words = fixedWords(kind) ?? (kind ? `$(appliance ${completeWord} ${kind} 2>/dev/null)` : '');
    const children = name.includes(' ') ? [] : childrenOf(name);
    return `    ${JSON.stringify(name)}) flags="${flags.join(' ')}"; words="${[...children, words].join(' ').trim()}" ;;`;
  });
  const parents = heads()
    .filter((head) => !verbNames.some((name) => name === head))
    .map((head) => `    ${JSON.stringify(head)}) flags=""; words="${childrenOf(head).join(' ')}" ;;`);
  return `# bash completion for appliance
_appliance() {
  local current=\${COMP_WORDS[COMP_CWORD]} verb="" word flags words
  local -i index
  for ((index = 1; index < COMP_CWORD; index++)); do
    word=\${COMP_WORDS[index]}
    case $word in
      -*) continue ;;
    esac
    case "$verb\${verb:+ }$word" in
      ${[...heads(), ...verbNames.filter((name) => name.includes(' '))].map((name) => JSON.stringify(name)).join('|')}) verb="$verb\${verb:+ }$word" ;;
    esac
  done
  case $verb in
    "") flags="${Object.keys(globalOptions)
      .map((name) => `--${name}`)
      .join(' ')}"; words="${heads().join(' ')}" ;;
${[...cases, ...parents].join('\n')}
  esac
  case $current in
    -*) words=$flags ;;
  esac
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
}
complete -F _appliance appliance`;
}

function zshScript(): string {
  return `#compdef appliance
# zsh completion for appliance, by way of the one for bash
autoload -U +X bashcompinit && bashcompinit
${bashScript().replace('mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")', 'COMPREPLY=($(compgen -W "$words" -- "$current"))')}`;
}

function fishScript(): string {
  const quoted = (text: string) => `'${text.replace(/\\/g, '\\\\').replace(/'/g, "\\'")}'`;
  const first = heads().map((head) => {
    const name = verbNames.find((verb) => verb === head);
    return `complete -c appliance -n __fish_use_subcommand -a ${head} -d ${quoted(name ? specOf(name).summary : childrenOf(head).join(', '))}`;
  });
  const further = verbNames.flatMap((name) => {
    const [head = name, child] = name.split(' ');
    const { options = {}, summary, args = [] } = specOf(name);
    const here =
      child === undefined
        ? `__fish_seen_subcommand_from ${head}`
        : `__fish_seen_subcommand_from ${head}; and __fish_seen_subcommand_from ${child}`;
    const kind = args.map((arg) => arg.completes).find((each) => each !== undefined);
    const words = fixedWords(kind) ?? (kind ? `(appliance ${completeWord} ${kind} 2>/dev/null)` : undefined);
    return [
      ...(child === undefined
        ? []
        : [`complete -c appliance -n '__fish_seen_subcommand_from ${head}' -a ${child} -d ${quoted(summary)}`]),
      ...(words === undefined ? [] : [`complete -c appliance -n '${here}' -a ${quoted(words)}`]),
      ...Object.entries(options).map(
        ([option, { short, value, help }]) =>
          `complete -c appliance -n '${here}' -l ${option}${short ? ` -s ${short}` : ''}${value ? ' -r' : ''} -d ${quoted(help)}`,
      ),
    ];
  });
  const everywhere = Object.entries(globalOptions).map(
    ([option, spec]) =>
      `complete -c appliance -l ${option}${'short' in spec ? ` -s ${spec.short}` : ''}${'value' in spec ? ' -r' : ''} -d ${quoted(spec.help)}`,
  );
  return ['# fish completion for appliance', 'complete -c appliance -f', ...first, ...further, ...everywhere].join(
    '\n',
  );
}
