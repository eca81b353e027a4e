import type { Backup, BackupDetail } from '../../../src/api/backups.ts';
import type { Certificate } from '../../../src/api/certificates.ts';
import type { CheckSeen } from '../../../src/api/checks.ts';
import type { JobView } from '../../../src/api/schedule.ts';
import { timestamp } from '../../../src/lib/clock.ts';

// Backups, certificates and checks of an appliance with everything in it, as they were recorded.

const hour = 3_600_000;
const day = 24 * hour;
/** Recorded times lie half a minute off a full one, so that the seconds of a test do not show. */
const ago = (ms: number) => timestamp(Date.now() - ms - 30_000);

const snapshot = (id: string, age: number, more: Partial<Backup> = {}): Backup => ({
  id,
  time: ago(age),
  kind: 'nightly',
  components: [
    { name: 'postgres/app', bytes: 184_000_000, sha256: 'b'.repeat(64) },
    { name: 'models', bytes: 48_300_000, sha256: null },
    { name: 'config', bytes: 12_400, sha256: null },
  ],
  proven: null,
  protected: false,
  bytes: 232_312_400,
  added: 9_120_000,
  kept: ['daily'],
  problem: null,
  ...more,
});

export function recordedBackups(): Backup[] {
  return [
    snapshot('20300101T050000Z-1f3c', 7 * hour, { kept: ['last', 'daily', 'weekly'] }),
    snapshot('20291231T181000Z-77b0', 18 * hour, { kind: 'pre-deploy', kept: ['release v1.0'], added: 310_000 }),
    snapshot('20291220T050000Z-0c4e', 12 * day + 7 * hour, {
      proven: { time: ago(12 * day + hour), seconds: 41.2 },
      protected: true,
      kept: ['protected', 'daily'],
    }),
    snapshot('20291124T050000Z-e912', 38 * day, { kept: [] }),
    snapshot('20291101T050000Z-5d21', 61 * day, {
      kept: ['monthly'],
      problem: 'it was made by a newer appliance',
      components: [],
      bytes: null,
      added: null,
    }),
  ];
}

export function recordedBackup(id: string): BackupDetail {
  const found = recordedBackups().find((one) => one.id === id) ?? snapshot(id, hour);
  const drill = {
    time: ago(12 * day + hour),
    depth: 'usual',
    verdict: 'pass',
    seconds: 41.2,
    ageSeconds: 21_600,
    findings: [{ id: 'drill-rows', verdict: 'pass', observed: '12,480 rows in 9 tables, as it was made' }],
    untested: ['what lies on other hosts'],
  } as const;
  return {
    ...found,
    release: { tag: 'v1.0', id: 'v1.0' },
    components: found.components.map((part) => ({
      ...part,
      path: `/snapshot/${part.name}`,
      rows: part.name.startsWith('postgres') ? { orders: 12_000, users: 480 } : null,
      serverVersion: null,
    })),
    models: [],
    findings: [],
    drills: found.proven ? [{ ...drill, findings: [...drill.findings], untested: [...drill.untested] }] : [],
  };
}

export function recordedJobs(): JobView[] {
  const job = (name: string, title: string, schedule: string, next: number, more: Partial<JobView>): JobView => ({
    name,
    title,
    schedule,
    zone: 'Europe/Berlin',
    enabled: true,
    state: 'idle',
    waitsFor: null,
    last: null,
    lastSuccess: null,
    nextRun: ago(-next - 60_000),
    overdueSeconds: 0,
    ...more,
  });
  const last = (age: number): JobView['last'] => ({
    slot: '2030-01-01',
    startedAt: ago(age),
    endedAt: ago(age),
    result: 'done',
    operation: 'nightly-9',
    error: null,
  });
  return [
    job('backup', 'back everything up', 'daily at 06:00', 17 * hour, { last: last(7 * hour) }),
    job('drill', 'restore the newest backup in depth', 'every sunday at 07:00', 3 * day, {}),
  ];
}

export function recordedCertificates(): Certificate[] {
  const certificate = (set: string, domains: string[], days: number, more: Partial<Certificate>): Certificate => ({
    set,
    domains,
    kind: 'acme',
    issuer: 'Example CA',
    serial: '0A1B2C',
    notBefore: '2029-11-13T00:00:00.000Z',
    notAfter: '2030-02-11T00:00:00.000Z',
    daysLeft: days,
    servedSerial: '0A1B2C',
    renewAfter: '2030-01-12T09:31:00.000Z',
    due: null,
    lastAttempt: null,
    lastError: null,
    nextAttempt: null,
    ...more,
  });
  return [
    certificate('main', ['appliance.example', 'www.appliance.example'], 41, {}),
    certificate('asia', ['日本.example'], 9, {
      notAfter: '2030-01-10T00:00:00.000Z',
      renewAfter: '2029-12-11T02:10:00.000Z',
      due: 'it ends in 9 days',
      lastAttempt: ago(6 * hour),
      lastError: 'the name 日本.example does not lead here: the issuer was answered 404',
      nextAttempt: '2030-01-01T18:00:00.000Z',
    }),
    certificate('intern', ['intern.example'], 300, { kind: 'imported', renewAfter: null, servedSerial: '77FF' }),
  ];
}

export function recordedChecks(): CheckSeen[] {
  const check = (group: CheckSeen['group'], name: string, about: string, more: Partial<CheckSeen>): CheckSeen => ({
    id: `${group}.${name}`,
    group,
    requirement: '',
    about,
    verdict: 'pass',
    observed: 'as it should be',
    expected: 'as it should be',
    seconds: 0.2,
    time: ago(2 * hour),
    ...more,
  });
  return [
    check('preflight', 'disk', 'free space', {
      observed: '41.2 GiB free',
      expected: '≥ 20.0 GiB',
      requirement: 'S0-5',
    }),
    check('preflight', 'clock', 'the clock', { observed: '3 ms off', expected: 'less than 1 s off' }),
    check('config', 'mode', 'mode of the environment file', {
      verdict: 'fail',
      observed: '0644: everybody may read it',
      expected: '0600 or less',
      hint: 'chmod 600 .env',
      requirement: 'S1-12',
    }),
    check('smoke', 'routing-ml', 'sequence routing-ml', {
      observed: '14 requests as expected',
      expected: 'all of them',
    }),
    check('load', 'p95', 'p95 under the load of the policy', {
      verdict: 'inconclusive',
      observed: 'p95 84 ms of 190 requests',
      expected: '≤ 200 ms',
      samples: 190,
      needed: 109,
      hint: 'let it run longer',
    }),
    check('security', 'headers', 'headers of the edge', { observed: 'all 6 are there', expected: 'all 6' }),
  ];
}
