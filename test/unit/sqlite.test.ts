import { chmodSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { openDatabase, openReadOnly } from '../../src/host/sqlite.ts';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'sqlite-'));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const old = { module: 'm', scripts: ["CREATE TABLE words (word TEXT) STRICT; INSERT INTO words VALUES ('kept')"] };
const current = { module: 'm', scripts: [...old.scripts, 'ALTER TABLE words ADD COLUMN length INTEGER'] };

it.each([
  ['while its writer works', false],
  ['after its writer has ended', true],
])('a reader understands what an older program wrote, and leaves it as it is, %s', (_, ended) => {
  const path = join(directory, 'state.db');
  const writer = openDatabase(path, [old]);
  if (ended) writer.close();
  const reader = openReadOnly(path, [current]);
  expect(reader.prepare('SELECT word, length FROM words').all()).toEqual([{ word: 'kept', length: null }]);
  reader.close();
  if (!ended) writer.close();
  const again = openDatabase(path, [old]);
  expect(again.prepare('SELECT * FROM words').all()).toEqual([{ word: 'kept' }]);
  again.close();
});

it('lets nobody else read what its writer holds, in the database and in the files beside it', () => {
  const path = join(directory, 'state.db');
  const modes = () => readdirSync(directory).map((name) => [name, statSync(join(directory, name)).mode & 0o777]);
  const closed = ['state.db', 'state.db-shm', 'state.db-wal'].map((name) => [name, 0o600]);
  const writer = openDatabase(path, [old]);
  expect(modes().sort()).toEqual(closed);
  for (const [name] of closed) chmodSync(join(directory, String(name)), 0o644);
  const second = openDatabase(path, [old]);
  expect(modes().sort()).toEqual(closed);
  second.close();
  writer.close();
});
