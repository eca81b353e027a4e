import { createWriteStream } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { execa } from 'execa';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  countRows,
  dropDatabase,
  loadDatabase,
  namesBeside,
  swapBack,
  swapDatabase,
} from '../../src/capabilities/backups/restore-database.ts';
import { loadRoles } from '../../src/capabilities/backups/restore-roles.ts';
import { serverIn } from '../../src/capabilities/backups/restore-server.ts';
import { Engine } from '../../src/host/docker.ts';

// S1-63: the database of a snapshot takes the place of the one in use, on a real PostgreSQL, and goes back again.
const container = 'restoredatabase-postgres';
const engine = new Engine();
const signal = AbortSignal.timeout(600_000);
const names = namesBeside('app', 'restore-0a1b2c3d4e');
let directory: string;
let dump: string;

const server = serverIn(engine, { service: 'postgres', user: 'app', container });

async function sql(text: string, database = 'app'): Promise<string> {
  const argv = ['psql', '-XqAt', '-v', 'ON_ERROR_STOP=1', '-U', 'app', '-d', database, '-c', text];
  const { exitCode, stdout, stderr } = await server.exec(argv, { timeout: 60_000, signal });
  if (exitCode !== 0) throw new Error(stderr);
  return stdout.trim();
}

const databases = () => sql('SELECT datname FROM pg_database WHERE NOT datistemplate ORDER BY 1', 'postgres');
const load = (file = dump) =>
  loadDatabase(server, { database: 'app', loaded: names.loaded, dump: file, timeout: 120_000, signal });

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'restoredatabase-'));
  dump = join(directory, 'app.dump');
  await execa('docker', ['rm', '--force', '--volumes', container]);
  const environment = ['-e', 'POSTGRES_USER=app', '-e', 'POSTGRES_PASSWORD=not-a-secret', '-e', 'POSTGRES_DB=app'];
  await execa('docker', [
    'run',
    '--detach',
    '--network',
    'none',
    '--name',
    container,
    ...environment,
    'appliance/postgres:17',
  ]);
  for (let tries = 0; tries < 200 && (await sql('SELECT 1').catch(() => '')) !== '1'; tries += 1) await delay(300);
  await sql('CREATE TABLE orders (id int PRIMARY KEY, text text)');
  await sql("INSERT INTO orders SELECT n, repeat('x', 100) FROM generate_series(1, 50000) n");
  const { exitCode } = await engine.execStream(container, {
    argv: ['pg_dump', '-Fc', '-Z0', '-U', 'app', 'app'],
    stdout: createWriteStream(dump),
    timeout: 60_000,
  });
  expect(exitCode).toBe(0);
  expect((await readFile(dump)).subarray(0, 5).toString()).toBe('PGDMP');
}, 180_000);
afterAll(async () => {
  await execa('docker', ['rm', '--force', '--volumes', container]);
  await rm(directory, { recursive: true, force: true });
});

