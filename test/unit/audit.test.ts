import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Database, openDatabase } from '../../src/host/sqlite.ts';
import { AuditLog, auditMigrations } from '../../src/operations/audit.ts';
import type { Actor } from '../../src/operations/journal.ts';
import { unmount } from '../support/mounts.ts';

const root: Actor = { uid: 0, user: 'root', ssh: null };
const limits = { segment: 10, keep: 5, files: 3 };

let directory: string;
let database: Database;
let errors: unknown[];
const headPath = () => join(directory, 'log/audit.head');
const archive = () => join(directory, 'lib/audit');
const logOn = (opened: Database) =>
  new AuditLog(opened, {
    head: headPath(),
    archive: archive(),
    actor: { uid: 0, user: 'appliance', ssh: null },
    now: () => '2031-01-01T00:00:00Z',
    onError: (error) => errors.push(error),
    limits,
  });
const open = () => openDatabase(join(directory, 'lib/state.db'), [auditMigrations]);
let audit: AuditLog;
const write = (count: number, from = 1) => {
  for (let index = from; index < from + count; index += 1) {
    audit.append(`2030-01-01T00:00:${String(index % 60).padStart(2, '0')}Z`, root, 'deploy', `v${index}`, 'done');
    audit.settle();
  }
};
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'audit-'));
  mkdirSync(join(directory, 'lib'));
  errors = [];
  database = open();
  audit = logOn(database);
});
afterEach(() => {
  database.close();
  rmSync(directory, { recursive: true, force: true });
});

/** What somebody with the file in hands could do. */
const tamper = (sql: string) => {
  database.exec('DROP TRIGGER audit_is_append_only_1; DROP TRIGGER audit_is_append_only_2;');
  database.exec(sql);
};

