import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Sqlite from 'better-sqlite3';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { anomalies } from '../../src/capabilities/backups/anomalies.ts';
import { copyDatabase, copyTree } from '../../src/capabilities/backups/copies.ts';
import { databasesIn } from '../../src/capabilities/backups/databases.ts';
import { KeyFile, newKey, typedKey } from '../../src/capabilities/backups/key.ts';
import {
  type BackupManifest,
  backupIdPattern,
  newBackupId,
  parseManifest,
} from '../../src/capabilities/backups/manifest.ts';
import { assertRoom, predict } from '../../src/capabilities/backups/prediction.ts';
import { recoverySheet } from '../../src/capabilities/backups/recovery-sheet.ts';
import { retention } from '../../src/capabilities/backups/retention.ts';
import {
  findSnapshot,
  marksToCopy,
  readSnapshots,
  type Snapshot,
  tagsOf,
} from '../../src/capabilities/backups/snapshots.ts';
import { resticError } from '../../src/host/restic-errors.ts';
import { ApplianceError } from '../../src/lib/errors.ts';

const day = 86_400_000;
const start = Date.parse('2026-01-01T02:00:00Z');
const policy = { within: 30 * day, daily: 7, weekly: 8, monthly: 6 };

function snapshot(night: number, more: Partial<Snapshot> = {}): Snapshot {
  const time = start + night * day;
  return {
    id: newBackupId(time, 'abcd'),
    resticId: `r${night}`,
    others: [],
    kind: 'nightly',
    time,
    proven: null,
    protected: false,
    damaged: false,
    newer: false,
    bytes: null,
    added: null,
    ...more,
  };
}
const nights = (count: number): Snapshot[] => Array.from({ length: count }, (_, night) => snapshot(night));
const reasons = (list: readonly Snapshot[], now: number) =>
  new Map(retention(list, policy, now).map((one) => [one.snapshot.id, one.reasons]));

describe('S1-47: retention', () => {
  it('keeps 30 days, then weeks and months, and says why of each', () => {
    const all = nights(200);
    const kept = retention(all, policy, start + 199 * day).filter((one) => one.reasons.length > 0);
    expect(kept.filter(({ snapshot: { time } }) => start + 199 * day - time <= 30 * day)).toHaveLength(31);
    expect(
      kept
        .map(({ snapshot: { time }, reasons: why }) => `${new Date(time).toISOString().slice(0, 10)} ${why.join(', ')}`)
        .slice(31),
    ).toEqual([
      '2026-06-14 the last of its week: 2026-W24',
      '2026-06-07 the last of its week: 2026-W23',
      '2026-05-31 the last of its week: 2026-W22, the last of its month: 2026-05',
      '2026-04-30 the last of its month: 2026-04',
      '2026-03-31 the last of its month: 2026-03',
      '2026-02-28 the last of its month: 2026-02',
    ]);
  });

  it('never empties the set when backups have stopped', () => {
    const kept = reasons(nights(40), start + 3_000 * day);
    expect([...kept.values()].filter((why) => why.length > 0).length).toBeGreaterThan(7);
  });

  it('keeps the last proven one however old it is, protected ones, and those of a newer appliance', () => {
    const list = nights(400);
    list[0] = snapshot(0, { proven: { time: start, seconds: 3 } });
    list[1] = snapshot(1, { protected: true });
    list[2] = snapshot(2, { newer: true });
    const kept = reasons(list, start + 399 * day);
    expect(list.slice(0, 4).map(({ id }) => kept.get(id))).toEqual([
      ['the last that was proven'],
      ['protected'],
      ['made by a newer appliance'],
      [],
    ]);
  });
});

