import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Sqlite from 'better-sqlite3';
import { execa } from 'execa';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { treeBytes } from '../../src/capabilities/backups/copies.ts';
import { newKey } from '../../src/capabilities/backups/key.ts';
import { BackupLab } from '../support/backup-lab.ts';

// Real backups of a real PostgreSQL and a registry of models into a real repository. The tests build on each other.
const name = 'backuptest';
const signal = AbortSignal.timeout(900_000);
let lab: BackupLab;
let scratch: string;

beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'backuptest-scratch-'));
  lab = await BackupLab.make({ name, backups: { offsite: [{ name: 'disk', target: join(scratch, 'offsite') }] } });
  await lab.sql('CREATE TABLE orders (id int PRIMARY KEY, text text)');
  await lab.sql('INSERT INTO orders SELECT n, md5(n::text) FROM generate_series(1, 20000) n');
  await lab.addModel('1', randomBytes(3_000_000));
  await lab.addModel('2', randomBytes(3_000_000));
}, 300_000);
afterAll(async () => {
  await lab.destroy();
  await rm(scratch, { recursive: true, force: true });
});

describe('a backup', () => {
  it('S1-20 S1-21 S1-22 S1-43 S1-44 S1-45 S4-26: binds database, models, registry, configuration and secrets', async () => {
    const { id, result } = await lab.backup();
    expect(result).toMatchObject({ result: 'done' });
    const { backups } = await lab.appliance();
    const manifest = await backups.manifest('latest', signal);
    expect(manifest).toMatchObject({ id, kind: 'manual', format: 1, release: null, appliance: { name } });
    expect(manifest.components.map((one) => one.name).sort()).toEqual(
      [
        'certificates',
        'config',
        'database:postgres/app',
        'models',
        'persistent',
        'registry',
        'roles:postgres',
        'secrets',
        'state',
      ].sort(),
    );
    const dump = manifest.components.find((one) => one.name === 'database:postgres/app');
    expect(dump).toMatchObject({ rows: { 'public.orders': 20_000 }, serverVersion: expect.stringMatching(/^17/) });
    expect(dump?.sha256).toMatch(/^[0-9a-f]{64}$/);
    expect(manifest.models.map(({ version, sha256 }) => [version, sha256.length])).toEqual([
      ['1', 64],
      ['2', 64],
    ]);
  });

  it('is encrypted, and what is restored is what was there', async () => {
    const { backups } = await lab.appliance();
    const { stdout } = await execa('grep', ['-rla', '-e', 'planted-secret', '-e', 'PGDMP', backups.paths.repository], {
      reject: false,
    });
    expect(stdout).toBe('');
    const manifest = await backups.manifest('latest', signal);
    const target = await mkdtemp(join(scratch, 'restored-'));
    await backups.restore({ resticId: manifest.resticId, include: ['/snapshot', '/models'], target, signal });
    expect(await readFile(join(target, 'snapshot/config/environment'), 'utf8')).toContain('planted-secret');
    expect((await stat(join(target, 'snapshot/config/environment'))).mode & 0o777).toBe(0o600);
    expect(await readdir(join(target, 'models'))).toEqual(['versions']);
    const live = await readFile(join(lab.models, 'versions/routing/2/model.joblib'));
    expect((await readFile(join(target, 'models/versions/routing/2/model.joblib'))).equals(live)).toBe(true);
    const registry = new Sqlite(join(target, 'snapshot/sqlite/registry.db'), { readonly: true });
    expect(registry.prepare('SELECT count(*) FROM versions').pluck().get()).toBe(2);
    registry.close();
  });

  it('is deduplicated: a second one without changes brings next to nothing', async () => {
    const { result } = await lab.backup('nightly');
    expect(result).toMatchObject({ result: 'done' });
    const { backups } = await lab.appliance();
    const [second, first] = backups.recent();
    expect(first?.added).toBeGreaterThan(6_000_000);
    expect(second?.added).toBeLessThan(1_500_000);
    expect(second?.state).toBe('verified');
    expect(second?.findings.map(({ verdict }) => verdict)).toEqual(['pass']);
    expect(existsSync(join(backups.paths.staging, second?.id ?? ''))).toBe(false);
  });

  it('counts rows in the state of the database that was dumped, whatever is written meanwhile', async () => {
    const writer = execa(
      'docker',
      [
        ...['exec', lab.container, 'sh', '-c'],
        `i=20001; while [ $i -lt 90000 ]; do psql -qX -U app -d app -c "INSERT INTO orders SELECT n, 'x' FROM generate_series($i, $i + 99) n" || exit; i=$((i + 100)); done`,
      ],
      { reject: false },
    );
    const { result } = await lab.backup();
    writer.kill();
    await execa('docker', ['exec', lab.container, 'sh', '-c', 'pkill -f generate_series || true'], { reject: false });
    expect(result).toMatchObject({ result: 'done' });
    const { backups } = await lab.appliance();
    const manifest = await backups.manifest('latest', signal);
    const target = await mkdtemp(join(scratch, 'rows-'));
    await backups.restore({ resticId: manifest.resticId, include: ['/snapshot/databases'], target, signal });
    const dump = await readFile(join(target, 'snapshot/databases/postgres/app.dump'));
    const listed = await execa(
      'docker',
      ['exec', '-i', lab.container, 'pg_restore', '--data-only', '-t', 'orders', '-f', '-'],
      { input: dump, maxBuffer: 100_000_000 },
    );
    const lines = listed.stdout.split('\n');
    const begin = lines.findIndex((line) => line.startsWith('COPY public.orders'));
    const rows = lines.indexOf('\\.', begin) - begin - 1;
    expect(manifest.components.find((one) => one.name === 'database:postgres/app')?.rows).toEqual({
      'public.orders': rows,
    });
    expect(rows).toBeGreaterThanOrEqual(20_000);
  });

  it('raises an alarm when rows have collapsed, and is made nevertheless', async () => {
    await lab.sql('DELETE FROM orders WHERE id > 10');
    const { result, id } = await lab.backup();
    expect(result).toMatchObject({ result: 'done' });
    const { backups } = await lab.appliance();
    const found = backups.records.get(id)?.findings.filter(({ verdict }) => verdict === 'fail') ?? [];
    expect(found.map(({ observed }) => observed)).toContain('public.orders of database:postgres/app has 10 rows');
  });

  it('S1-48: is copied off-site when its directory is there, each target with a result of its own', async () => {
    const first = await lab.backup('manual', { offsite: true });
    expect(first.result).toMatchObject({ result: 'done' });
    const { backups } = await lab.appliance();
    expect(backups.targets()).toMatchObject([
      { name: 'disk', succeeded: null, failures: 1, error: expect.stringContaining('is not there') },
    ]);
    await execa('mkdir', [join(scratch, 'offsite')]);
    const second = await lab.backup('manual', { offsite: true });
    expect(second.result.result).toBe('done');
    expect(backups.targets()).toMatchObject([
      { name: 'disk', succeeded: expect.any(Number), failures: 0, error: null },
    ]);
    const [local, copy] = await Promise.all([backups.list(signal), backups.offsite[0]?.list(signal)]);
    expect(copy?.map(({ id }) => id)).toEqual(local.map(({ id }) => id));
  });

  it('can be proven and protected, and the repository itself knows', async () => {
    const { backups } = await lab.appliance();
    const [newest] = await backups.list(signal);
    await backups.markProven(newest?.id ?? '', { time: 1_000, seconds: 2.5 }, signal);
    await backups.protect(newest?.id ?? '', true, signal);
    expect((await backups.list(signal))[0]).toMatchObject({
      id: newest?.id,
      proven: { time: 1_000, seconds: 2.5 },
      protected: true,
    });
  });

  it('S1-47 S1-48: marks of later reach its copy, which stays one snapshot and is kept by the same rules', async () => {
    const { backups } = await lab.appliance();
    const [newest] = await backups.list(signal);
    // It was copied before it was proven and protected.
    const run = () => lab.run('copy', backups.planOffsite());
    expect((await run()).result).toBe('done');
    const [copy] = (await backups.offsite[0]?.list(signal)) ?? [];
    expect(copy).toMatchObject({ id: newest?.id, proven: { time: 1_000 }, protected: true, others: [] });
    await backups.protect(newest?.id ?? '', false, signal);
    expect((await run()).result).toBe('done');
    expect((await backups.offsite[0]?.list(signal))?.[0]).toMatchObject({ protected: false, others: [] });
  });

  it('is told of with all others in one run of restic, and where nothing of them is known in one more', async () => {
    const { id } = await lab.backup();
    lab.close();
    const { backups, engine } = await lab.appliance();
    let runs = 0;
    const runTask = engine.runTask.bind(engine);
    engine.runTask = (task) => {
      runs += 1;
      return runTask(task);
    };
    const told = async (): Promise<number> => {
      runs = 0;
      const snapshots = await backups.list(signal);
      const manifests = await backups.manifestsOf(snapshots, signal);
      expect(snapshots.map((one) => manifests.get(one.id))).toEqual(
        snapshots.map((one) => expect.objectContaining({ id: one.id, format: 1 })),
      );
      expect(snapshots.length).toBeGreaterThan(5);
      return runs;
    };
    expect(await told()).toBe(1);
    // As on a new host, which has the repository alone.
    const state = new Sqlite(lab.paths.state);
    state.exec('DELETE FROM backups');
    state.close();
    await rm(backups.paths.manifests, { recursive: true, force: true });
    expect(await told()).toBe(2);
    expect(await told()).toBe(1);
    expect(await backups.manifest(id, signal)).toMatchObject({ id });
  });

  it('S1-20: before a deploy costs one run of restic, in which its manifest is read back', async () => {
    const { backups, engine } = await lab.appliance();
    const ran: string[] = [];
    const runTask = engine.runTask;
    engine.runTask = (task) => {
      ran.push(task.argv.join(' '));
      return runTask.call(engine, task);
    };
    const { id, result } = await lab.backup('pre-deploy');
    engine.runTask = runTask;
    expect(result.error ?? result.result).toBe('done');
    expect(result.steps.at(-1)?.detail).toBe('its manifest is read back');
    expect(ran).toEqual([expect.stringMatching(/ backup .* dump /s)]);
    expect(backups.records.get(id)?.state).toBe('verified');
  });

  it('gives the space of what was forgotten back, also when that was killed in between', async () => {
    const { backups } = await lab.appliance();
    const ballast = join(lab.models, 'ballast.bin');
    await writeFile(ballast, randomBytes(20_000_000));
    const { id } = await lab.backup();
    await rm(ballast);
    const used = (): Promise<number> => treeBytes(join(backups.paths.repository, 'data'));
    const before = await used();
    await backups.local.forget([(await backups.manifest(id, signal)).resticId], signal);
    const { result, error } = await lab.run('backup-prune', backups.planForget(null, false));
    expect(error ?? result).toBe('done');
    expect(before - (await used())).toBeGreaterThan(19_000_000);
  });

  it('opens with its key only', async () => {
    const { backups } = await lab.appliance();
    const key = await backups.key.read();
    expect(await backups.local.opens(key, signal)).toBe(true);
    expect(await backups.local.opens(newKey(), signal)).toBe(false);
  });
});