describe('audit log', () => {
  beforeEach(() => write(3));

  it('shows all that can be read when somebody has made an actor unreadable', () => {
    tamper("UPDATE audit SET actor = '{oops' WHERE seq = 2");
    const shown = audit.entries(undefined, 10);
    expect(shown.map(({ seq, actor }) => [seq, actor.user])).toEqual([
      [3, 'root'],
      [2, '(unreadable)'],
      [1, 'root'],
    ]);
    expect(audit.verify()).toMatchObject({ verdict: 'fail', brokenAt: 2 });
  });

  it('is proven while nobody touched it', () => {
    expect(audit.verify()).toMatchObject({ verdict: 'pass', entries: 3, brokenAt: null, problem: null });
  });
  it('is no proof while it is empty', () => {
    expect(new AuditLog(openDatabase(':memory:', [auditMigrations])).verify().verdict).toBe('inconclusive');
  });
  it('cannot be changed by the program itself', () => {
    expect(() => database.exec("UPDATE audit SET target = 'x'")).toThrow(/append-only/);
    expect(() => database.exec('DELETE FROM audit')).toThrow(/append-only/);
  });
  it.each([
    ['seq', 'UPDATE audit SET seq = 8 WHERE seq = 2', 3],
    ['time', "UPDATE audit SET time = '2029-01-01T00:00:00Z' WHERE seq = 2", 2],
    ['actor', `UPDATE audit SET actor = replace(actor, 'root', 'anna') WHERE seq = 2`, 2],
    ['action', "UPDATE audit SET action = 'rollback' WHERE seq = 2", 2],
    ['target', "UPDATE audit SET target = 'v9' WHERE seq = 2", 2],
    ['target, taken away', 'UPDATE audit SET target = NULL WHERE seq = 2', 2],
    ['result', "UPDATE audit SET result = 'failed' WHERE seq = 2", 2],
    ['hash', `UPDATE audit SET hash = '${'0'.repeat(64)}' WHERE seq = 2`, 2],
  ])('finds an edited %s', (_, sql, brokenAt) => {
    tamper(sql);
    expect(audit.verify()).toMatchObject({ verdict: 'fail', brokenAt });
  });
  it.each([
    ['a removed row', 'DELETE FROM audit WHERE seq = 2', 3],
    ['a removed first row', 'DELETE FROM audit WHERE seq = 1', 2],
    ['a removed row with renumbering', 'DELETE FROM audit WHERE seq = 2; UPDATE audit SET seq = 2 WHERE seq = 3', 2],
    [
      'two rows in another order',
      'UPDATE audit SET seq = 9 WHERE seq = 1; UPDATE audit SET seq = 1 WHERE seq = 2; UPDATE audit SET seq = 2 WHERE seq = 9',
      1,
    ],
    ['an end that was cut off', 'DELETE FROM audit WHERE seq = 3', 3],
    ['a log that was emptied', 'DELETE FROM audit', 1],
  ])('finds %s', (_, sql, brokenAt) => {
    tamper(sql);
    expect(audit.verify()).toMatchObject({ verdict: 'fail', brokenAt });
  });
  it('still finds a cut-off end when it has grown again', () => {
    tamper('DELETE FROM audit WHERE seq >= 2');
    write(5, 20);
    expect(audit.verify()).toMatchObject({ verdict: 'fail', brokenAt: 3 });
    expect(audit.verify().problem).toContain('written anew');
  });
  it('says that it cannot tell without the head that is kept apart, and says when that began anew', () => {
    rmSync(headPath());
    expect(audit.verify()).toMatchObject({ verdict: 'inconclusive', problem: expect.stringContaining('is gone') });
    write(1, 4);
    expect(audit.entries(undefined, 1)).toMatchObject([{ action: 'keep audit head', result: 'begun anew' }]);
    expect(audit.verify()).toMatchObject({ verdict: 'pass', entries: 5 });
    writeFileSync(headPath(), '{');
    expect(audit.verify()).toMatchObject({ verdict: 'inconclusive', problem: expect.stringContaining('damaged') });
  });
  it('proves a head that somebody has noted', () => {
    const head = audit.head();
    write(2, 4);
    expect(audit.verify({ head })).toMatchObject({ verdict: 'pass' });
    expect(audit.verify({ head: { seq: 2, hash: 'f'.repeat(64) } })).toMatchObject({ verdict: 'fail', brokenAt: 2 });
    expect(audit.verify({ head: { seq: 99, hash: 'f'.repeat(64) } })).toMatchObject({ verdict: 'fail', brokenAt: 6 });
  });
  it('shows the newest first, from a time on', () => {
    expect(audit.entries(undefined, 2).map(({ target }) => target)).toEqual(['v3', 'v2']);
    expect(audit.entries('2030-01-01T00:00:03Z', 10).map(({ target }) => target)).toEqual(['v3']);
  });
  it('keeps its head after the transaction that an entry is part of, and not when that is taken back', async () => {
    const before = readFileSync(headPath(), 'utf8');
    expect(() =>
      database.transaction(() => {
        audit.append('2030-01-01T00:00:09Z', root, 'deploy', 'v9', 'done');
        throw new Error('taken back');
      })(),
    ).toThrow('taken back');
    await Promise.resolve();
    expect(readFileSync(headPath(), 'utf8')).toBe(before);
    expect(audit.verify()).toMatchObject({ verdict: 'pass', entries: 3 });
  });
});

