import { execFile } from 'node:child_process';
import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { globalOptions, isFile, type OptionSpec } from '../../src/cli/catalog/spec.ts';
import { specOf, verbNames } from '../../src/cli/catalog.ts';
import { allowedBy } from '../../src/cli/gate/allowed.ts';
import { passGate } from '../../src/cli/gate/gate.ts';
import type { Wiring } from '../../src/cli/wiring.ts';
import { ApplianceError } from '../../src/lib/errors.ts';
import { face, temporaryRoot } from '../e2e/stage/face.ts';
import { openStage } from '../e2e/stage/stage.ts';

const place = temporaryRoot();
let close: () => Promise<void>;
beforeAll(async () => {
  close = await openStage({ root: place.root, stepTime: 5, logPause: 5 });
});
afterAll(async () => {
  await close();
  place.remove();
});

/** What somebody gets who types `ssh HOST COMMAND`. */
const ssh = (command: string | undefined, ...allow: string[]) =>
  face(place.root, ['ssh-gate', ...allow.flatMap((list) => ['--allow', list])], {
    env: command === undefined ? {} : { SSH_ORIGINAL_COMMAND: command },
  }).ended;

// Nothing of it is used before a command is let through.
const nobody = {} as Wiring;
const decide = (command: string, ...allow: string[]) => {
  const passed = passGate(allow, command, nobody);
  if (!('refusal' in passed)) return passed.words.join(' ');
  if (!(passed.refusal instanceof ApplianceError)) throw passed.refusal;
  return passed.refusal.code;
};

describe('the list of --allow', () => {
  it('allows a verb by its name, and all that begin with a word', () => {
    expect([...allowedBy(['status,logs, backup  list']).verbs]).toEqual(['status', 'logs', 'backup list']);
    expect([...allowedBy(['schedule', 'certs status']).verbs]).toEqual([
      'schedule',
      'certs status',
      'schedule list',
      'schedule run',
    ]);
    const { verbs } = allowedBy(['backup']);
    expect(verbs).toContain('backup restore');
    for (const name of ['backup key', 'backup export', 'backup recover'] as const) {
      expect(verbs).not.toContain(name);
      expect(allowedBy([name]).verbs).toContain(name);
    }
  });

  it('left out, allows what changes nothing', () => {
    const { verbs, viewer } = allowedBy([]);
    expect(viewer).toBe(true);
    for (const name of ['status', 'logs', 'plan', 'audit', 'backup list', 'doctor'] as const)
      expect(verbs).toContain(name);
    for (const name of ['deploy', 'exec', 'backup key', 'agent', 'init', 'up'] as const)
      expect(verbs).not.toContain(name);
  });

  it.each([
    ['stauts', 'status'],
    ['status,lgos', 'logs'],
    ['backup lst', 'backup list'],
    ['bakcup', 'backup'],
    ['agent', 'take it off'],
    ['status,ssh-gate', 'take it off'],
    ['uninstall', 'take it off'],
    ['', 'lists the verbs'],
    ['status,', 'lists the verbs'],
  ])('with %j in it allows nothing and says why', async (list, hint) => {
    const { exit, stdout, stderr } = await ssh('status', list);
    expect({ exit, stdout }).toEqual({ exit: 2, stdout: '' });
    expect(stderr).toContain('nothing is allowed until that is right');
    expect(stderr).toContain(hint);
  });
});

describe('through the gate', () => {
  it.each(['status', 'appliance status', '/usr/local/bin/appliance status', "'status'"])('%s runs', async (command) => {
    const direct = await face(place.root, ['status']).ended;
    const { exit, stdout, stderr } = await ssh(command, 'status');
    expect({ exit, stderr }).toEqual({ exit: 0, stderr: '' });
    expect(stdout.split('\n')[0]).toEqual(direct.stdout.split('\n')[0]);
  });

  it('a verb ends as it does without it: exit status, JSON, usage', async () => {
    const direct = await face(place.root, ['audit', 'verify', '--json']).ended;
    expect(direct.exit).toBe(3);
    expect(await ssh('audit verify --json', 'audit verify')).toEqual(direct);
    expect(await ssh('status --jsn', 'status')).toMatchObject({ exit: 2, stdout: '' });
    expect((await ssh('deploy --help', 'deploy')).stdout).toContain('Usage: appliance deploy');
    expect((await ssh("logs --tail 3 --grep 'a|b'", 'logs')).exit).toBe(0);
  });

  it.each([
    ['down', 'did you mean'],
    ['down --volumes --yes', 'allowed are: status, logs, backup list'],
    ['statsu', 'did you mean status'],
    ['backup show', 'allowed are'],
    ['backup', 'did you mean backup list'],
    ['help', 'allowed are'],
    ['--help', 'allowed are'],
    ['--version', 'allowed are'],
    ['appliance', 'allowed are'],
    ['__complete tag', 'allowed are'],
    ['ssh-gate --allow down', 'allowed are'],
    ['agent --foreground', 'allowed are'],
    ['exec backend -- sh', 'allowed are'],
    ['uninstall --yes', 'allowed are'],
    ['/usr/lib/openssh/sftp-server', 'allowed are'],
    ['rsync --server . /etc', 'allowed are'],
    ['constructor', 'allowed are'],
    ['--json --root', 'allowed are'],
    ['status; down', 'one verb at a time'],
  ])('%s is refused', async (command, hint) => {
    const { exit, stdout, stderr } = await ssh(command, 'status,logs,backup list');
    expect(exit).toBe(7);
    if (command.includes('--json')) {
      expect(JSON.parse(stdout)).toMatchObject({ error: { code: 'not_permitted', exit: 7 } });
      return;
    }
    expect(stdout).toBe('');
    if (hint !== 'did you mean') expect(stderr).toContain(hint);
  });

  it('a shell is refused with what is allowed', async () => {
    const { exit, stdout, stderr } = await ssh(undefined, 'status,logs');
    expect({ exit, stdout }).toEqual({ exit: 7, stdout: '' });
    expect(stderr).toContain('allowed are: status, logs; say it as: ssh HOST status');
  });

  it('with --json a refusal is one document', async () => {
    for (const command of ['down --json', 'down --json; id', '--json']) {
      const { exit, stdout, stderr } = await ssh(command, 'status');
      expect({ exit, stderr }).toEqual({ exit: 7, stderr: '' });
      expect(JSON.parse(stdout)).toMatchObject({ error: { code: 'not_permitted', exit: 7, left: 'nothing was run' } });
    }
  });

  it('without a list nothing is changed, whatever option asks for it', async () => {
    expect((await ssh('models verify')).exit).not.toBe(7);
    for (const command of ['models verify --repair', 'doctor --fix']) {
      const { exit, stderr } = await ssh(command);
      expect(exit).toBe(7);
      expect(stderr).toContain('this key may look, and change nothing');
    }
    expect((await ssh('models verify --repair', 'models verify')).exit).not.toBe(7);
  });

  it('the root is that of the line in authorized_keys', async () => {
    const elsewhere = temporaryRoot();
    try {
      const argv = ['--root', elsewhere.root, 'ssh-gate', '--allow', 'version'];
      const { stdout } = await face(place.root, argv, { env: { SSH_ORIGINAL_COMMAND: 'version --json' } }).ended;
      expect(JSON.parse(stdout)).toMatchObject({ agent: null });
    } finally {
      elsewhere.remove();
    }
  });
});