describe('a database of a snapshot', () => {
  it('is loaded beside the one in use, which stays as it is', async () => {
    await sql('DELETE FROM orders WHERE id > 10');
    await load();
    expect(await databases()).toBe(['app', names.loaded, 'postgres'].join('\n'));
    expect(await sql('SELECT count(*) FROM orders')).toBe('10');
    expect(await countRows(server, names.loaded, signal)).toEqual({ 'public.orders': 50_000 });
  });

  it('takes its place although clients are connected, and done again changes nothing', async () => {
    const client = execa('docker', ['exec', container, 'psql', '-U', 'app', '-d', 'app', '-c', 'SELECT pg_sleep(60)'], {
      reject: false,
    });
    await expect
      .poll(
        () => sql("SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep%' AND pid <> pg_backend_pid()"),
        {
          timeout: 30_000,
        },
      )
      .toBe('1');
    await swapDatabase(server, 'app', names, signal);
    expect((await client).exitCode).not.toBe(0);
    expect(await sql('SELECT count(*) FROM orders')).toBe('50000');
    await swapDatabase(server, 'app', names, signal);
    expect(await databases()).toBe(['app', names.before, 'postgres'].join('\n'));
  });

  it('goes back, also when done again, and can be put in place once more', async () => {
    await swapBack(server, 'app', names, signal);
    await swapBack(server, 'app', names, signal);
    expect(await sql('SELECT count(*) FROM orders')).toBe('10');
    await swapDatabase(server, 'app', names, signal);
    expect(await sql('SELECT count(*) FROM orders')).toBe('50000');
  });

  it('replaces one that somebody has dropped', async () => {
    await dropDatabase(server, 'app', names.before, signal);
    await dropDatabase(server, 'app', 'app', signal);
    await load();
    await swapDatabase(server, 'app', names, signal);
    expect(await databases()).toBe('app\npostgres');
    expect(await sql('SELECT count(*) FROM orders')).toBe('50000');
  });

  it('is refused when its dump is cut off, and the one in use stays', async () => {
    const cut = join(directory, 'cut.dump');
    const whole = await readFile(dump);
    await writeFile(cut, whole.subarray(0, Math.floor(whole.length / 2)));
    await expect(load(cut)).rejects.toMatchObject({
      code: 'restore_failed',
      message: expect.stringContaining('pg_restore'),
    });
    expect(await sql('SELECT count(*) FROM orders')).toBe('50000');
  });

  it('is loaded again after pg_restore was killed', async () => {
    // A view that takes a minute to fill, so that it is killed at work however slow the host is.
    await sql('CREATE TABLE pause AS SELECT 0 AS seconds');
    await sql('CREATE MATERIALIZED VIEW late AS SELECT pg_sleep(seconds)::text FROM pause');
    await sql('UPDATE pause SET seconds = 60');
    const long = join(directory, 'long.dump');
    const argv = ['pg_dump', '-Fc', '-U', 'app', 'app'];
    const stdout = createWriteStream(long);
    expect((await engine.execStream(container, { argv, stdout, timeout: 60_000 })).exitCode).toBe(0);
    await sql('DROP MATERIALIZED VIEW late; DROP TABLE pause');
    const dying = load(long).catch((error: unknown) => error);
    const kill = 'kill -9 $(grep -lx pg_restore /proc/[0-9]*/comm | tr -dc "0-9\\n")';
    await execa('docker', ['exec', container, 'bash', '-c', `until ${kill} 2>/dev/null; do sleep 0.05; done`], {
      timeout: 60_000,
    });
    expect(await dying).toMatchObject({ code: 'restore_failed' });
    await load();
    expect(await sql('SELECT count(*) FROM orders', names.loaded)).toBe('50000');
    await dropDatabase(server, 'app', names.loaded, signal);
  });
});

describe('what belongs to the database itself and to no table of it', () => {
  it('comes back with it: owner, settings, rights to connect, comment; as in the snapshot, not as today', async () => {
    await sql('CREATE ROLE keeper; CREATE ROLE guest LOGIN');
    await sql("COMMENT ON DATABASE app IS 'of then'; ALTER DATABASE app SET work_mem TO '7MB'");
    await sql("ALTER ROLE guest IN DATABASE app SET search_path TO 'shop'; ALTER DATABASE app OWNER TO keeper");
    await sql('REVOKE CONNECT, TEMPORARY ON DATABASE app FROM PUBLIC; GRANT CONNECT ON DATABASE app TO guest');
    const about = () =>
      sql(
        `SELECT pg_get_userbyid(datdba), datacl::text, shobj_description(d.oid, 'pg_database'),
        (SELECT string_agg(setrole::regrole || ' ' || setconfig::text, '; ' ORDER BY setrole) FROM pg_db_role_setting WHERE setdatabase = d.oid)
        FROM pg_database d WHERE datname = 'app'`,
      );
    const then = await about();
    expect(then).toContain('keeper');
    expect(then).toContain('work_mem=7MB');
    const file = join(directory, 'about.dump');
    const argv = ['pg_dump', '-Fc', '-U', 'app', 'app'];
    const stdout = createWriteStream(file);
    expect((await engine.execStream(container, { argv, stdout, timeout: 60_000 })).exitCode).toBe(0);
    await sql("ALTER DATABASE app SET work_mem TO '9MB'; GRANT CONNECT ON DATABASE app TO PUBLIC");
    await load(file);
    await swapDatabase(server, 'app', names, signal);
    expect(await about()).toBe(then);
    await swapBack(server, 'app', names, signal);
    expect(await about()).toContain('work_mem=9MB');
    await sql('ALTER DATABASE app OWNER TO app; GRANT ALL ON DATABASE app TO PUBLIC; ALTER DATABASE app RESET ALL');
    await dropDatabase(server, 'app', names.loaded, signal);
  });
});