describe('rotation of the audit log', () => {
  const files = () => readdirSync(archive()).sort();

  it('moves the oldest entries to files; the chain goes through them', () => {
    write(40);
    expect(files()).toEqual([
      'audit-000000000001-000000000010.jsonl',
      'audit-000000000011-000000000020.jsonl',
      'audit-000000000021-000000000030.jsonl',
    ]);
    expect(audit.verify()).toMatchObject({ verdict: 'pass', entries: 43, archives: 3 });
    expect(audit.verify({ archived: false })).toMatchObject({ verdict: 'pass', entries: 43 });
    const told = audit.entries(undefined, 100);
    expect(told.map(({ seq }) => seq)).toEqual(Array.from({ length: 43 }, (_, index) => 43 - index));
    expect(audit.entries(undefined, 25).at(-1)?.seq).toBe(19);
  });
  it('is bounded: the oldest file goes, and the chain says so', () => {
    write(80);
    expect(files()).toHaveLength(limits.files);
    expect(database.prepare('SELECT count(*) FROM audit').pluck().get()).toBeLessThan(limits.segment + limits.keep + 4);
    expect(audit.verify()).toMatchObject({ verdict: 'pass' });
    expect(audit.entries(undefined, 1_000).length).toBeLessThan(60);
  });
  it.each([
    ['a file that is gone', (path: string) => rmSync(path), 11],
    ['an edited entry', (path: string) => writeFileSync(path, readFileSync(path, 'utf8').replace('v12', 'v99')), 12],
    ['a line that is gone', (path: string) => writeFileSync(path, readFileSync(path, 'utf8').replace(/^.*\n/, '')), 12],
    ['a file that was cut off', (path: string) => writeFileSync(path, readFileSync(path, 'utf8').slice(0, -30)), 20],
    ['a file that is empty', (path: string) => writeFileSync(path, ''), 20],
  ])('finds %s', (_, harm, brokenAt) => {
    write(40);
    harm(join(archive(), 'audit-000000000011-000000000020.jsonl'));
    expect(audit.verify()).toMatchObject({ verdict: 'fail', brokenAt });
  });
  it('finds a file that was taken out of the list as well, or said to be forgotten', () => {
    write(40);
    database.exec('UPDATE audit_segments SET forgotten = 1 WHERE first = 1');
    expect(audit.verify()).toMatchObject({ verdict: 'fail', brokenAt: 1 });
    database.exec('DELETE FROM audit_segments WHERE first = 1');
    expect(audit.verify()).toMatchObject({ verdict: 'fail', brokenAt: 11 });
  });
  it('loses nothing on a full disk, and goes on when there is room', async ({ skip }) => {
    mkdirSync(archive(), { recursive: true });
    const mounted = await execa('mount', ['-t', 'tmpfs', '-o', 'size=4k', 'tmpfs', archive()], { reject: false });
    if (mounted.exitCode !== 0) return skip('a tmpfs cannot be mounted here');
    try {
      writeFileSync(join(archive(), 'full'), 'x'.repeat(4_096));
      write(20);
      expect(errors).toContainEqual(expect.objectContaining({ code: 'ENOSPC' }));
      expect(files()).toEqual(['full']);
      expect(audit.verify()).toMatchObject({ verdict: 'pass', entries: 20, archives: 0 });
    } finally {
      unmount(archive());
    }
    write(1, 21);
    expect(audit.verify()).toMatchObject({ verdict: 'pass', archives: 1 });
  });
  it('survives a process that is killed at any moment of it', async () => {
    database.close();
    const script = `
      import { openDatabase } from ${JSON.stringify(join(import.meta.dirname, '../../src/host/sqlite.ts'))};
      import { AuditLog, auditMigrations } from ${JSON.stringify(join(import.meta.dirname, '../../src/operations/audit.ts'))};
      const database = openDatabase(${JSON.stringify(join(directory, 'lib/state.db'))}, [auditMigrations]);
      const root = { uid: 0, user: 'root', ssh: null };
      const audit = new AuditLog(database, {
        head: ${JSON.stringify(headPath())}, archive: ${JSON.stringify(archive())}, actor: root,
        now: () => '2031-01-01T00:00:00Z', onError: (error) => { throw error; }, limits: ${JSON.stringify(limits)},
      });
      for (let first = true; ; first = false) {
        if (!first) process.stdout.write('.');
        audit.append('2030-01-01T00:00:00Z', root, 'deploy', 'v', 'done'); audit.settle();
      }`;
    let before = 0;
    for (let round = 0; round < 8; round += 1) {
      const child = spawn(process.execPath, ['--no-warnings', '--input-type=module-typescript', '-e', script], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      await once(child.stdout, 'data');
      await new Promise((resolve) => setTimeout(resolve, 40 + 17 * round));
      child.kill('SIGKILL');
      await once(child, 'exit');
      database = open();
      const proof = logOn(database).verify();
      expect(proof).toMatchObject({ verdict: 'pass', problem: null });
      expect(proof.entries).toBeGreaterThan(before);
      before = proof.entries;
      database.close();
    }
    expect(existsSync(headPath())).toBe(true);
    database = open();
  }, 60_000);
});

it('is brought up to date where somebody has removed its triggers, and is append-only again', () => {
  const path = join(directory, 'lib/older.db');
  const { module, scripts } = auditMigrations;
  const older = openDatabase(path, [{ module, scripts: scripts.slice(0, 1) }]);
  older.exec('DROP TRIGGER audit_is_append_only_1; DROP TRIGGER audit_is_append_only_2');
  older.close();
  const newer = openDatabase(path, [auditMigrations]);
  new AuditLog(newer).append('2030-01-01T00:00:00Z', root, 'deploy', 'v1', 'done');
  expect(() => newer.exec("UPDATE audit SET result = 'failed'")).toThrow('append-only');
  expect(() => newer.exec('DELETE FROM audit')).toThrow('append-only');
  newer.close();
});
