import { createHash, randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { zstdDecompressSync } from 'node:zlib';
import Sqlite from 'better-sqlite3';
import { execa } from 'execa';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { backupExportSchema } from '../../src/api/backups.ts';
import { EngineProxy } from '../faults/engine-proxy.ts';
import { BackupLab } from '../support/backup-lab.ts';
import { unmount } from '../support/mounts.ts';

// A snapshot as plain files, for the day when nobody has restic: everything in it is used without this program.
const name = 'backupexport';
const fresh = `${name}-fresh`;
const timeout = 600_000;
const model = randomBytes(3_000_000);
const loose = randomBytes(70_000);
const errorSchema = z.object({
  error: z.object({ code: z.string(), message: z.string(), left: z.string(), hint: z.string() }),
});
let lab: BackupLab;
let id: string;

beforeAll(async () => {
  lab = await BackupLab.make({ name });
  await lab.sql('CREATE ROLE reader LOGIN; CREATE TABLE orders (id int PRIMARY KEY, text text)');
  await lab.sql(
    "INSERT INTO orders SELECT n, 'it''s ' || n FROM generate_series(1, 5000) n; GRANT SELECT ON orders TO reader",
  );
  await lab.addModel('1', model);
  await writeFile(join(lab.models, 'loose.bin'), loose);
  await mkdir(join(lab.paths.lib, 'persistent/uploads'));
  await writeFile(join(lab.paths.lib, 'persistent/uploads/letter'), Buffer.alloc(123_456));
  const made = await lab.backup();
  expect(made.result.error ?? made.result.result).toBe('done');
  id = made.id;
  lab.close();
}, timeout);
afterAll(async () => {
  unmount(join(lab.root, 'disk'));
  await lab?.destroy();
}, timeout);

function begin(directory: string, snapshot = id, env: Readonly<Record<string, string>> = {}) {
  const entry = resolve(import.meta.dirname, '../../src/main.ts');
  const words = ['--root', lab.root, 'backup', 'export', snapshot, directory, '--json'];
  return execa('node', [entry, ...words], {
    reject: false,
    env: { NODE_NO_WARNINGS: '1', ...env },
    stdin: 'ignore',
    timeout,
  });
}

const last = (stdout: string): unknown => JSON.parse(stdout.trim().split('\n').at(-1) ?? '');

async function refused(directory: string): Promise<z.output<typeof errorSchema>['error']> {
  const { exitCode, stdout } = await begin(directory);
  expect(exitCode).not.toBe(0);
  return errorSchema.parse(last(stdout)).error;
}

const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');

describe('appliance backup export', { timeout }, () => {
  let directory: string;

  it('writes everything for root alone, and says of each directory how much is in it', async () => {
    directory = join(lab.root, 'export');
    const { exitCode, stdout, stderr } = await begin(directory, 'latest');
    expect({ exitCode, stderr }).toMatchObject({ exitCode: 0 });
    const made = backupExportSchema.parse(last(stdout));
    expect(made).toMatchObject({ id, directory });
    const sizes = Object.fromEntries(made.files.map(({ name: file, bytes }) => [file, bytes]));
    expect(Object.keys(sizes)).toEqual(
      expect.arrayContaining([
        '.env',
        'config/',
        'db.sql',
        'manifest.json',
        'models.tar.zst',
        'registry.db',
        'roles.sql',
      ]),
    );
    expect(sizes['persistent/']).toBe(123_456);
    // Its dumps are db.sql.
    expect(sizes).not.toHaveProperty('databases/');
    expect((await stat(directory)).mode & 0o777).toBe(0o700);
    const entries = await readdir(directory, { withFileTypes: true });
    expect(entries.map((entry) => (entry.isDirectory() ? `${entry.name}/` : entry.name)).sort()).toEqual(
      Object.keys(sizes).sort(),
    );
    for (const entry of entries) {
      const { mode, size } = await stat(join(directory, entry.name));
      expect(mode & 0o777, entry.name).toBe(entry.isDirectory() ? 0o700 : 0o600);
      if (entry.isFile()) expect(sizes[entry.name], entry.name).toBe(size);
    }
    expect(await readFile(join(directory, '.env'), 'utf8')).toBe('DB_PASSWORD=planted-secret\n');
  });

  it('has a db.sql and a roles.sql that a fresh PostgreSQL loads, with every row, owner and right', async () => {
    await execa('docker', [
      ...['run', '--detach', '--network', 'none', '--name', fresh],
      ...['-e', 'POSTGRES_USER=postgres', '-e', 'POSTGRES_PASSWORD=other', 'appliance/postgres:17'],
    ]);
    const psql = async (database: string, input: string): Promise<string> => {
      const argv = ['psql', '-XqAt', '-v', 'ON_ERROR_STOP=1', '-U', 'postgres', '-d', database];
      return (await execa('docker', ['exec', '--interactive', fresh, ...argv], { input })).stdout.trim();
    };
    await expect
      .poll(() => psql('postgres', 'SELECT 1').catch(() => ''), { timeout: 120_000, interval: 300 })
      .toBe('1');
    const text = (file: string) => readFile(join(directory, file), 'utf8');
    await psql('postgres', await text('roles.sql'));
    await psql('postgres', 'CREATE DATABASE app OWNER app');
    await psql('app', await text('db.sql'));
    expect(await psql('app', "SELECT count(*), max(text) FROM orders WHERE text LIKE 'it''s %'")).toBe("5000|it's 999");
    expect(await psql('app', "SELECT tableowner FROM pg_tables WHERE tablename = 'orders'")).toBe('app');
    expect(await psql('app', "SELECT has_table_privilege('reader', 'orders', 'SELECT')")).toBe('t');
  });

  it('has the models as an archive that tar and zstd unpack, byte for byte, and a registry that is whole', async () => {
    const unpacked = join(lab.root, 'unpacked');
    await mkdir(unpacked);
    const archive = zstdDecompressSync(await readFile(join(directory, 'models.tar.zst')));
    await execa('tar', ['--extract', '--directory', unpacked], { input: archive });
    const file = (path: string) => readFile(join(unpacked, 'models', path));
    expect(sha256(await file('versions/routing/1/model.joblib'))).toBe(sha256(model));
    expect(sha256(await file('loose.bin'))).toBe(sha256(loose));
    const registry = new Sqlite(join(directory, 'registry.db'), { readonly: true });
    try {
      expect(registry.pragma('integrity_check', { simple: true })).toBe('ok');
      const found = registry.prepare('SELECT sha256 FROM versions').pluck().all();
      expect(found).toEqual([sha256(await file('versions/routing/1/manifest.json'))]);
    } finally {
      registry.close();
    }
  });

  it('leaves what is in a directory alone, and says what is in the way', async () => {
    const taken = join(lab.root, 'taken');
    await mkdir(taken);
    await writeFile(join(taken, 'mine'), 'kept');
    expect(await refused(taken)).toMatchObject({
      code: 'usage',
      message: expect.stringContaining('is not empty: mine'),
      left: 'nothing was written',
    });
    expect(await readdir(taken)).toEqual(['mine']);
    // Not wherever somebody happens to be.
    expect(await refused('')).toMatchObject({ code: 'usage', message: expect.stringContaining('is empty') });
  });

  it('on a disk that is too small or read-only says so, and leaves nothing there', async () => {
    const disk = join(lab.root, 'disk');
    await mkdir(disk);
    await execa('mount', ['-t', 'tmpfs', '-o', 'size=2m', 'tmpfs', disk]);
    const there = join(disk, 'there');
    await mkdir(there, { mode: 0o755 });
    for (const small of [join(disk, 'made'), there])
      expect(await refused(small)).toMatchObject({
        code: 'disk_full',
        left: expect.stringContaining('nothing was written'),
        hint: expect.stringContaining('larger disk'),
      });
    expect(await readdir(disk)).toEqual(['there']);
    expect(await readdir(there)).toEqual([]);
    await execa('mount', ['-o', 'remount,ro', disk]);
    for (const readOnly of [join(disk, 'made'), there])
      expect(await refused(readOnly)).toMatchObject({
        code: 'usage',
        left: expect.stringContaining('nothing was written'),
      });
    unmount(disk);
  });

  it('that is interrupted leaves nothing, and one that is killed leaves nothing to the next one', async () => {
    const cut = join(lab.root, 'cut');
    const written = () => existsSync(cut) && readdir(cut).then((names) => names.length > 0);
    // Whatever it asks of the engine goes through this process: it cannot be done before we look.
    const proxy = await EngineProxy.open(join(lab.root, 'engine.sock'));
    for (const signal of ['SIGINT', 'SIGKILL'] as const) {
      const child = begin(cut, id, { DOCKER_HOST: proxy.host });
      await expect.poll(written, { timeout: 60_000, interval: 10 }).toBe(true);
      await delay(300);
      child.kill(signal);
      const { exitCode, stdout } = await child;
      expect(exitCode).toBe(signal === 'SIGINT' ? 130 : undefined);
      if (signal === 'SIGKILL') continue;
      expect(existsSync(cut)).toBe(false);
      expect(last(stdout)).toMatchObject({
        error: { code: 'interrupted', left: 'what was written is removed again' },
      });
    }
    await proxy.cut();
    expect((await begin(cut)).exitCode).toBe(0);
    expect((await readdir(cut)).sort()).toEqual((await readdir(directory)).sort());
    await rm(cut, { recursive: true });
  });
});
