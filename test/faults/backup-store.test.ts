import { randomBytes } from 'node:crypto';
import { mkdir, open, readdir, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { execa } from 'execa';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { BackupLab } from '../support/backup-lab.ts';
import { unmount } from '../support/mounts.ts';
import { dyingAt } from './lab.ts';

// What can go wrong with a backup, on real components: nothing before it is lost, the message says what to do, and the
// next run recovers by itself. The tests build on each other.
const name = 'backupfault';
const signal = AbortSignal.timeout(3_000_000);
let lab: BackupLab;
let known: string[] = [];

beforeAll(async () => {
  lab = await BackupLab.make({ name });
  await lab.sql('CREATE TABLE orders (id int PRIMARY KEY, text text)');
  await lab.sql('INSERT INTO orders SELECT n, md5(n::text) FROM generate_series(1, 30000) n');
  await lab.addModel('1', randomBytes(12_000_000));
  await works();
}, 600_000);
afterAll(async () => {
  unmount(repository());
  await lab.destroy();
});

const repository = () => join(lab.root, 'lib/backups/repository');

/** A backup is made, and everything before it is still there. */
async function works(): Promise<void> {
  const { id, result } = await lab.backup();
  expect(result.error ?? result.result).toBe('done');
  const { backups } = await lab.appliance();
  const ids = (await backups.list(signal)).map((one) => one.id);
  expect(ids).toEqual(expect.arrayContaining([id, ...known]));
  known = ids;
  expect(await readdir(backups.paths.staging)).toEqual([]);
}

/** A backup fails with this code, says what to do, and leaves what was before. */
async function fails(code: string, words: RegExp): Promise<void> {
  const { result } = await lab.backup();
  expect(result.result).not.toBe('done');
  expect(result.error).toMatchObject({ code, message: expect.stringMatching(words), hint: expect.stringMatching(/./) });
}

async function containerOfRestic(): Promise<string> {
  for (let tries = 0; tries < 2_000; tries += 1) {
    const { stdout } = await execa('docker', ['ps', '--quiet', '--filter', `label=appliance.backup=${name}`]);
    if (stdout) return stdout.split('\n')[0] ?? '';
    await delay(20);
  }
  throw new Error('restic was never seen');
}

/** Kills each restic that runs, until the work has ended for which they run: one alone may have ended by itself just now. */
async function killRestic(work: Promise<unknown>): Promise<void> {
  let ended = false;
  const end = (): void => {
    ended = true;
  };
  work.then(end, end);
  while (!ended) {
    const { stdout } = await execa('docker', ['ps', '--quiet', '--filter', `label=appliance.backup=${name}`]);
    const running = stdout.split('\n').filter(Boolean);
    if (running.length > 0) await execa('docker', ['kill', '--signal', 'KILL', ...running], { reject: false });
    await delay(20);
  }
}

/** Locks in force: while restic writes one it has another name, which counts for nobody. */
const locks = async () => (await readdir(join(repository(), 'locks'))).filter((entry) => /^[0-9a-f]{64}$/.test(entry));

/** Files of a part of the repository, the largest first. */
async function filesOf(part: string): Promise<string[]> {
  const { stdout } = await execa('find', [join(repository(), part), '-type', 'f', '-printf', '%s %p\n']);
  const rows = stdout.split('\n').filter(Boolean);
  return rows.sort((a, b) => Number.parseInt(b, 10) - Number.parseInt(a, 10)).map((row) => row.replace(/^\d+ /, ''));
}

describe('a backup survives', () => {
  it('a database that is down', async () => {
    await execa('docker', ['stop', '--time', '30', lab.container]);
    await fails('backup_failed', /postgres does not run/);
    await execa('docker', ['start', lab.container]);
    for (let tries = 0; tries < 200 && (await lab.sql('SELECT 1').catch(() => '')) !== '1'; tries += 1)
      await delay(300);
    await works();
  });

  it('a dump that is killed', async () => {
    // pg_dump waits for this lock.
    const holder = execa(
      'docker',
      ['exec', lab.container, 'psql', '-U', 'app', '-d', 'app', '-c', 'BEGIN; LOCK orders; SELECT pg_sleep(600)'],
      { reject: false },
    );
    const held =
      "SELECT count(*) FROM pg_locks WHERE relation = 'orders'::regclass AND mode = 'AccessExclusiveLock' AND granted";
    await expect.poll(() => lab.sql(held), { timeout: 60_000 }).toBe('1');
    const failing = fails('backup_failed', /could not be dumped/);
    for (let tries = 0; tries < 500; tries += 1) {
      const killed = await execa(
        'docker',
        [
          'exec',
          lab.container,
          'sh',
          '-c',
          'for p in /proc/[0-9]*; do case "$(tr "\\0" " " <$p/cmdline 2>/dev/null)" in pg_dump*|*/pg_dump*|psql*-A\\ -t*) kill -9 $(basename $p) && echo x;; esac; done',
        ],
        { reject: false },
      );
      if (killed.stdout.includes('x')) break;
      await delay(100);
    }
    await failing;
    await lab.sql(
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(600)%' AND pid <> pg_backend_pid()",
    );
    await holder;
    await works();
  });

  it('a disk that fills up while the database is dumped', async () => {
    const { backups } = await lab.appliance();
    await mkdir(backups.paths.dumps, { recursive: true });
    await execa('mount', ['-t', 'tmpfs', '-o', 'size=80m', 'tmpfs', backups.paths.dumps]);
    try {
      await lab.sql(
        'CREATE TABLE bulk AS SELECT n, repeat(md5(n::text), 30) AS text FROM generate_series(1, 85000) AS n',
      );
      await fails('disk_full', /no space/i);
      expect(await readdir(backups.paths.staging)).toEqual([]);
      expect(await readdir(join(backups.paths.dumps, 'postgres'))).not.toContain('app.dump');
      await lab.sql('DROP TABLE bulk');
    } finally {
      unmount(backups.paths.dumps);
    }
    await works();
  });

  it('kill -9 of restic, whose lock is known to be dead', async () => {
    await lab.addModel('2', randomBytes(4_000_000));
    const failing = fails('backup_failed', /killed/);
    await killRestic(failing);
    await failing;
    await works();
    expect(await locks()).toEqual([]);
  });

  it('a lock that a dead run of this host has left, and not one of somebody else', async () => {
    const { backups } = await lab.appliance();
    // One that was done before it could be killed has taken its lock away.
    while ((await locks()).length === 0) {
      const check = backups.check({ readData: 'all', signal });
      let ended = false;
      const end = (): void => {
        ended = true;
      };
      check.then(end, end);
      while (!ended && (await locks()).length === 0) await delay(1);
      await killRestic(check);
      await check.catch((error: Error) => expect(error.message).toMatch(/killed/));
    }
    expect(await locks()).toHaveLength(1);
    await works();
    expect(await locks()).toEqual([]);
  });

  it('a wrong key, which is told from a damaged repository', async () => {
    const { backups } = await lab.appliance();
    const key = await readFile(backups.key.path, 'utf8');
    await writeFile(backups.key.path, `${key.trim().split('-').reverse().join('-')}\n`, { mode: 0o600 });
    await fails('backup_key', /does not open/);
    await rm(backups.key.path);
    await fails('backup_key', /is gone/);
    await writeFile(backups.key.path, key, { mode: 0o600 });
    await works();
  });

  it('a broken pack whose content is nowhere else: it is given up, said so, and nights go on', async () => {
    const marker = join(lab.root, 'marker');
    await writeFile(marker, '');
    await delay(1_100);
    const only = join(lab.paths.etc, 'only.bin');
    await writeFile(only, randomBytes(9_000_000));
    await works();
    const [lost = ''] = known;
    const { backups } = await lab.appliance();
    expect((await backups.list(signal)).find(({ id }) => id === lost)).toMatchObject({ damaged: false });
    await rm(only);
    const { stdout } = await execa('find', [join(repository(), 'data'), '-size', '+2M', '-newer', marker]);
    const packs = stdout.split('\n').filter(Boolean);
    expect(packs.length).toBeGreaterThan(0);
    for (const pack of packs) {
      await execa('chmod', ['u+w', pack]);
      const file = await open(pack, 'r+');
      await file.write(randomBytes(4_096), 0, 4_096, 1_000_000);
      await file.close();
    }
    await expect(backups.check({ readData: 'all', signal })).rejects.toMatchObject({ code: 'backup_damaged' });
    await works();
    await works();
    await backups.check({ readData: 'all', signal });
    const after = await backups.list(signal);
    expect(after.filter(({ damaged }) => damaged).map(({ id }) => id)).toEqual([lost]);
  });

  it('a broken pack: it is found, repaired, and its content stored again', async () => {
    const { backups } = await lab.appliance();
    const [pack = ''] = await filesOf('data');
    await execa('chmod', ['u+w', pack]);
    const file = await open(pack, 'r+');
    await file.write(randomBytes(4_096), 0, 4_096, 1_000);
    await file.close();
    await expect(backups.check({ readData: 'all', signal })).rejects.toMatchObject({
      code: 'backup_damaged',
      hint: expect.stringContaining('backup now'),
    });
    await works();
    await backups.check({ readData: 'all', signal });
  });

  it('an index that was deleted', async () => {
    for (const file of await filesOf('index')) await rm(file, { force: true });
    await works();
    const { backups } = await lab.appliance();
    await backups.check({ readData: 'all', signal });
  });

  it('a target that cannot be written', async () => {
    await execa('mount', ['--bind', repository(), repository()]);
    await execa('mount', ['-o', 'remount,ro,bind', repository()]);
    await fails('backup_target', /cannot be written: its file system is read-only/);
    unmount(repository());
    await works();
  });

  it('models that change while they are stored', async () => {
    const file = join(lab.models, 'versions/routing/1/model.joblib');
    let writing = true;
    const writer = (async () => {
      while (writing) {
        await utimes(file, new Date(), new Date()).catch(() => undefined);
        await delay(20);
      }
    })();
    await fails('backup_failed', /changed each of/);
    writing = false;
    await writer;
    await works();
  });

  it('a second one at the same time: it is refused with who holds the lock', async () => {
    const first = lab.backup();
    await containerOfRestic();
    await expect(lab.backup()).rejects.toMatchObject({ code: 'busy' });
    expect((await first).result.result).toBe('done');
    await works();
  });

  it.each(['collect-snapshot', 'store-snapshot', 'verify-snapshot'])('kill -9 of its process in %s', async (step) => {
    lab.close();
    const arguments_ = [
      resolve(import.meta.dirname, '../../src/main.ts'),
      '--root',
      lab.root,
      'backup',
      'now',
      '--json',
    ];
    const { execArgv, env } = dyingAt(`${step} running`);
    expect((await execa('node', [...execArgv, ...arguments_], { reject: false, env })).signal).toBe('SIGKILL');
    // What was open is brought to its end first.
    const again = await execa('node', arguments_, { reject: false });
    expect(again.stdout.split('\n').at(-1)).toContain('"result":"done"');
    const { backups } = await lab.appliance();
    expect((await backups.list(signal)).map(({ id }) => id)).toEqual(expect.arrayContaining(known));
    expect(backups.recent(2).map(({ state }) => state)).toEqual(['verified', 'verified']);
    expect(
      (await execa('docker', ['ps', '--all', '--quiet', '--filter', `label=appliance.backup=${name}`])).stdout,
    ).toBe('');
  });

  it('S1-48: an off-site target that does not answer for days', async () => {
    lab.close();
    await lab.configure({ offsite: [{ name: 'away', target: 'rest:http://127.0.0.1:9/nothing' }] });
    const { backups } = await lab.appliance();
    for (let nights = 1; nights <= 2; nights += 1) {
      const { result } = await lab.backup('nightly', { offsite: true });
      expect(result.result).toBe('done');
      expect(backups.targets()).toMatchObject([
        { name: 'away', succeeded: null, failures: nights, error: expect.stringMatching(/does not answer/) },
      ]);
    }
    lab.close();
    await lab.configure({});
    await works();
  });

  it('a disk that is full: early where earlier runs tell, else when it happens, and nothing is left of it', async () => {
    lab.close();
    const small = join(lab.root, 'small');
    await mkdir(small);
    await execa('mount', ['-t', 'tmpfs', '-o', 'size=60m', 'tmpfs', small]);
    try {
      await lab.configure({ repository: join(small, 'repository') });
      await lab.addModel('3', randomBytes(70_000_000));
      await fails('disk_full', /needs about/);
      // Sparse in what is looked at, not in what is stored: the guess is too low, restic meets the end of the disk.
      const { backups } = await lab.appliance();
      await backups.local.ensure(signal, { make: true });
      // Several times: restic itself waits for ever in one of twenty.
      for (let run = 0; run < 8; run += 1) {
        const full = backups.local.store(
          { id: '20261121T000000Z-0000', kind: 'manual', protect: false, time: Date.now() },
          [{ from: lab.models, to: '/snapshot' }],
          { signal, readAll: false, exclude: [] },
        );
        await expect(full).rejects.toMatchObject({ code: 'disk_full' });
        await execa('find', [join(small, 'repository/data'), '-type', 'f', '-delete']);
      }
      expect(await backups.list(signal)).toEqual([]);
    } finally {
      lab.close();
      await lab.configure({});
      unmount(small);
    }
    await rm(join(lab.models, 'versions/routing/3'), { recursive: true, force: true });
    await works();
    expect((await stat(repository())).mode & 0o077).toBe(0);
  });
});
