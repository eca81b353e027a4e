import { randomBytes } from 'node:crypto';
import { chmod, chown, lchown, lstat, mkdir, readFile, readlink, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { RestorePlans } from '../../src/agent/restore-plans.ts';
import { BackupLab } from '../support/backup-lab.ts';
import { unmount } from '../support/mounts.ts';

// S1-63: what comes back of the files of a snapshot, whose it is then, and what a plan says of the rest.
const timeout = 600_000;
const owner = 1234;
const odd = 'tokenizer/a [1]*.txt';
let lab: BackupLab;
let snapshot: string;
const model = (path: string) => join(lab.models, path);
const etc = (path: string) => join(lab.paths.etc, path);

beforeAll(async () => {
  lab = await BackupLab.make({ name: 'restoremodels', postgres: false });
  await lab.addModel('1', randomBytes(200_000));
  await symlink('versions/routing/1', model('current'));
  await mkdir(model('tokenizer'));
  for (const [path, text] of [
    ['README', 'without a dot'],
    ['notes.txt', 'of then'],
    [odd, 'odd'],
    ['tokenizer/vocab', 'words'],
    ['candidate.json', '{}'],
  ] as const)
    await writeFile(model(path), text);
  await symlink('/nowhere/at/all', model('tokenizer/link'));
  await chmod(model('tokenizer'), 0o750);
  for (const path of ['tokenizer', 'tokenizer/vocab', 'README']) await chown(model(path), owner, owner);
  await lchown(model('tokenizer/link'), owner, owner);
  await chown(etc('app.env'), owner, owner);
  await chmod(etc('app.env'), 0o640);
  await mkdir(join(lab.paths.lib, 'persistent/uploads'));
  await writeFile(join(lab.paths.lib, 'persistent/uploads/letter'), Buffer.alloc(2_048));
  const { id, result } = await lab.backup();
  expect(result.error ?? result.result).toBe('done');
  snapshot = id;
}, timeout);
afterAll(async () => {
  unmount(lab.paths.etc);
  await lab?.destroy();
}, timeout);

async function notes(component: 'all' | 'models' | 'registry' | 'config'): Promise<string> {
  const plans = new RestorePlans(await lab.appliance());
  const input = { snapshot, component, skipSafety: true, wait: 0 };
  return (await plans.show(input, AbortSignal.timeout(timeout))).notes.join('\n');
}

describe('a restore of files', { timeout }, () => {
  it('names those beside the versions of models, and what stays as it is today', async () => {
    expect(await notes('models')).toContain(
      '5 files of the models directory that belong to no version (28 B) are put back too: README, notes.txt,',
    );
    expect(await notes('models')).toContain('routing@1 is what is served');
    expect(await notes('registry')).not.toContain('models directory');
    expect(await notes('all')).toContain('leaves as it is today: persistent (2.0 KiB)');
  });

  it('brings those beside the versions back too, and leaves what is newer than the snapshot', async () => {
    for (const path of ['README', 'tokenizer']) await rm(model(path), { recursive: true });
    await writeFile(model('notes.txt'), 'of today');
    await writeFile(model('new.txt'), 'not in the snapshot');
    await writeFile(model('candidate.json'), 'of today');
    const { result, error } = await lab.restore(snapshot, 'models', { skipSafety: true });
    expect(error ?? result).toBe('done');
    const text = (path: string) => readFile(model(path), 'utf8');
    expect(await Promise.all(['README', 'notes.txt', odd, 'tokenizer/vocab'].map(text))).toEqual([
      'without a dot',
      'of then',
      'odd',
      'words',
    ]);
    expect(await readlink(model('tokenizer/link'))).toBe('/nowhere/at/all');
    expect(await text('new.txt')).toBe('not in the snapshot');
    expect(await text('candidate.json')).toBe('of today');
    expect(await readlink(model('current'))).toBe('versions/routing/1');
    for (const path of ['tokenizer', 'tokenizer/vocab', 'tokenizer/link', 'README'])
      expect((await lstat(model(path))).uid, path).toBe(owner);
    expect((await stat(model('tokenizer'))).mode & 0o777).toBe(0o750);
  });

  it('says what is in the way of one, and takes all of it back', async () => {
    await rm(model('notes.txt'));
    await mkdir(model('notes.txt'));
    await writeFile(model('notes.txt/mine'), 'kept');
    await writeFile(model('README'), 'of today');
    await rm(model('tokenizer'), { recursive: true });
    await writeFile(model('tokenizer'), 'a file');
    const { result, error } = await lab.restore(snapshot, 'models', { skipSafety: true });
    expect({ result, error }).toMatchObject({
      result: 'rolled_back',
      error: {
        code: 'restore_failed',
        message: expect.stringContaining('tokenizer'),
        hint: expect.stringMatching(/./),
      },
    });
    expect(await readFile(model('notes.txt/mine'), 'utf8')).toBe('kept');
    expect(await readFile(model('README'), 'utf8')).toBe('of today');
    expect(await readFile(model('tokenizer'), 'utf8')).toBe('a file');
  });

  it('of the registry says that a directory is where its file belongs, and takes all of it back', async () => {
    const registry = model('registry.db');
    lab.close();
    for (const end of ['', '-wal', '-shm']) await rm(`${registry}${end}`, { force: true });
    await mkdir(registry);
    await writeFile(join(registry, 'mine'), 'kept');
    const { result, error } = await lab.restore(snapshot, 'registry', { skipSafety: true });
    expect({ result, error }).toMatchObject({
      result: 'rolled_back',
      error: {
        code: 'restore_failed',
        message: expect.stringMatching(/registry\.db cannot be put in place: .* is no file/),
      },
    });
    expect(await readFile(join(registry, 'mine'), 'utf8')).toBe('kept');
    await rm(registry, { recursive: true });
    expect((await lab.restore(snapshot, 'registry', { skipSafety: true })).result).toBe('done');
    expect((await stat(registry)).isFile()).toBe(true);
  });

  it('gives configuration back to whose it was', async () => {
    await writeFile(etc('app.env'), 'of today');
    await chown(etc('app.env'), 0, 0);
    const { result, error } = await lab.restore(snapshot, 'config', { skipSafety: true });
    expect(error ?? result).toBe('done');
    const { uid, mode } = await stat(etc('app.env'));
    expect({ uid, mode: mode & 0o777 }).toEqual({ uid: owner, mode: 0o640 });
  });

  it('into a directory that is mounted read-only is taken back, and says so', async () => {
    await writeFile(etc('app.env'), 'of today');
    await execa('mount', ['--bind', lab.paths.etc, lab.paths.etc]);
    await execa('mount', ['-o', 'remount,ro,bind', lab.paths.etc]);
    const { result, error } = await lab.restore(snapshot, 'config', { skipSafety: true });
    unmount(lab.paths.etc);
    expect({ result, error }).toMatchObject({
      result: 'rolled_back',
      error: {
        code: 'restore_failed',
        message: expect.stringContaining('read-only'),
        hint: expect.stringMatching(/./),
      },
    });
    expect(await readFile(etc('app.env'), 'utf8')).toBe('of today');
  });
});