describe('the alarm', () => {
  const contents = (
    rows: Record<string, number>,
    bytes = 1_000_000,
    models = 4,
  ): Pick<BackupManifest, 'components' | 'models'> => ({
    components: [{ name: 'database:db/app', path: 'x', bytes, sha256: null, rows }],
    models: Array.from({ length: models }, (_, index) => ({
      name: 'm',
      version: String(index),
      sha256: 'a',
      bytes: 1,
    })),
  });
  const usual = contents({ 'public.a': 1_000, 'public.b': 5 });
  const said = (now: typeof usual, before = [usual]) =>
    anomalies(now, before).map(({ verdict, observed }) => `${verdict} ${observed}`);

  it('is silent about what changes a little, and does not know without anything before', () => {
    expect(said(contents({ 'public.a': 900, 'public.b': 0 }, 900_000, 3))).toEqual([
      'pass nothing has collapsed since 1 snapshots before',
    ]);
    expect(anomalies(usual, [])[0]?.verdict).toBe('inconclusive');
  });

  it('S4-39: tells of dumps, tables, rows and models that collapse', () => {
    expect(said(contents({ 'public.a': 10 }, 100_000, 1))).toEqual([
      'fail the dump of database:db/app has 97.7 KiB',
      'fail database:db/app has lost public.b',
      'fail public.a of database:db/app has 10 rows',
      'fail 3 of 4 models are gone: m@1, m@2, m@3',
    ]);
    expect(said({ components: [], models: usual.models })).toEqual(['fail database:db/app is not in it any more']);
  });
});

describe('room', () => {
  it('is predicted from earlier runs, and a disk that is too small is refused early', () => {
    const mb = 1_000_000;
    expect(predict([], 100 * mb)).toMatchObject({ seconds: null, repository: 125 * mb + 67_108_864 });
    const predicted = predict([{ seconds: 20, staged: 400 * mb, added: 8 * mb }], 5_000 * mb);
    expect(predicted).toEqual({ seconds: 20, staging: 500 * mb + 67_108_864, repository: 10 * mb + 67_108_864 });
    expect(() => assertRoom(predicted, { staging: 600 * mb, repository: 100 * mb, same: false })).not.toThrow();
    const refused = () => assertRoom(predicted, { staging: 600 * mb, repository: 600 * mb, same: true });
    expect(refused).toThrow(
      expect.objectContaining({ code: 'disk_full', left: expect.stringContaining('nothing was written') }),
    );
  });
});

describe('the key', () => {
  let directory: string;
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'backup-key-'));
  });
  afterEach(() => rmSync(directory, { recursive: true, force: true }));

  it('S4-5: has 160 bits and survives being copied by hand', () => {
    const key = newKey();
    expect(key).toMatch(/^(?:[0-9A-HJKMNP-TV-Z]{4}-){7}[0-9A-HJKMNP-TV-Z]{4}$/);
    expect(typedKey(` ${key.toLowerCase().replaceAll('-', ' ').replaceAll('0', 'o').replaceAll('1', 'l')}\n`)).toBe(
      key,
    );
    expect(() => typedKey('secret')).toThrow(expect.objectContaining({ code: 'backup_key' }));
  });

  it('is made once, and never anew beside a repository that it could not open', async () => {
    const file = new KeyFile(join(directory, 'backups/key'));
    expect(await file.ensure(false)).toBe(true);
    const key = await file.read();
    expect(await file.ensure(true)).toBe(false);
    expect(await file.read()).toBe(key);
    await expect(new KeyFile(join(directory, 'other')).ensure(true)).rejects.toMatchObject({ code: 'backup_key' });
  });

  it('S4-53: the sheet names restic, the repository and no password of a target', () => {
    const offsite = [{ name: 'nas', target: 'rest:https://user:planted@nas.example/x' }];
    const sheet = recoverySheet({ name: 'shop', repository: '/var/lib/x', offsite, key: null, time: 'now' });
    expect(sheet).toContain('restic -r REPOSITORY restore latest --tag appliance:shop');
    expect(sheet).not.toContain('planted');
    expect(sheet).toContain('rest:https://***@nas.example/x');
  });
});

