import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Sqlite from 'better-sqlite3';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  type ModelStaging,
  placeRegistry,
  placeVersion,
  stagedRegistry,
  stagedVersion,
  unplaceRegistry,
  unplaceVersion,
} from '../../src/capabilities/backups/restore-models.ts';

// S1-63: models of a snapshot are put in place by renames. However far it came, it can be finished or taken back.
const damaged = { name: 'routing', version: '1' };
const missing = { name: 'routing', version: '2' };
let root: string;
let staging: ModelStaging;

const write = async (path: string, text: string): Promise<void> => {
  await mkdir(join(path, '..'), { recursive: true });
  await writeFile(path, text);
};

function registry(path: string, version: string): Sqlite.Database {
  const database = new Sqlite(path);
  database.pragma('journal_mode = WAL');
  database.exec('CREATE TABLE IF NOT EXISTS versions (name TEXT)');
  database.prepare('INSERT INTO versions VALUES (?)').run(version);
  return database;
}

function names(path: string): string[] {
  const database = new Sqlite(path, { fileMustExist: true });
  try {
    expect(database.pragma('integrity_check', { simple: true })).toBe('ok');
    return database
      .prepare<[], { name: string }>('SELECT name FROM versions')
      .all()
      .map(({ name }) => name);
  } finally {
    database.close();
  }
}

/** Everything that a reader of the models directory sees. */
async function seen(): Promise<Record<string, string>> {
  const found: Record<string, string> = { registry: names(join(staging.models, 'registry.db')).join() };
  for (const version of await readdir(join(staging.models, 'versions/routing')))
    found[version] = await readFile(join(staging.models, 'versions/routing', version, 'model.bin'), 'utf8');
  return found;
}

const before = { registry: 'of today,only in its log', '1': 'damaged' };
const after = { registry: 'of the snapshot', '1': 'whole', '2': 'whole' };
const forward: readonly (() => Promise<void> | void)[] = [
  () => placeVersion(staging, damaged),
  () => placeVersion(staging, missing),
  () => placeRegistry(staging),
];
const back: readonly (() => Promise<void> | void)[] = [
  () => unplaceVersion(staging, damaged),
  () => unplaceVersion(staging, missing),
  () => unplaceRegistry(staging),
];

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'restore-models-'));
  staging = { models: join(root, 'models'), directory: join(root, 'models/.restore/restore-1') };
  await write(join(staging.models, 'versions/routing/1/model.bin'), 'damaged');
  for (const version of [damaged, missing]) await write(join(stagedVersion(staging, version), 'model.bin'), 'whole');
  await mkdir(join(stagedRegistry(staging), '..'), { recursive: true });
  registry(stagedRegistry(staging), 'of the snapshot').close();
  // As a killed agent leaves it: what was written last stands in the log alone.
  const dying = registry(join(root, 'live.db'), 'of today');
  dying.pragma('wal_checkpoint(TRUNCATE)');
  dying.prepare('INSERT INTO versions VALUES (?)').run('only in its log');
  for (const end of ['', '-wal', '-shm'])
    await writeFile(join(staging.models, `registry.db${end}`), await readFile(join(root, `live.db${end}`)));
  dying.close();
});
afterEach(() => rm(root, { recursive: true, force: true }));

describe('models of a snapshot', () => {
  for (let done = 0; done <= forward.length; done += 1) {
    it(`are put in place after a crash behind part ${done}`, async () => {
      for (const part of forward.slice(0, done)) await part();
      for (const part of forward) await part();
      expect(await seen()).toEqual(after);
    });

    it(`are taken back from part ${done}, also after a crash on the way back`, async () => {
      for (const part of forward.slice(0, done)) await part();
      for (let undone = 0; undone <= back.length; undone += 1) for (const part of back.slice(0, undone)) await part();
      expect(await seen()).toEqual(before);
    });

    it(`are put in place again after they were taken back from part ${done}`, async () => {
      for (const part of [...forward.slice(0, done), ...back, ...forward]) await part();
      expect(await seen()).toEqual(after);
    });
  }

  it('come back where nothing is left', async () => {
    await rm(join(staging.models, 'versions'), { recursive: true });
    for (const end of ['', '-wal', '-shm']) await rm(join(staging.models, `registry.db${end}`));
    for (const part of forward) await part();
    expect(await seen()).toEqual(after);
    for (const part of back) await part();
    expect(await readdir(staging.models)).not.toContain('registry.db');
    expect(await readdir(join(staging.models, 'versions/routing'))).toEqual([]);
  });
});