describe('accounts that own parts of a dump (S4-38)', () => {
  it('are made on a server that lacks them, once, and those that are there stay as they are', async () => {
    await sql('CREATE ROLE owner LOGIN PASSWORD \'of-then\'; CREATE ROLE "Read Only"; GRANT owner TO "Read Only"');
    await sql('CREATE TABLE owned (n int); ALTER TABLE owned OWNER TO owner; GRANT SELECT ON owned TO "Read Only"');
    const roles = join(directory, 'roles.sql');
    const owned = join(directory, 'owned.dump');
    for (const [argv, file] of [
      [['pg_dumpall', '--globals-only', '-U', 'app'], roles],
      [['pg_dump', '-Fc', '-U', 'app', 'app'], owned],
    ] as const) {
      const stdout = createWriteStream(file);
      expect((await engine.execStream(container, { argv, stdout, timeout: 60_000 })).exitCode).toBe(0);
    }
    await sql('DROP TABLE owned; REVOKE owner FROM "Read Only"; DROP ROLE "Read Only"; DROP ROLE owner');
    await expect(load(owned)).rejects.toMatchObject({ code: 'restore_failed' });
    const text = await readFile(roles, 'utf8');
    expect(await loadRoles(server, text, signal)).toEqual(['"Read Only"', 'owner']);
    expect(await loadRoles(server, text, signal)).toEqual([]);
    await load(owned);
    expect(await sql("SELECT tableowner FROM pg_tables WHERE tablename = 'owned'", names.loaded)).toBe('owner');
    expect(await sql("SELECT pg_has_role('Read Only', 'owner', 'MEMBER')")).toBe('t');
    // Its password of today is not replaced by the one of then.
    await sql("ALTER ROLE owner PASSWORD 'of-today'");
    const password = await sql("SELECT rolpassword FROM pg_authid WHERE rolname = 'owner'");
    await loadRoles(server, text, signal);
    expect(await sql("SELECT rolpassword FROM pg_authid WHERE rolname = 'owner'")).toBe(password);
    await dropDatabase(server, 'app', names.loaded, signal);
  });

  it('that cannot be made are told without their passwords', async () => {
    const bad = "CREATE ROLE broken;\nALTER ROLE broken WITH LOGIN NONSENSE PASSWORD 'SCRAM-planted';\n";
    const refused = await loadRoles(server, bad, signal).catch((error: unknown) => error);
    expect(refused).toMatchObject({ code: 'restore_failed', message: expect.stringContaining('accounts') });
    expect(String(refused)).not.toContain('planted');
    expect(await sql("SELECT count(*) FROM pg_roles WHERE rolname = 'broken'")).toBe('0');
  });
});

it('names of databases beside fit, however long the name is', () => {
  const { loaded, before } = namesBeside('ä'.repeat(31), 'rollback-0a1b2c3d4e');
  for (const name of [loaded, before]) expect(Buffer.byteLength(name)).toBeLessThanOrEqual(63);
  expect(loaded).not.toBe(before);
});
