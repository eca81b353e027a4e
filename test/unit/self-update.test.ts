import { chmod, chown, mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ownProgram, programOf } from '../../src/agent/update/program.ts';
import { sweep, withSource } from '../../src/agent/update/source.ts';
import { copyOf, keepState, restoreState, writtenSince } from '../../src/agent/update/state-copy.ts';
import { openDatabase } from '../../src/host/sqlite.ts';
import { pathsFor } from '../../src/lib/paths.ts';

const isRoot = process.getuid?.() === 0;
let scratch: string;
beforeEach(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'self-update-'));
});
afterEach(() => rm(scratch, { recursive: true, force: true }));

describe('the state of the version before', () => {
  const program = '1.1.0-0123456789ab';
  const change = { by: program, before: '1.0.0-ba9876543210' };
  const old = {
    module: 'm',
    scripts: [
      "CREATE TABLE words (word TEXT) STRICT; INSERT INTO words VALUES ('kept'); CREATE TABLE usage_samples (at INTEGER)",
    ],
  };
  const now = { module: 'm', scripts: [...old.scripts, 'ALTER TABLE words ADD COLUMN length INTEGER'] };
  const paths = () => pathsFor(scratch);
  const open = (modules = old) => {
    const keep = (database: ReturnType<typeof openDatabase>) => keepState(database, paths(), change);
    return openDatabase(paths().state, [modules], 0o600, keep);
  };
  const copies = async () => (await readdir(paths().lib)).filter((file) => file.startsWith('state-'));

  it('is kept by whoever changes the tables, once, and for nobody else to read', async () => {
    open().close();
    open().close();
    expect(await copies()).toEqual([]);
    open(now).close();
    const { mtimeMs, mode } = await stat(copyOf(paths(), change));
    expect(mode & 0o777).toBe(0o600);
    open(now).close();
    expect((await stat(copyOf(paths(), change))).mtimeMs).toBe(mtimeMs);
  });

  it('leaves the tables alone when it cannot be kept', async () => {
    open().close();
    const failing = () => {
      throw new Error('no room');
    };
    expect(() => openDatabase(paths().state, [now], 0o600, failing)).toThrow('no room');
    const again = open();
    expect(again.prepare('SELECT * FROM words').all()).toEqual([{ word: 'kept' }]);
    again.close();
  });

  it('comes back as it was; what the newer program has made of it is set aside', async () => {
    open().close();
    const newer = open(now);
    expect(writtenSince(paths(), change)).toEqual([]);
    newer.exec("INSERT INTO words VALUES ('new', 3)");
    expect(writtenSince(paths(), change)).toEqual(['words']);
    newer.close();
    expect(restoreState(paths(), change)).toContain(`state-of-${program}.db`);
    expect(await copies()).toEqual([`state-of-${program}.db`]);
    const older = open();
    expect(older.prepare('SELECT * FROM words').all()).toEqual([{ word: 'kept' }]);
    older.close();
    // A start that was killed after it does it again.
    expect(restoreState(paths(), change)).toBeUndefined();
  });

  it.each([
    ["UPDATE words SET word = 'other'", ['words']],
    ['DELETE FROM words', ['words']],
    ['DROP TABLE words', ['words']],
    ['CREATE TABLE more (n INTEGER) STRICT; INSERT INTO more VALUES (1)', []],
    // The agent measures by the clock, whatever its version.
    ['INSERT INTO usage_samples VALUES (1)', []],
  ])('after %s the tables %j hold what the copy lacks', (sql, tables) => {
    open().close();
    const newer = open(now);
    newer.exec(sql);
    expect(writtenSince(paths(), change)).toEqual(tables);
    newer.close();
  });
});

