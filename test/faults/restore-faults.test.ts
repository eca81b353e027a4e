import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { execa } from 'execa';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { OperationResult } from '../../src/api/schema.ts';
import { BackupLab } from '../support/backup-lab.ts';
import { unmount } from '../support/mounts.ts';

// What can go wrong with a restore, on real components: what is in use stays whole, the message says what to do, and the
// next run works (S1-63, S1-64).
const name = 'restorefault';
const signal = AbortSignal.timeout(3_000_000);
const timeout = 600_000;
const rows = 60_000;
let lab: BackupLab;
let snapshot: string;

beforeAll(async () => {
  lab = await BackupLab.make({ name });
  await lab.sql('CREATE TABLE orders (id int PRIMARY KEY, text text)');
  await lab.sql(`INSERT INTO orders SELECT n, repeat(md5(n::text), 8) FROM generate_series(1, ${rows}) n`);
  await lab.addModel('1', randomBytes(9_000_000));
  const { id, result } = await lab.backup();
  expect(result.error ?? result.result).toBe('done');
  snapshot = id;
  await today();
}, timeout);
afterAll(async () => {
  unmount(restores());
  await lab?.destroy();
});

const restores = () => join(lab.paths.lib, 'backups/restore');

/** What was written since the snapshot. */
async function today(): Promise<void> {
  await lab.sql('DELETE FROM orders WHERE id > 10; CREATE TABLE IF NOT EXISTS written_today (n int)');
}

/** Everything that is in use is as it was, and nothing of a restore lies about. */
async function expectUntouched(): Promise<void> {
  expect(await lab.sql('SELECT count(*) FROM orders')).toBe('10');
  expect(await lab.sql("SELECT to_regclass('written_today') IS NOT NULL")).toBe('t');
  await expectTidy();
}

async function expectTidy(): Promise<void> {
  expect(
    await lab.sql("SELECT string_agg(datname, ' ' ORDER BY datname) FROM pg_database WHERE NOT datistemplate"),
  ).toBe('app postgres');
  expect(await readdir(restores()).catch(() => [])).toEqual([]);
  const staged = await readdir(join(lab.models, '.restore')).catch(() => []);
  expect(staged).toEqual([]);
}

/** The next restore works, and after it today is made again. */
async function works(): Promise<void> {
  const { result, error } = await lab.restore(snapshot, 'database', { skipSafety: true });
  expect(error ?? result).toBe('done');
  expect(await lab.sql('SELECT count(*) FROM orders')).toBe(String(rows));
  await expectTidy();
  await today();
}

function expectAdvice({ result, error }: OperationResult, code: string, words: RegExp): void {
  expect(result).not.toBe('done');
  expect(error).toMatchObject({ code, message: expect.stringMatching(words), hint: expect.stringMatching(/./) });
}

async function answers(): Promise<void> {
  await expect.poll(() => lab.sql('SELECT 1').catch(() => ''), { timeout: 120_000, interval: 300 }).toBe('1');
}

/** Waits for a step of the operation that runs. */
async function begun(step: string): Promise<void> {
  const { journal } = await lab.appliance();
  const running = (): (string | undefined)[] =>
    journal.recent(1).flatMap(({ id, result }) =>
      result === 'running'
        ? journal
            .steps(id)
            .filter(({ state }) => state === 'applying')
            .map(({ plan }) => plan.action)
        : [],
    );
  await expect.poll(running, { timeout: 120_000, interval: 20 }).toContain(step);
}

