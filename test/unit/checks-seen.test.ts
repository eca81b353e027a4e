import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { seenChecks } from '../../src/agent/checks/seen.ts';
import type { CheckResult } from '../../src/capabilities/checks/check.ts';
import { checkMigrations, VerdictStore } from '../../src/capabilities/checks/verdict-store.ts';
import { type Database, openDatabase } from '../../src/host/sqlite.ts';

let database: Database;
let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'checks-seen-'));
  database = openDatabase(join(folder, 'state.db'), [checkMigrations]);
});
afterEach(() => {
  database.close();
  rmSync(folder, { recursive: true, force: true });
});

const result = (more: Partial<CheckResult>): CheckResult => ({
  id: 'preflight.disk',
  group: 'preflight',
  requirement: ['S0-5', 'S1-4'],
  about: 'free space',
  verdict: 'fail',
  observed: '2 GiB free',
  expected: '20 GiB or more',
  hint: 'docker image prune',
  seconds: 0.1,
  ...more,
});

it('keeps all that a check said, in the order of the checklists, the last one alone', () => {
  const store = new VerdictStore(database);
  store.keep([result({ id: 'smoke.a', group: 'smoke', requirement: [] }), result({})], 1_000);
  store.keep([result({ verdict: 'pass', observed: '40 GiB free' })], 61_000);
  expect(seenChecks(store).map(({ id, verdict, observed, time }) => [id, verdict, observed, time])).toEqual([
    ['preflight.disk', 'pass', '40 GiB free', '1970-01-01T00:01:01.000Z'],
    ['smoke.a', 'fail', '2 GiB free', '1970-01-01T00:00:01.000Z'],
  ]);
  expect(seenChecks(store)[0]).toMatchObject({ requirement: 'S0-5, S1-4', hint: 'docker image prune' });
});

it('leaves out what was kept before all of it was, or by another version', () => {
  const store = new VerdictStore(database);
  store.keep([result({})], 1_000);
  database.prepare("INSERT INTO check_verdicts (id, verdict, observed, at) VALUES ('old', 'pass', 'x', 1)").run();
  const add = database.prepare(
    "INSERT INTO check_verdicts (id, verdict, observed, at, result) VALUES (?, 'pass', 'x', 1, ?)",
  );
  add.run('newer', JSON.stringify({ ...result({}), group: 'of tomorrow' }));
  add.run('other', '"text"');
  expect(seenChecks(store).map(({ id }) => id)).toEqual(['preflight.disk']);
});