describe('what somebody has brought', () => {
  const top = () => join(scratch, 'brought', 'appliance-1.2.0');
  const prefix = () => join(scratch, 'opt');
  const archive = () => join(scratch, 'appliance.tar.gz');
  const signal = new AbortController().signal;
  const look = (path: string) => withSource(path, prefix(), signal, async (source) => source);
  const pack = (...args: readonly string[]) => execa('tar', ['-czf', archive(), ...args]);

  beforeEach(async () => {
    await mkdir(top(), { recursive: true });
    await mkdir(prefix());
    await writeFile(join(top(), 'package.json'), '{ "name": "appliance", "version": "1.2.0" }');
    await writeFile(join(top(), 'install.sh'), '#!/bin/sh\n[ "$1" = --id ] && echo 1.2.0-0123456789ab\n', {
      mode: 0o755,
    });
  });

  it.each([
    ['the files themselves', () => ['-C', top(), '.']],
    ['one directory', () => ['-C', join(top(), '..'), 'appliance-1.2.0']],
  ])('is taken from an archive of %s, of which nothing is left', async (_, args) => {
    await pack(...args());
    expect(await look(archive())).toMatchObject({ version: '1.2.0', program: '1.2.0-0123456789ab' });
    expect(await readdir(prefix())).toEqual([]);
  });

  it('is taken from a directory as it is', async () => {
    expect(await look(top())).toEqual({ directory: top(), version: '1.2.0', program: '1.2.0-0123456789ab' });
  });

  it('is refused as an archive that was cut off', async () => {
    await writeFile(join(top(), 'more'), Buffer.from(Array.from({ length: 100_000 }, (_, at) => (at * at) % 251)));
    await pack('-C', top(), '.');
    const whole = await readFile(archive());
    await writeFile(archive(), whole.subarray(0, whole.length / 2));
    await expect(look(archive())).rejects.toMatchObject({
      code: 'usage',
      message: expect.stringContaining('no whole archive'),
    });
    await writeFile(archive(), 'not an archive at all');
    await expect(look(archive())).rejects.toMatchObject({ code: 'usage' });
    expect(await readdir(prefix())).toEqual([]);
  });

  it.each([
    ['../outside', 's,install.sh,../outside,', 'outside of its directory'],
    ['/absolute', 's,install.sh,/absolute,', 'outside of its directory'],
  ])('is refused as an archive with %s', async (_, transform, message) => {
    await pack('--absolute-names', '--transform', transform, '-C', top(), 'install.sh', 'package.json');
    await expect(look(archive())).rejects.toMatchObject({ code: 'usage', message: expect.stringContaining(message) });
    expect(await readdir(scratch)).not.toContain('outside');
  });

  it('is refused as an archive with a link to elsewhere, or a pipe', async () => {
    await symlink('/etc', join(top(), 'elsewhere'));
    await pack('-C', top(), '.');
    await expect(look(archive())).rejects.toMatchObject({ message: expect.stringContaining('points to /etc') });
    await rm(join(top(), 'elsewhere'));
    await execa('mkfifo', [join(top(), 'pipe')]);
    await pack('-C', top(), '.');
    await expect(look(archive())).rejects.toMatchObject({
      message: expect.stringContaining('no file, directory or link'),
    });
  });

  it('is refused where it is no appliance, or is not there', async () => {
    await writeFile(join(top(), 'package.json'), '{ "name": "other", "version": "1.2.0" }');
    await expect(look(top())).rejects.toMatchObject({
      code: 'usage',
      message: expect.stringContaining('no appliance'),
    });
    await expect(look(join(scratch, 'missing'))).rejects.toMatchObject({ code: 'usage' });
    await writeFile(join(top(), 'package.json'), '{ "name": "appliance", "version": "1.2.0" }');
    await writeFile(join(top(), 'install.sh'), '#!/bin/sh\necho "unknown option --id" >&2; exit 2\n');
    await expect(look(top())).rejects.toMatchObject({ message: expect.stringContaining('unknown option --id') });
  });

  it('is refused where others may write', async () => {
    await chmod(join(top(), 'install.sh'), 0o777);
    await expect(look(top())).rejects.toMatchObject({ message: expect.stringContaining('everybody may write') });
  });

  it.runIf(isRoot)('is refused where it belongs to somebody else', async () => {
    await chown(join(top(), 'install.sh'), 4_321, 4_321);
    await expect(look(top())).rejects.toMatchObject({ message: expect.stringContaining('belongs to user 4321') });
  });

  it('leaves nothing of an update that was killed', async () => {
    await mkdir(join(prefix(), 'unpacked.abc123'));
    await writeFile(join(prefix(), 'update.lock'), '');
    await sweep(prefix());
    expect(await readdir(prefix())).toEqual(['update.lock']);
  });
});

describe('the guard of an update on trial', () => {
  const guard = () => join(scratch, 'trial', 'guard');
  const start = async (...words: readonly string[]) => (await execa(guard(), words, { reject: false })).stdout;
  const running = (program: string) => execa('ln', ['-sfn', `programs/${program}`, join(scratch, 'program')]);

  beforeEach(async () => {
    await mkdir(join(scratch, 'trial'));
    await mkdir(join(scratch, 'runtime', 'bin'), { recursive: true });
    await writeFile(join(scratch, 'runtime', 'bin', 'node'), '#!/bin/sh\necho "$@"\n', { mode: 0o755 });
    await writeFile(guard(), await readFile(join(import.meta.dirname, '../../packaging/trial.sh')), { mode: 0o755 });
    await writeFile(join(scratch, 'trial', 'from'), 'programs/old\n');
    await writeFile(join(scratch, 'trial', 'by'), 'programs/old\n');
    await running('new');
  });
  const back = () => `${scratch}/programs/old/dist/appliance.js __take-back`;

  it('goes back on the fourth start of the new agent', async () => {
    const said = [];
    for (let time = 0; time < 4; time += 1) said.push(await start('agent', '--foreground'));
    expect(said).toEqual(['', '', '', back()]);
  });

  it('counts no start of the old program, no look at the agent and nothing of long ago', async () => {
    await writeFile(join(scratch, 'trial', 'starts'), 'start\nstart\nstart\n');
    expect(await start('agent')).toBe('');
    await execa('touch', ['-d', '11 minutes ago', join(scratch, 'trial', 'starts')]);
    expect(await start('agent', '--foreground')).toBe('');
    await writeFile(join(scratch, 'trial', 'starts'), 'start\nstart\nstart\n');
    await running('old');
    expect(await start('agent', '--foreground')).toBe('');
  });

  it('goes back at once when that was asked for', async () => {
    await writeFile(join(scratch, 'trial', 'now'), 'asked');
    expect(await start('agent', '--foreground')).toBe(back());
  });

  it('lets the agent start where it knows nothing', async () => {
    await rm(join(scratch, 'trial', 'from'));
    expect((await execa(guard(), ['agent', '--foreground'], { reject: false })).exitCode).toBe(0);
  });
});

it('knows that a checkout is no installation, and what has loaded no program', () => {
  expect(() => ownProgram(join(import.meta.dirname, '../../src/main.ts'))).toThrow('was not installed by install.sh');
  expect(programOf(process.pid, '/opt/appliance')).toBeUndefined();
  expect(programOf(2 ** 22, '/opt/appliance')).toBeUndefined();
});