describe('a restore', { timeout }, () => {
  it('beside another one is refused with who holds the lock, and the first ends well', async () => {
    const first = lab.restore(snapshot, 'database', { skipSafety: true });
    await begun('stage-restore');
    await expect(lab.restore(snapshot)).rejects.toMatchObject({
      code: 'busy',
      message: expect.stringContaining('restore'),
      hint: expect.stringMatching(/./),
    });
    expect((await first).result).toBe('done');
    expect(await lab.sql('SELECT count(*) FROM orders')).toBe(String(rows));
    await today();
  });

  it('of a database whose server is stopped is refused before anything is begun', async () => {
    await execa('docker', ['stop', '--time', '30', lab.container]);
    await expect(lab.restore(snapshot)).rejects.toMatchObject({
      code: 'database_unreachable',
      message: expect.stringContaining('postgres does not run'),
      hint: expect.stringContaining('appliance up'),
    });
    await execa('docker', ['start', lab.container]);
    await answers();
    await expectUntouched();
    await works();
  });

  it('whose server dies while the dump is loaded is taken back as soon as the server is there again', async () => {
    const restoring = lab.restore(snapshot, 'database', { skipSafety: true });
    await begun('load-database');
    await execa('docker', ['kill', lab.container]);
    // Long enough that taking back must be tried many times.
    await delay(20_000);
    await execa('docker', ['start', lab.container]);
    const { result, error } = await restoring;
    // Nothing in use had been exchanged.
    expect({ result, code: error?.code }, error?.message).toEqual({
      result: 'failed',
      code: expect.stringMatching(/^(?:restore_failed|database_unreachable)$/),
    });
    await answers();
    await expectUntouched();
    await works();
  });

  it('removes what an earlier one that a person had to end has left of the same parts, and nothing else', async () => {
    const earlier = join(restores(), 'restore-0a1b2c3d4e');
    const kept = [join(earlier, 'before/appliance.yaml'), join(lab.models, '.restore/restore-0a1b2c3d4e/before/one')];
    const useless = [join(earlier, 'snapshot/app.dump'), ...kept];
    for (const file of useless) {
      await mkdir(dirname(file), { recursive: true });
      await writeFile(file, 'x');
    }
    // The second one belongs to somebody who only named it so.
    for (const database of ['app__before_0a1b2c3d4e', 'app__before', 'apple__before_0a1b2c3d4e'])
      await lab.sql(`CREATE DATABASE ${database}`);
    const restored = await lab.restore(snapshot, 'database', { skipSafety: true });
    expect(restored.error ?? restored.result).toBe('done');
    const databases = "SELECT string_agg(datname, ' ' ORDER BY datname) FROM pg_database WHERE NOT datistemplate";
    expect(await lab.sql(databases)).toBe('app app__before apple__before_0a1b2c3d4e postgres');
    expect(useless.filter((file) => existsSync(file))).toEqual(kept);

    expect((await lab.restore(snapshot, 'all', { skipSafety: true })).result).toBe('done');
    expect(useless.filter((file) => existsSync(file))).toEqual([]);
    for (const database of ['app__before', 'apple__before_0a1b2c3d4e']) await lab.sql(`DROP DATABASE ${database}`);
    await expectTidy();
    await today();
  });

  it('whose restic is killed is taken back, and leaves no container', async () => {
    const restoring = lab.restore(snapshot, 'all', { skipSafety: true });
    await begun('stage-restore');
    let killed = false;
    while (!killed) {
      const { stdout } = await execa('docker', ['ps', '--quiet', '--filter', `label=appliance.backup=${name}`]);
      const [id] = stdout.split('\n').filter(Boolean);
      killed = id !== undefined && (await execa('docker', ['kill', id], { reject: false })).exitCode === 0;
    }
    expectAdvice(await restoring, 'backup_failed', /killed/);
    await expectUntouched();
    const left = await execa('docker', ['ps', '--all', '--quiet', '--filter', `label=appliance.backup=${name}`]);
    expect(left.stdout).toBe('');
    await works();
  });

  it('with a wrong key says so, and works with the right one', async () => {
    const { backups } = await lab.appliance();
    const key = await readFile(backups.key.path, 'utf8');
    await writeFile(backups.key.path, `${key.trim().split('-').reverse().join('-')}\n`, { mode: 0o600 });
    await expect(lab.restore(snapshot)).rejects.toMatchObject({
      code: 'backup_key',
      hint: expect.stringMatching(/key/),
    });
    await writeFile(backups.key.path, key, { mode: 0o600 });
    await expectUntouched();
    await works();
  });

  it('of a snapshot that a newer appliance has made names the version that is needed', async () => {
    const { backups } = await lab.appliance();
    const made = await mkdtemp(join(lab.root, 'newer-'));
    const about = { id: '20261121T000000Z-0000', kind: 'manual' as const, protect: false, time: Date.now() };
    await writeFile(
      join(made, 'manifest.json'),
      JSON.stringify({ format: 99, id: about.id, appliance: { name, version: '99.1.0' } }),
    );
    const mounts = [{ from: made, to: '/snapshot' }];
    const stored = await backups.local
      .store(about, mounts, { signal, readAll: false, exclude: [] })
      .catch(() => undefined);
    expect((await backups.list(signal)).map(({ id }) => id)).toContain(about.id);
    await expect(lab.restore(about.id)).rejects.toMatchObject({
      code: 'backup_newer',
      message: expect.stringContaining('99.1.0'),
      hint: expect.stringContaining('install appliance 99.1.0'),
    });
    if (stored) await backups.local.forget([stored.resticId], signal);
    await expectUntouched();
    await works();
  });

  it('of which a pack is broken is refused before anything is touched, and names another snapshot', async () => {
    const { backups } = await lab.appliance();
    const data = join(backups.paths.repository, 'data');
    const packs = async (): Promise<string[]> =>
      (await readdir(data, { recursive: true, withFileTypes: true }))
        .filter((entry) => entry.isFile())
        .map((entry) => join(entry.parentPath, entry.name));
    const known = await packs();
    await lab.sql(
      'CREATE TABLE large AS SELECT n, md5(n::text) || md5((-n)::text) AS text FROM generate_series(1, 90000) n',
    );
    const { id, result } = await lab.backup();
    expect(result.error ?? result.result).toBe('done');
    await lab.sql('DROP TABLE large');
    const added = (await packs()).filter((path) => !known.includes(path));
    const sizes = await Promise.all(added.map(async (path) => ({ path, size: (await stat(path)).size })));
    const largest = sizes.reduce((one, other) => (other.size > one.size ? other : one));
    const whole = await readFile(largest.path);
    const broken = Buffer.from(whole);
    broken.fill(0x55, Math.floor(whole.length / 2), Math.floor(whole.length / 2) + 1_000);
    await chmod(largest.path, 0o600);
    await writeFile(largest.path, broken);
    const restored = await lab.restore(id, 'database', { skipSafety: true });
    expectAdvice(restored, 'backup_damaged', /damaged/);
    expect(restored.error).toMatchObject({
      left: 'what is in use stays as it was',
      hint: expect.stringMatching(
        `appliance backup restore ${snapshot}.*appliance backup verify.*appliance backup now`,
      ),
    });
    await expectUntouched();
    // The one that is named does not need that pack.
    await works();
    await writeFile(largest.path, whole);
    await backups.local.forget([(await backups.manifest(id, signal)).resticId], signal);
  });

  it('on a disk that is too small is refused early, and on one that fills up it is taken back', async () => {
    await mkdir(restores(), { recursive: true });
    const mount = (size: string) => execa('mount', ['-t', 'tmpfs', '-o', `size=${size}`, 'tmpfs', restores()]);
    await mount('40m');
    expectAdvice(await lab.restore(snapshot, 'database', { skipSafety: true }), 'disk_full', /are to be restored/);
    await expectUntouched();
    unmount(restores());
    // Nobody knows beforehand how much configuration there is.
    const large = join(lab.paths.etc, 'large');
    await writeFile(large, Buffer.alloc(320_000_000));
    const { id, result } = await lab.backup();
    expect(result.error ?? result.result).toBe('done');
    await writeFile(large, 'of today');
    await mount('300m');
    expectAdvice(await lab.restore(id, 'config', { skipSafety: true }), 'disk_full', /no space|full/i);
    expect(await readFile(large, 'utf8')).toBe('of today');
    await expectUntouched();
    unmount(restores());
    await rm(large);
    await works();
  });
});
