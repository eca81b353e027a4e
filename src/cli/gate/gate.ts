import type { Client } from '../../api/client.ts';
import { type Endpoint, endpoints } from '../../api/endpoints.ts';
import type { RouteName } from '../../api/routes.ts';
import { ApplianceError, messageOf } from '../../lib/errors.ts';
import { didYouMean } from '../../lib/near.ts';
import { globalOptions, isFile, type OptionSpec } from '../catalog/spec.ts';
import { specOf, type VerbName } from '../catalog.ts';
import { readWords } from '../parse.ts';
import { asksForHelp, type Found, findVerb } from '../verb-finder.ts';
import type { Wiring } from '../wiring.ts';
import { type Allowed, allowedBy } from './allowed.ts';
import { splitWords } from './words.ts';

/** What becomes of a command that came through the gate. */
export type Passage =
  | { readonly words: readonly string[]; readonly wiring: Wiring; readonly refusal?: never }
  /** `words` is the command as far as it could be taken apart: it says how an error is to be shown. */
  | { readonly words: readonly string[]; readonly refusal: unknown };

/**
 * Decides about the command that sshd has put into SSH_ORIGINAL_COMMAND (sshd(8), `command=`). Pure but for what `wiring`
 * does later.
 * @param lists what `--allow` says
 * @param command undefined where the caller wants a shell
 */
export function passGate(lists: readonly string[], command: string | undefined, wiring: Wiring): Passage {
  let words: readonly string[] = (command ?? '').split(/[\s;&|<>()]+/);
  try {
    const allowed = allowedBy(lists);
    words = withoutProgram(splitWords(command ?? ''));
    assertAllowed(words, allowed);
    return { words, wiring: allowed.viewer ? viewing(wiring) : wiring };
  } catch (refusal) {
    return { words, refusal };
  }
}

/** `ssh HOST appliance status` as well as `ssh HOST status`. */
function withoutProgram(words: readonly string[]): readonly string[] {
  return /(?:^|\/)appliance$/.test(words[0] ?? '') ? words.slice(1) : words;
}

/** @throws ApplianceError `not_permitted`; `usage` where an allowed verb is not used as it must be */
function assertAllowed(words: readonly string[], allowed: Allowed): void {
  const found = find(words, allowed);
  const { verb } = found;
  if (verb === undefined) throw refused('there is no shell and no screen here, only verbs', '', allowed);
  if (!allowed.verbs.has(verb)) throw refused(`${verb} is not allowed here`, verb, allowed);
  if (!asksForHelp(found)) assertNoFiles(verb, found.rest, allowed);
}

function find(words: readonly string[], allowed: Allowed): Found {
  try {
    return findVerb(words);
  } catch (error) {
    const [first = '', second = ''] = words.filter((word) => !word.startsWith('-'));
    throw refused(messageOf(error), `${first} ${second}`.trim(), allowed);
  }
}

/** Files of this host are named by whoever wrote the line in authorized_keys, and by nobody who comes through it. */
function assertNoFiles(verb: VerbName, rest: readonly string[], allowed: Allowed): void {
  const { read, args } = readWords(verb, rest);
  const spec = specOf(verb);
  const options: Readonly<Record<string, OptionSpec>> = { ...globalOptions, ...spec.options };
  const option = Object.keys(options).find((name) => isFile(options[name]?.value) && read(name) !== undefined);
  if (option !== undefined) {
    throw new ApplianceError('not_permitted', `--${option} names a file of this host, which is never allowed here`, {
      left: 'nothing was run',
      hint: 'leave it out',
    });
  }
  const named = (spec.args ?? []).find(({ name }, index) => isFile(name) && (args[index]?.length ?? 0) > 0);
  if (named !== undefined && !allowed.byName.has(verb)) {
    throw new ApplianceError('not_permitted', `${verb} with a <${named.name}> may reach for files of this host`, {
      left: 'nothing was run',
      hint: `leave it out, or have the line in authorized_keys name it: --allow '${verb}'`,
    });
  }
}

/** @param wanted what the caller may have meant to be a verb */
function refused(message: string, wanted: string, { verbs }: Allowed): ApplianceError {
  const near = [wanted, wanted.split(' ')[0] ?? '']
    .filter((name) => name !== '')
    .map((name) => didYouMean(name, verbs));
  const list = [...verbs];
  return new ApplianceError('not_permitted', message, {
    left: 'nothing was run',
    hint: [
      ...near.filter((text) => text !== undefined).slice(0, 1),
      `allowed are: ${list.join(', ')}; say it as: ssh HOST ${verbs.has('status') ? 'status' : list[0]}`,
    ].join(' '),
  });
}

/** The same, where requests that only operators may make are refused, whatever verb or option makes them. */
function viewing(wiring: Wiring): Wiring {
  return {
    ...wiring,
    connect: async (options) => viewer(await wiring.connect(options)),
    connectHere: async (options) => viewer(await wiring.connectHere(options)),
  };
}

function viewer(client: Client): Client {
  const assertLook = (name: RouteName): void => {
    const { access }: Endpoint = endpoints[name];
    if (access === 'viewer') return;
    throw new ApplianceError('not_permitted', 'this key may look, and change nothing', {
      left: 'nothing was touched',
      hint: 'whoever looks after authorized_keys of this host can allow the verb: ssh-gate --allow',
    });
  };
  return {
    host: client.host,
    access: 'viewer',
    ask: async (name, input, signal) => {
      assertLook(name);
      return client.ask(name, input, signal);
    },
    async *stream(name, input, signal) {
      assertLook(name);
      yield* client.stream(name, input, signal);
    },
    close: () => client.close(),
  };
}
