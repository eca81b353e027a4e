import { describe, expect, it } from 'vitest';
import { understandSwitches } from '../../src/cli/call.ts';
import { globalOptions } from '../../src/cli/catalog/spec.ts';
import { specOf, type VerbName, verbNames } from '../../src/cli/catalog.ts';
import { parseCall } from '../../src/cli/parse.ts';
import { asksForHelp, asksForJson, findVerb } from '../../src/cli/verb-finder.ts';
import { ApplianceError } from '../../src/lib/errors.ts';

/** Finds the verb and understands the rest, as the command line does. */
function understand(line: string, env: Record<string, string> = {}) {
  const { verb, rest } = findVerb(line.split(' ').filter((word) => word !== ''));
  if (verb === undefined) throw new Error('no verb');
  return { verb, ...parseCall(verb, rest, env) };
}

function refusal(line: string): ApplianceError {
  try {
    understand(line);
  } catch (error) {
    if (error instanceof ApplianceError) return error;
    throw error;
  }
  throw new Error(`"${line}" was understood`);
}

describe('an option that may be repeated', () => {
  it('gives a list, empty when it is absent', () => {
    expect(understand('signoff v1 --answer A=yes --answer=B=no').call.options).toMatchObject({
      answer: ['A=yes', 'B=no'],
    });
    expect(understand('signoff v1').call.options).toMatchObject({ answer: [], accept: false, comment: undefined });
  });
});

describe('finding the verb', () => {
  it.each([
    ['status', 'status', []],
    ['--json status', 'status', ['--json']],
    ['--root /x status --json', 'status', ['--root', '/x', '--json']],
    ['--root=/x status', 'status', ['--root=/x']],
    ['releases', 'releases', []],
    ['releases show v1.0', 'releases show', ['v1.0']],
    ['releases --json show v1.0', 'releases show', ['--json', 'v1.0']],
    ['audit --since 10m', 'audit', ['--since', '10m']],
    ['audit --since 10m verify', 'audit verify', ['--since', '10m']],
    ['exec web -- ls --help', 'exec', ['web', '--', 'ls', '--help']],
    ['deploy status', 'deploy', ['status']],
  ])('%s', (line, verb, rest) => {
    expect(findVerb(line.split(' '))).toEqual({ verb, rest });
  });

  it.each([
    ['depoy v1', 'there is no verb "depoy"', 'appliance deploy'],
    ['releases shwo v1', 'there is no verb "releases shwo"', 'appliance releases show'],
    ['xyzzyplugh', 'there is no verb "xyzzyplugh"', 'appliance --help'],
    ['config', 'config needs one of: check, show, schema, policies', 'appliance config check'],
  ])('refuses "%s" and says what was probably meant', (line, message, hint) => {
    const error = refusal(line);
    expect(error).toMatchObject({ code: 'usage', message });
    expect(error.hint).toContain(hint);
  });

  it('leaves --help to the program that exec runs', () => {
    expect(asksForHelp(findVerb(['exec', 'web', 'ls', '--help']))).toBe(false);
    expect(asksForHelp(findVerb(['exec', '--help']))).toBe(true);
    expect(asksForHelp(findVerb(['logs', '--', '--help']))).toBe(false);
    expect(asksForHelp(findVerb(['deploy', '-h']))).toBe(true);
  });

  it('knows about --json before anything is understood', () => {
    expect(asksForJson(['depoy', '--json'])).toBe(true);
    expect(asksForJson(['exec', 'web', '--', 'tool', '--json'])).toBe(false);
  });
});

