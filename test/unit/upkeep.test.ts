import { mkdtemp, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { connectionUse } from '../../src/capabilities/checks/upkeep/connections.ts';
import { SecretAges, secretMigrations } from '../../src/capabilities/checks/upkeep/secret-ages.ts';
import { heldSecrets } from '../../src/capabilities/checks/upkeep/secrets.ts';
import { configSchema } from '../../src/config/schema.ts';
import { type Database, openDatabase } from '../../src/host/sqlite.ts';

const day = 86_400_000;
const now = Date.UTC(2026, 0, 5);
let directory: string;
let database: Database;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'upkeep-'));
  database = openDatabase(join(directory, 'state.db'), [secretMigrations]);
});
afterEach(async () => {
  database.close();
  await rm(directory, { recursive: true, force: true });
});

describe('the age of secrets (S0-17, S2-28)', () => {
  const held = (value: string, written = now - 5 * day) => [{ name: 'JWT_SECRET', value, written }];

  test('is told from the time that its file was written, then from the day that the value changed', () => {
    const ages = new SecretAges(database);
    expect(ages.look(held('planted-one'), now).get('JWT_SECRET')).toBe(now - 5 * day);
    // Another key of the file was changed: the file is new, the value is not.
    expect(ages.look(held('planted-one', now), now + day).get('JWT_SECRET')).toBe(now - 5 * day);
    expect(ages.look(held('planted-two', now), now + 91 * day).get('JWT_SECRET')).toBe(now + 91 * day);
    // A file from the future does not make a secret younger than now.
    expect(
      new SecretAges(openDatabase(':memory:', [secretMigrations])).look(held('x', now + day), now).get('JWT_SECRET'),
    ).toBe(now);
  });

  test('outlives the agent, and is forgotten with the secret', () => {
    // Times of files have fractions of a millisecond.
    new SecretAges(database).look(held('planted-one', now - 5 * day + 0.25), now);
    const next = new SecretAges(database);
    expect(next.look(held('planted-one', now), now + day).get('JWT_SECRET')).toBe(now - 5 * day);
    expect(next.look([], now + 2 * day).size).toBe(0);
    expect(new SecretAges(database).look(held('planted-one', now + 3 * day), now + 3 * day).get('JWT_SECRET')).toBe(
      now + 3 * day,
    );
  });

  test('is known without the value: neither it nor an equal digest of two secrets is kept', () => {
    new SecretAges(database).look(
      [...held('planted-one'), { name: 'OTHER_TOKEN', value: 'planted-one', written: now }],
      now,
    );
    const rows = database.prepare('SELECT name, hex(digest) AS digest, hex(salt) AS salt FROM secret_ages').all();
    expect(rows).toHaveLength(2);
    expect(JSON.stringify(rows)).not.toContain(Buffer.from('planted-one').toString('hex').toUpperCase());
    const digests = database.prepare('SELECT DISTINCT digest FROM secret_ages').all();
    expect(digests).toHaveLength(2);
  });

  test('is that of keys that are secrets by name or carry a password, of receivers and of mounted files', async () => {
    const file = async (name: string, text: string, days: number): Promise<string> => {
      const path = join(directory, name);
      await writeFile(path, text, { mode: 0o600 });
      await utimes(path, new Date(now), new Date(now - days * day));
      return path;
    };
    const config = configSchema.parse({
      name: 'shop',
      source: {
        repository: '/r',
        envFile: await file(
          'env',
          'JWT_SECRET=a\nDATABASE_URL=postgresql://u:p@db/x\nPUBLIC_URL=https://shop.example\nLOG_LEVEL=INFO\nOPENAI_API_KEY=k\nEMPTY_TOKEN=\nMONKEY=banana\n',
          100,
        ),
      },
      services: { api: { role: 'app' } },
      routes: [{ path: '/', service: 'api', port: 80 }],
      alerts: { receivers: { team: { type: 'slack', urlFile: await file('slack', 'https://hooks.example/x', 3) } } },
    });
    const secrets = await heldSecrets(config, [{ name: 'secrets.db', path: await file('db', 'pw', 7) }]);
    expect(secrets.map(({ name, written }) => [name, (now - written) / day])).toEqual([
      ['JWT_SECRET', 100],
      ['DATABASE_URL', 100],
      ['OPENAI_API_KEY', 100],
      ['alerts.receivers.team', 3],
      ['secrets.db', 7],
    ]);
    await expect(heldSecrets(config, [{ name: 'secrets.gone', path: '/nowhere' }])).rejects.toMatchObject({
      message: expect.stringContaining('/nowhere cannot be read'),
      hint: 'it holds the secret secrets.gone',
    });
  });
});

describe('what a database says of its connections', () => {
  const said =
    (stdout: string, exitCode = 0, stderr = '') =>
    async () => ({ exitCode, stdout, stderr });

  test('is read as two numbers', async () => {
    expect(await connectionUse(said('12 97\n'))).toEqual({ used: 12, limit: 97 });
  });

  test.each([
    ['no psql', said('', 127, 'sh: 1: exec: psql: not found\n'), /psql: not found/],
    ['a server that refuses', said('', 2, 'psql: error: FATAL: sorry\nmore\n'), /FATAL: sorry$/],
    ['something else', said('hello\n'), /cannot be counted: hello/],
    ['nothing', said(''), /psql ended with 0/],
  ])('is an error for %s, never a zero', async (_, exec, message) => {
    await expect(connectionUse(exec)).rejects.toMatchObject({
      code: 'not_measured',
      message: expect.stringMatching(message),
    });
  });
});