describe('snapshots', () => {
  const about = { name: 'shop', id: '20261121T020000Z-1f3c', kind: 'nightly', protect: true } as const;

  it('are read from what the repository says, once each, and strangers are left out', () => {
    const one = {
      id: 'aa',
      time: '2026-11-21T02:00:00Z',
      tags: tagsOf(about),
      summary: { total_bytes_processed: 9, data_added_packed: 3 },
    };
    const proven = { ...one, id: 'bb', tags: [...one.tags, 'proven:2026-11-21T02:10:00.000Z/12.5'] };
    const newer = {
      id: 'cc',
      time: '2026-11-22T02:00:00Z',
      tags: ['backup:20261122T020000Z-0000', 'kind:odd', 'format:2'],
    };
    const list = readSnapshots(
      JSON.stringify([one, proven, newer, { id: 'dd', time: '2026-11-23T02:00:00Z', tags: null }]),
    );
    expect(list.map(({ id, kind, newer: unknown }) => [id, kind, unknown])).toEqual([
      ['20261122T020000Z-0000', 'manual', true],
      ['20261121T020000Z-1f3c', 'nightly', false],
    ]);
    expect(list[1]).toMatchObject({ protected: true, bytes: 9, added: 3, resticId: 'aa', others: ['bb'] });
    expect(list[1]?.proven?.seconds).toBe(12.5);
    expect(readSnapshots(JSON.stringify([proven]))[0]?.proven).toEqual({
      time: Date.parse('2026-11-21T02:10:00Z'),
      seconds: 12.5,
    });
  });

  it('S1-48: copies are marked as their originals are, and only where they differ', () => {
    const proof = { time: start, seconds: 3 };
    const [plain, proven, both] = [
      snapshot(0),
      snapshot(1, { proven: proof }),
      snapshot(2, { proven: proof, protected: true }),
    ];
    const copies = (...list: Snapshot[]) =>
      new Map(list.map((one) => [one.id, { ...one, resticId: `c${one.resticId}` }]));
    expect(marksToCopy([plain, proven, both], copies(plain, proven, both))).toEqual([]);
    expect(
      marksToCopy(
        [plain, proven, both],
        copies({ ...plain, protected: true }, snapshot(1), snapshot(2, { others: ['x'] })),
      ),
    ).toEqual([
      { change: ['--remove', 'protected'], resticIds: ['cr0'] },
      { change: ['--add', 'proven:2026-01-01T02:00:00.000Z/3.0'], resticIds: ['cr1'] },
      { change: ['--add', 'proven:2026-01-01T02:00:00.000Z/3.0', '--add', 'protected'], resticIds: ['cr2', 'x'] },
    ]);
    expect(marksToCopy([both], new Map())).toEqual([]);
  });

  it('of which a part is lost are proven no more, and are neither the latest nor what retention counts on', () => {
    const tags = ['backup:20261121T020000Z-abcd', 'proven:2026-11-21T04:10:00.000Z/9', 'damaged'];
    const [lost] = readSnapshots(JSON.stringify([{ id: 'aa', time: '2026-11-21T02:00:00Z', tags }]));
    expect(lost).toMatchObject({ damaged: true, proven: null });
    const list = [snapshot(2, { damaged: true }), snapshot(1)];
    expect(findSnapshot(list, 'latest').resticId).toBe('r1');
    const why = retention(list, { ...policy, within: 0, daily: 0, weekly: 0, monthly: 0 }, start + 3 * day);
    expect(why.map(({ reasons }) => reasons)).toEqual([[], ['the newest']]);
  });

  it('proven twice keep the later proof', () => {
    const tags = [...tagsOf(about), 'proven:2026-11-21T02:10:00.000Z/12.5', 'proven:2026-11-28T04:10:00.000Z/9.0'];
    const [twice] = readSnapshots(JSON.stringify([{ id: 'aa', time: '2026-11-21T02:00:00Z', tags }]));
    expect(twice?.proven).toEqual({ time: Date.parse('2026-11-28T04:10:00Z'), seconds: 9 });
  });

  it('are found by id, its beginning, or latest', () => {
    const list = nights(3).reverse();
    expect(findSnapshot(list, 'latest').resticId).toBe('r2');
    expect(findSnapshot(list, '20260101').resticId).toBe('r0');
    expect(() => findSnapshot(list, '2026010')).toThrow(expect.objectContaining({ code: 'usage' }));
    expect(findSnapshot(list, ' latest ').resticId).toBe('r2');
    for (const blank of ['', ' \t'])
      expect(() => findSnapshot(list, blank), blank).toThrow(
        expect.objectContaining({
          code: 'usage',
          message: 'the name of the snapshot is empty',
          hint: expect.stringContaining('appliance backup list'),
        }),
      );
    for (const odd of ['..', '/', '../../etc', '*', 'ünïcode☃'])
      expect(() => findSnapshot(list, odd), odd).toThrow(expect.objectContaining({ code: 'backup_not_found' }));
    expect(() => findSnapshot(list, '2027')).toThrow(expect.objectContaining({ code: 'backup_not_found' }));
    expect(() => findSnapshot([], 'latest')).toThrow(
      expect.objectContaining({ hint: expect.stringContaining('backup now') }),
    );
    expect(newBackupId(start, 'abcd')).toMatch(backupIdPattern);
  });

  it('of a newer appliance are refused with the version that is needed', () => {
    const newer = JSON.stringify({ format: 2, appliance: { name: 'shop', version: '9.1.0' } });
    expect(() => parseManifest(newer)).toThrow(
      expect.objectContaining({ code: 'backup_newer', hint: expect.stringContaining('9.1.0') }),
    );
    expect(() => parseManifest('{"format":1}')).toThrow(expect.objectContaining({ code: 'backup_damaged' }));
  });
});

