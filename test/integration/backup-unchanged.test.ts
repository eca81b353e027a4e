import { randomBytes } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { execa } from 'execa';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { BackupLab } from '../support/backup-lab.ts';

// A database that has not changed is not dumped again, and nothing that was written is ever missing for it. On a real
// PostgreSQL; the tests build on each other.
const signal = AbortSignal.timeout(900_000);
let lab: BackupLab;
let scratch: string;

beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'backup-unchanged-'));
  lab = await BackupLab.make({ name: 'backupunchanged' });
  await lab.sql('CREATE TABLE orders (id serial PRIMARY KEY, text text)');
  await lab.sql('INSERT INTO orders (text) SELECT md5(n::text) FROM generate_series(1, 5000) n');
  await lab.addModel('1', randomBytes(100_000));
  // At rest at once, not after a minute: nothing is cleaned behind our back, and no running transactions are noted.
  for (const setting of ['autovacuum = off', 'wal_level = minimal', 'max_wal_senders = 0'])
    await lab.sql(`ALTER SYSTEM SET ${setting}`);
  await execa('docker', ['restart', lab.container]);
  await vi.waitFor(() => lab.sql('SELECT 1'), { timeout: 60_000, interval: 300 });
}, 300_000);
afterAll(async () => {
  await lab.destroy();
  await rm(scratch, { recursive: true, force: true });
});

/** The server has done what it does by itself after a change, and there is a dump from then. */
async function atRest(): Promise<void> {
  await lab.sql('VACUUM ANALYZE');
  await lab.sql('CHECKPOINT');
  // The first to read after a change may tidy pages, which the server notes in its log.
  await dumped();
  await dumped();
}

/** Makes a backup. @returns whether the database was dumped anew, and its rows */
async function dumped(): Promise<{ anew: boolean; rows: number | undefined; id: string }> {
  const { id, result } = await lab.backup();
  expect(result.error ?? result.result).toBe('done');
  const collected = result.steps.find((step) => step.name === 'collect-snapshot')?.detail;
  const { backups } = await lab.appliance();
  const manifest = await backups.manifest(id, signal);
  const rows = manifest.components.find(({ name }) => name === 'database:postgres/app')?.rows?.['public.orders'];
  return { id, rows, anew: !/unchanged since the last dump: postgres\/app/.test(String(collected)) };
}

it('keeps the dump of a database at rest, and every snapshot holds all of it', async () => {
  await atRest();
  const { anew, rows, id } = await dumped();
  expect([anew, rows]).toEqual([false, 5_000]);
  const { backups } = await lab.appliance();
  const { resticId, components } = await backups.manifest(id, signal);
  const target = await mkdtemp(join(scratch, 'restored-'));
  await backups.restore({ resticId, include: ['/snapshot/databases'], target, signal });
  expect((await readdir(join(target, 'snapshot/databases/postgres'))).sort()).toEqual(['app.dump', 'roles.sql']);
  const dump = join(target, 'snapshot/databases/postgres/app.dump');
  const { stdout } = await execa('sha256sum', [dump]);
  expect(stdout.slice(0, 64)).toBe(components.find(({ path }) => path.endsWith('app.dump'))?.sha256);
  expect((await stat(join(backups.paths.dumps, 'postgres'))).mode & 0o777).toBe(0o700);
  expect((await stat(join(backups.paths.dumps, 'postgres/app.dump'))).mode & 0o777).toBe(0o600);
});

it('dumps anew after one row', async () => {
  await lab.sql("INSERT INTO orders (text) VALUES ('new')");
  expect(await dumped()).toMatchObject({ anew: true, rows: 5_001 });
});

it('dumps anew when a file is not the one that was written, or what is known of it is damaged', async () => {
  await atRest();
  const { backups } = await lab.appliance();
  const directory = join(backups.paths.dumps, 'postgres');
  await utimes(join(directory, 'app.dump'), new Date(), new Date());
  expect((await dumped()).anew).toBe(true);
  await writeFile(join(directory, '.kept.json'), (await readFile(join(directory, '.kept.json'), 'utf8')).slice(0, 20));
  expect((await dumped()).anew).toBe(true);
  await rm(join(directory, 'app.dump'));
  expect((await dumped()).anew).toBe(true);
});

it('does not keep a dump that was made while a transaction was open that had written', async () => {
  await atRest();
  const input = new PassThrough();
  const open = execa('docker', ['exec', '-i', lab.container, 'psql', '-Xq', '-U', 'app', '-d', 'app'], { input });
  input.write(`BEGIN; INSERT INTO orders (text) VALUES ('open');\n`);
  const written = () => lab.sql(`SELECT count(*) FROM pg_locks WHERE locktype = 'transactionid'`);
  await expect.poll(written, { timeout: 60_000, interval: 200 }).not.toBe('0');
  expect(await dumped()).toMatchObject({ anew: true, rows: 5_001 });
  input.end('COMMIT;\n');
  await open;
  expect(await dumped()).toMatchObject({ anew: true, rows: 5_002 });
});

it('dumps anew after what leaves no trace in the log of the server', async () => {
  await atRest();
  // The next value of a sequence is in the log only once in 32 times.
  await lab.sql(`SELECT nextval('orders_id_seq')`);
  await atRest();
  await lab.sql(`SELECT nextval('orders_id_seq')`);
  expect((await dumped()).anew).toBe(true);
  await lab.sql('CREATE UNLOGGED TABLE notes (text text)');
  await atRest();
  await lab.sql(`INSERT INTO notes VALUES ('gone after a crash')`);
  expect((await dumped()).anew).toBe(true);
  await lab.sql('DROP TABLE notes');
});

it('has a file of its own for each database, whatever its letters', async () => {
  for (const name of ['a b', 'a_b', '日本']) await lab.sql(`CREATE DATABASE "${name}"`);
  const { id } = await dumped();
  const { backups } = await lab.appliance();
  const { components } = await backups.manifest(id, signal);
  const paths = components.flatMap(({ name, path }) => (name.startsWith('database:') ? [path] : []));
  expect(paths.length).toBe(4);
  expect(new Set(paths).size).toBe(4);
});