describe('files of the host', () => {
  const fileOptions = verbNames.flatMap((verb) => {
    const options: Record<string, OptionSpec> = { ...globalOptions, ...specOf(verb).options };
    return Object.entries(options).flatMap(([name, { value, short }]) =>
      isFile(value) ? [{ verb, name, short }] : [],
    );
  });

  it('are named by no option of any verb, however it is written', () => {
    expect(new Set(fileOptions.map(({ name }) => name))).toEqual(new Set(['root', 'output', 'key-file', 'from']));
    for (const { verb, name, short } of fileOptions) {
      if (specOf(verb).gate === 'never' || verb === 'exec') continue;
      const required = (specOf(verb).args ?? []).filter((arg) => arg.required).map(() => 'x');
      const ways = [`--${name} /x`, `--${name}=/x`, ...(short === undefined ? [] : [`-${short} /x`, `-${short}/x`])];
      for (const way of ways) {
        for (const line of [
          `${verb} ${way} ${required.join(' ')}`,
          `${verb} ${required.join(' ')} ${way}`,
          `${way} ${verb}`,
        ]) {
          expect([line, decide(line, verb)]).not.toEqual([line, line]);
          expect(['not_permitted', 'usage']).toContain(decide(line, verb));
        }
      }
    }
    for (const line of ['--root /x status', 'status --root=/x', 'status --json --root /x']) {
      expect(decide(line, 'status')).toBe('not_permitted');
    }
    expect(decide('report v1 -o /x', 'report')).toBe('not_permitted');
    expect(decide('support-bundle -o/x', 'support-bundle')).toBe('not_permitted');
  });

  it('are named by arguments only of a verb that is allowed by its whole name', () => {
    for (const line of [
      'models add /x',
      'models import /x',
      'models scan ./x',
      'certs import /a /b',
      'config check /x',
    ]) {
      const [group = '', verb = ''] = line.split(' ');
      expect([line, decide(line, group)]).toEqual([line, 'not_permitted']);
      expect(decide(line, `${group} ${verb}`)).toBe(line);
    }
    expect(decide('config check /x')).toBe('not_permitted');
    expect(decide('config check')).toBe('config check');
    expect(decide('models import', 'models')).toBe('models import');
  });

  it('what belongs to a program that exec runs is its own', () => {
    expect(decide('exec web -- ls --root /x', 'exec')).toBe('exec web -- ls --root /x');
    expect(decide('exec --root /x web -- ls', 'exec')).toBe('not_permitted');
    expect(decide('exec web -- ls')).toBe('not_permitted');
  });
});

describe('what was refused', () => {
  const main = join(import.meta.dirname, '../../src/main.ts');

  it('goes to the log of the system while no agent answers, without secrets', async () => {
    const alone = temporaryRoot();
    try {
      const logged = join(alone.root, 'logged');
      writeFileSync(join(alone.root, 'logger'), `#!/bin/sh\nprintf '%s\\n' "$@" >> ${logged}\n`);
      chmodSync(join(alone.root, 'logger'), 0o755);
      const env = {
        PATH: `${alone.root}:${process.env.PATH}`,
        APPLIANCE_ROOT: alone.root,
        SSH_CONNECTION: '192.0.2.7 50000 192.0.2.1 22',
        SSH_ORIGINAL_COMMAND: 'down --password=correct-horse-battery',
        USER: 'keeper',
      };
      const argv = ['--no-warnings', main, 'ssh-gate', '--allow', 'status'];
      const ended = promisify(execFile)(process.execPath, argv, { env });
      await expect(ended).rejects.toMatchObject({ code: 7, stdout: '' });
      const said = readFileSync(logged, 'utf8');
      expect(said).toContain('auth.notice');
      expect(said).toMatch(/ssh-gate refused keeper from 192\.0\.2\.7: down --password/);
      expect(said).not.toContain('correct-horse');
    } finally {
      alone.remove();
    }
  });
});