describe('databases', () => {
  const candidate = { container: 'c', running: true, labels: {}, environment: {} };

  it('are PostgreSQL by its variables, others by labels or appliance.yaml; a dump without a way back is refused', () => {
    const environment = { POSTGRES_USER: 'app', POSTGRES_PASSWORD: 'x', PGDATA: '/data' };
    const labels = {
      'appliance.backup.dump': '["mongodump","--archive"]',
      'appliance.backup.restore': 'mongorestore --archive',
    };
    const found = databasesIn(
      [
        { ...candidate, service: 'pg', environment },
        { ...candidate, service: 'mongo', labels },
        { ...candidate, service: 'redis' },
      ],
      {},
    );
    expect(found).toMatchObject([
      { service: 'pg', kind: 'postgres', user: 'app', database: 'app' },
      {
        service: 'mongo',
        kind: 'commands',
        commands: { dump: ['mongodump', '--archive'], restore: ['mongorestore', '--archive'] },
      },
    ]);
    const half = { ...candidate, service: 'mongo', labels: { 'appliance.backup.dump': 'mongodump' } };
    expect(() => databasesIn([half], {})).toThrow(expect.objectContaining({ code: 'config_invalid' }));
  });
});

describe('copies', () => {
  let directory: string;
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'backup-copy-'));
  });
  afterEach(() => rmSync(directory, { recursive: true, force: true }));

  it('of a database that is being written hold what stands in its log', async () => {
    const path = join(directory, 'live.db');
    const live = new Sqlite(path);
    live.pragma('journal_mode = WAL');
    live.pragma('wal_autocheckpoint = 0');
    live.exec('CREATE TABLE t (n INTEGER)');
    const insert = live.prepare('INSERT INTO t VALUES (?)');
    for (let n = 0; n < 2_000; n += 1) insert.run(n);
    const copied = await copyDatabase(path, join(directory, 'out/copy.db'));
    live.close();
    const copy = new Sqlite(join(directory, 'out/copy.db'), { readonly: true });
    expect(copy.prepare('SELECT count(*) FROM t').pluck().get()).toBe(2_000);
    copy.close();
    expect(copied?.sha256).toMatch(/^[0-9a-f]{64}$/);
    expect(await copyDatabase(join(directory, 'none.db'), join(directory, 'out/none.db'))).toBeUndefined();
  });

  it('of a damaged database are refused, and say so', async () => {
    writeFileSync(join(directory, 'bad.db'), 'not a database'.repeat(100));
    await expect(copyDatabase(join(directory, 'bad.db'), join(directory, 'copy.db'))).rejects.toMatchObject({
      code: 'state_corrupt',
    });
  });

  it('S1-22: of files keep the mode of secrets', async () => {
    writeFileSync(join(directory, 'app.env'), 'A=b\n', { mode: 0o600 });
    expect(await copyTree(join(directory, 'app.env'), join(directory, 'copy/app.env'))).toMatchObject({ bytes: 4 });
    expect(await copyTree(join(directory, 'none'), join(directory, 'copy/none'))).toBeUndefined();
  });
});

