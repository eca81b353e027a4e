import { ApplianceError, exitCodes } from '../lib/errors.ts';
import { type Understood, understandSwitches } from './call.ts';
import type { Call, Globals, VerbName } from './catalog.ts';
import { errorDocument, errorLines, exitCodeOf } from './exit.ts';
import { type HandledVerb, handlers } from './handlers.ts';
import { groupHelp, helpDocument, overviewHelp, verbHelp } from './help.ts';
import { type Look, lookOf } from './output/look.ts';
import { Session, type World } from './session.ts';
import { asksForDocument, asksForHelp, asksForJson, asksForVersion, findVerb, isVerb, verbsOf } from './verb-finder.ts';
import type { Wiring } from './wiring.ts';

/**
 * The command line from its words to its exit status.
 * @param argv the words after the program's name
 */
export async function runCli(argv: readonly string[], wiring: Wiring, world: World): Promise<number> {
  try {
    if (argv[0] === '__complete') return await complete(argv, wiring, world);
    if (argv[0] === '__take-back') return await takeBack(wiring, world);
    return await runVerb(argv, wiring, world);
  } catch (error) {
    report(error, asksForJson(argv), argv, world);
    return exitCodeOf(error);
  }
}

async function runVerb(argv: readonly string[], wiring: Wiring, world: World): Promise<number> {
  const found = findVerb(argv);
  const { verb, rest } = found;
  const look = lookOf(world.stdout, world.env, !argv.includes('--no-color'));
  const json = asksForDocument(found);
  if (asksForVersion(found)) {
    return print(world, [json ? JSON.stringify({ version: wiring.version }) : `appliance ${wiring.version}`]);
  }
  if (asksForHelp(found) || (verb === undefined && rest.length === 0)) {
    return print(world, helpLines(verb ?? found.group ?? '', json, look));
  }
  if (verb === undefined) return openOrExplain(rest, wiring, world);

  if (verb === 'help') {
    const { call } = await understand(verb, rest, world);
    return print(world, helpFor(call, json, look));
  }
  if (verb === 'completion') {
    const { call } = await understand(verb, rest, world);
    const { completionScript } = await import('./completion.ts');
    world.stdout.write(completionScript(call.args.shell));
    return exitCodes.done;
  }
  if (verb === 'ssh-gate') return throughGate(rest, wiring, world);
  return handle(verb, rest, wiring, world);
}

/** The forced command of sshd: what its caller asks for is the command line, as far as it is allowed. */
async function throughGate(rest: readonly string[], wiring: Wiring, world: World): Promise<number> {
  const { call, globals } = await understand('ssh-gate', rest, world);
  const { passGate } = await import('./gate/gate.ts');
  const command = world.env.SSH_ORIGINAL_COMMAND;
  const passed = passGate(call.options.allow, command, wiring);
  if ('refusal' in passed) {
    const { refusal, words } = passed;
    report(refusal, asksForJson(words), words, world);
    const { noteRefusal } = await import('./gate/note.ts');
    await noteRefusal(command, globals, wiring, world);
    return exitCodeOf(refusal);
  }
  const place = globals.root === undefined ? [] : ['--root', globals.root];
  return runCli([...place, ...passed.words], passed.wiring, world);
}

async function understand<Name extends VerbName>(
  verb: Name,
  words: readonly string[],
  world: World,
): Promise<Understood<Name>> {
  const quick = understandSwitches(verb, words, world.env);
  if (quick) return quick;
  const { parseCall } = await import('./parse.ts');
  return parseCall(verb, words, world.env);
}

async function handle<Name extends HandledVerb>(
  verb: Name,
  rest: readonly string[],
  wiring: Wiring,
  world: World,
): Promise<number> {
  const { call, globals } = await understand(verb, rest, world);
  const run = await handlers[verb]();
  const session = new Session(globals, wiring, world);
  try {
    return await run(call, session);
  } catch (error) {
    throw session.signal.aborted && !(error instanceof ApplianceError) ? session.signal.reason : error;
  } finally {
    await session.end();
  }
}

/** Options without a verb: on a terminal that means the screens, elsewhere it means nothing. */
async function openOrExplain(words: readonly string[], wiring: Wiring, world: World): Promise<number> {
  // `help` has the options that every verb has, and no other.
  const { call, globals } = await understand('help', words, world);
  const look = lookOf(world.stdout, world.env, globals.color);
  if (world.stdout.isTTY !== true || world.stdin.isTTY !== true || globals.json)
    return print(world, helpFor(call, globals.json, look));
  return screens(globals, wiring);
}

function screens(globals: Globals, wiring: Wiring): Promise<number> {
  return wiring.openScreens({ root: globals.root, color: globals.color });
}

function helpFor(call: Call<'help'>, json: boolean, look: Look): string[] {
  const name = call.args.verb.join(' ');
  if (name === '' || isVerb(name) || verbsOf(name).length > 0) return helpLines(name, json, look);
  return helpLines(findVerb(call.args.verb).verb ?? '', json, look);
}

/** @param name a verb, the first word of several, or nothing for all of them */
function helpLines(name: string, json: boolean, look: Look): string[] {
  const names = isVerb(name) ? [name] : verbsOf(name);
  if (json) return [JSON.stringify(helpDocument(name === '' ? undefined : names))];
  if (isVerb(name)) return verbHelp(name, look);
  return name === '' ? overviewHelp(look) : groupHelp(name, names, look);
}

/** What packaging/trial.sh asks for before an agent starts. */
async function takeBack(wiring: Wiring, world: World): Promise<number> {
  await wiring.takeBackUpdate({ root: world.env.APPLIANCE_ROOT || undefined });
  return exitCodes.done;
}

/** Names for a completion script, one per line; nothing at all when nobody can be asked. */
async function complete(argv: readonly string[], wiring: Wiring, world: World): Promise<number> {
  const globals: Globals = {
    json: false,
    yes: false,
    root: world.env.APPLIANCE_ROOT || undefined,
    color: false,
    quiet: true,
    verbose: false,
    timeout: 2_000,
  };
  const session = new Session(globals, wiring, world);
  try {
    const client = await session.agent();
    if (client === undefined) return exitCodes.done;
    const names =
      argv[1] === 'service'
        ? (await client.ask('ps', {}, session.signal)).map(({ name }) => name)
        : (await client.ask('releases', {}, session.signal)).map(({ tag }) => tag);
    return print(world, [...new Set(names)]);
  } catch {
    return exitCodes.failed;
  } finally {
    await session.end();
  }
}

function print(world: World, lines: readonly string[]): number {
  if (lines.length > 0) world.stdout.write(`${lines.join('\n')}\n`);
  return exitCodes.done;
}

function report(error: unknown, json: boolean, argv: readonly string[], world: World): void {
  if (json) {
    world.stdout.write(`${JSON.stringify(errorDocument(error))}\n`);
    return;
  }
  const look = lookOf(world.stderr, world.env, !argv.includes('--no-color'));
  const verbose = argv.includes('--verbose') || argv.includes('-v');
  world.stderr.write(`${errorLines(error, look, verbose).join('\n')}\n`);
}
