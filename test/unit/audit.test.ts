import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Database, openDatabase } from '../../src/host/sqlite.ts';
import { AuditLog, auditMigrations } from '../../src/operations/audit.ts';

describe('audit log', () => {
  let database: Database;
  let audit: AuditLog;
  beforeEach(() => {
    database = openDatabase(':memory:', [auditMigrations]);
    audit = new AuditLog(database);
    for (const target of ['v1', 'v2', 'v3'])
      audit.append(`2030-01-0${target[1]}T00:00:00Z`, { uid: 0, user: 'root', ssh: null }, 'deploy', target, 'done');
  });
  afterEach(() => database.close());

  /** What somebody with the file in hands could do. */
  const tamper = (sql: string) => {
    database.exec('DROP TRIGGER audit_is_append_only_1; DROP TRIGGER audit_is_append_only_2;');
    database.exec(sql);
  };

  it('is proven while nobody touched it', () => {
    expect(audit.verify()).toEqual({ verdict: 'pass', entries: 3, brokenAt: null });
  });
  it('is no proof while it is empty', () => {
    expect(new AuditLog(openDatabase(':memory:', [auditMigrations])).verify().verdict).toBe('inconclusive');
  });
  it('cannot be changed by the program itself', () => {
    expect(() => database.exec("UPDATE audit SET target = 'x'")).toThrow(/append-only/);
    expect(() => database.exec('DELETE FROM audit')).toThrow(/append-only/);
  });
  it.each([
    ['an edited row', "UPDATE audit SET target = 'v9' WHERE seq = 2", 2],
    ['an edited actor', `UPDATE audit SET actor = replace(actor, 'root', 'anna') WHERE seq = 1`, 1],
    ['a removed row', 'DELETE FROM audit WHERE seq = 2', 3],
    ['a removed row with renumbering', 'DELETE FROM audit WHERE seq = 2; UPDATE audit SET seq = 2 WHERE seq = 3', 2],
    [
      'two rows in another order',
      'UPDATE audit SET seq = 9 WHERE seq = 1; UPDATE audit SET seq = 1 WHERE seq = 2; UPDATE audit SET seq = 2 WHERE seq = 9',
      1,
    ],
  ])('finds %s', (_, sql, brokenAt) => {
    tamper(sql);
    expect(audit.verify()).toMatchObject({ verdict: 'fail', brokenAt });
  });
  it('shows the newest first, from a time on', () => {
    expect(audit.entries(undefined, 2).map(({ target }) => target)).toEqual(['v3', 'v2']);
    expect(audit.entries('2030-01-03T00:00:00Z', 10).map(({ target }) => target)).toEqual(['v3']);
  });
});