describe('what restic says', () => {
  const failure = { outOfMemory: false, target: 'local', what: 'store the snapshot' };
  it.each([
    [10, '', 'backup_not_found'],
    [11, 'unable to create lock in backend', 'backup_locked'],
    [12, 'wrong password', 'backup_key'],
    [1, 'write /repository/data/x: no space left on device', 'disk_full'],
    [1, 'open /repository/locks/x: read-only file system', 'backup_target'],
    [1, 'Fatal: load(<data/12ab>): invalid data returned', 'backup_damaged'],
    [1, 'Get "https://s3.example": dial tcp: lookup s3.example: no such host', 'backup_target'],
    [137, '', 'backup_failed'],
    [3, 'open /models/x: permission denied', 'backup_failed'],
    [
      3,
      '{"message":"/: tree aace is not known; the repository could be damaged, run `repair index`"}',
      'backup_damaged',
    ],
  ])('exit %i %s becomes %s, with what to do', (exitCode, stderr, code) => {
    const error = resticError({ ...failure, exitCode, stderr });
    expect(error).toBeInstanceOf(ApplianceError);
    expect(error).toMatchObject({ code, hint: expect.stringMatching(/./), left: expect.stringMatching(/./) });
  });

  it.each([
    'Fatal: unable to open config file: server response unexpected: 401 Unauthorized (401)\nIs there a repository at the following location?\nrest:http://nas:8000/x',
    'subprocess ssh: Host key verification failed.\nFatal: unable to open repository at sftp:away:x: EOF',
    'subprocess ssh: backup@nas: Permission denied (publickey).\nFatal: unable to open repository: EOF',
    'Fatal: unable to open config file: Stat: Access Denied. <Code>AccessDenied</Code>\nIs there a repository at the following location?\ns3:https://s3.example/x',
  ])('of a target that refuses is told with the reason: %s', (stderr) => {
    const { code, message, hint } = resticError({ ...failure, target: 'away', exitCode: 1, stderr });
    expect(code).toBe('backup_target');
    expect(message).toContain('the target away refuses this host');
    expect(message).toMatch(/401|Host key|publickey|AccessDenied/);
    expect(message).not.toContain('Is there a repository');
    expect(hint).toContain('credentials');
  });

  it.each([
    'ssh: connect to host nas port 22: Connection refused\r\nFatal: unable to open repository at sftp:nas:x: unable to start the sftp session, error: error receiving version packet from server: server unexpectedly closed connection: unexpected EOF',
    'rclone: 2026/11/22 12:48:00 Failed to create file system for "dav:x": read metadata failed: Propfind "http://nas/x": dial tcp 192.0.2.1:80: connect: connection refused\nFatal: unable to open repository at rclone:dav:x: error talking HTTP to rclone: exit status 1',
  ])('of a target whose server is down is no word about the repository: %s', (stderr) => {
    const { code, message } = resticError({ ...failure, target: 'away', exitCode: 1, stderr });
    expect(code).toBe('backup_target');
    expect(message).toMatch(/^the target away does not answer: .*connection refused/i);
  });
});