describe('reading options and arguments', () => {
  it('takes global options before and after the verb', () => {
    const before = understand('--json --root /x --timeout 30s -q deploy v1.0');
    const after = understand('deploy v1.0 --json --root /x --timeout 30s -q');
    expect(before).toEqual(after);
    expect(before.globals).toMatchObject({ json: true, root: '/x', timeout: 30_000, quiet: true, color: true });
  });

  it('prefers --root to APPLIANCE_ROOT', () => {
    expect(understand('status', { APPLIANCE_ROOT: '/env' }).globals.root).toBe('/env');
    expect(understand('status --root /x', { APPLIANCE_ROOT: '/env' }).globals.root).toBe('/x');
    expect(understand('status', { APPLIANCE_ROOT: '' }).globals.root).toBeUndefined();
  });

  it.each([
    ['deploy v1.0', undefined],
    ['deploy v1.0 --wait', true],
    ['deploy --wait v1.0', true],
    ['deploy --wait 5m v1.0', '5m'],
    ['deploy v1.0 --wait=90s', '90s'],
  ])('%s waits %s', (line, wait) => {
    const { call } = understand(line);
    expect(call).toMatchObject({ args: { tag: 'v1.0' }, options: { wait } });
  });

  it.each([
    ['rollback v1.0', undefined],
    ['rollback v1.0 --restore-data', true],
    ['rollback --restore-data v1.0', true],
    ['rollback v1.0 --restore-data 20261121T020000Z-1f3c', '20261121T020000Z-1f3c'],
    ['rollback --restore-data 20261121T0200 v1.0', '20261121T0200'],
    ['rollback v1.0 --restore-data=2026', '2026'],
    ['rollback v1.0 --restore-data latest', 'latest'],
  ])('%s brings back %s', (line, data) => {
    expect(understand(line).call).toMatchObject({ args: { tag: 'v1.0' }, options: { 'restore-data': data } });
  });

  it('takes a tag that is a day for a tag', () => {
    expect(understand('rollback --restore-data 20261121').call).toMatchObject({
      args: { tag: '20261121' },
      options: { 'restore-data': true },
    });
  });

  it('says how a value is written that was taken for an argument', () => {
    expect(refusal('backup now --wait 10').hint).toBe(
      '"10" is no value of --wait; where it is meant for one: --wait=VALUE',
    );
    expect(refusal('deploy a b').hint).toBe('appliance deploy --help explains it');
  });

  it('passes everything after the service to the command of exec', () => {
    expect(understand('exec web').call.args).toEqual({ service: 'web', command: [] });
    expect(understand('exec web -- ls -la --json').call.args).toEqual({
      service: 'web',
      command: ['ls', '-la', '--json'],
    });
    expect(understand('exec web ls -la').call.args).toEqual({ service: 'web', command: ['ls', '-la'] });
    expect(understand('exec --json web ls').globals.json).toBe(true);
  });

  it('keeps hostile tags as they are, as one argument', () => {
    for (const tag of ['../x', 'v1;rm', '$(id)', 'ü']) expect(understand(`deploy ${tag}`).call.args).toEqual({ tag });
  });

  it.each([
    ['deploy', "missing required argument 'tag'"],
    ['deploy a b', 'too many arguments'],
    ['deploy v1 --strategy sideways', 'Allowed choices are blue-green, canary, recreate'],
    ['deploy --upload-pack=x', "unknown option '--upload-pack"],
    ['logs --tail', "option '-n, --tail <LINES>' argument missing"],
    ['status --timeout soon', '"soon" is not a duration'],
    ['status now', 'too many arguments'],
  ])('refuses "%s"', (line, message) => {
    expect(refusal(line)).toMatchObject({ code: 'usage', message: expect.stringContaining(message) });
  });

  it('offers the option that was probably meant', () => {
    expect(refusal('logs --tial 5').hint).toBe('did you mean --tail?');
  });
});

describe('every verb of the catalogue', () => {
  const argumentsOf = (name: VerbName) =>
    (specOf(name).args ?? []).filter(({ required }) => required).map(({ name: argument }) => `some-${argument}`);

  it.each(verbNames)('%s is understood, with and without switches', (name) => {
    const { rest } = findVerb([...name.split(' '), ...argumentsOf(name)]);
    const { call } = parseCall(name, rest, {});
    expect(Object.keys(call.options)).toEqual(Object.keys(specOf(name).options ?? {}));
    expect(Object.keys(call.args)).toEqual((specOf(name).args ?? []).map(({ name: argument }) => argument));
  });

  it.each(verbNames)('%s means the same to the quick reader and to the parser', (name) => {
    const all = { ...globalOptions, ...specOf(name).options };
    const switches = Object.entries(all).filter(([, option]) => !('value' in option) || option.value === undefined);
    const words = switches.map(([option]) => `--${option}`);
    if (argumentsOf(name).length > 0) {
      expect(understandSwitches(name, words, {})).toBeUndefined();
      return;
    }
    expect(understandSwitches(name, [], {})).toEqual(parseCall(name, [], {}));
    expect(understandSwitches(name, words, {})).toEqual(parseCall(name, words, {}));
  });

  it.each(verbNames)('%s uses no letter twice and takes none from the global options', (name) => {
    const letters = Object.values({ ...globalOptions, ...specOf(name).options }).flatMap((option) =>
      'short' in option && option.short ? [option.short] : [],
    );
    expect(new Set(letters).size).toBe(letters.length);
  });

  it('leaves words with values, unknown words and arguments to the parser', () => {
    for (const words of [['--root', '/x'], ['--wat'], ['backend'], ['--wait'], ['-fj'], ['--']])
      expect(understandSwitches('logs', words, {})).toBeUndefined();
  });
});
