import type { Alerts } from '../../../src/api/alerts.ts';
import type { Model, ModelDetail } from '../../../src/api/models.ts';
import type { AuditEntry, Rollout, Status } from '../../../src/api/schema.ts';
import { timestamp } from '../../../src/lib/clock.ts';

// What an appliance with everything in it answers, as it was recorded; times are as long ago as they were then.

const minute = 60_000;
const hour = 60 * minute;
const day = 24 * hour;
const ago = (ms: number) => timestamp(Date.now() - ms);

/** Recorded times lie half a minute off a full one, so that the seconds of a test do not show. */
const half = 30_000;

export function recordedStatus(): Pick<Status, 'models' | 'backup' | 'certificates' | 'alerts' | 'requests'> {
  return {
    requests: { seconds: 60, perSecond: 12.4, errorRatio: 0.0021, p95: 0.084 },
    models: { active: { name: 'routing-similarity', version: '2026.2', sha256: 'a1b2c3d4e5f6'.padEnd(64, '0') } },
    backup: {
      lastSuccess: ago(7 * hour + half),
      lastProvenRestore: ago(12 * day + hour),
      nextRun: ago(-(17 * hour + half)),
    },
    certificates: [
      { domains: ['appliance.example'], notAfter: ago(-41 * day), issuer: 'Example CA', daysLeft: 41 },
      { domains: ['日本.example'], notAfter: ago(-9 * day), issuer: 'Example CA', daysLeft: 9 },
    ],
    alerts: [{ id: 'f1', severity: 'warning', summary: 'p95 of the backend is 310 ms', since: ago(6 * minute + half) }],
  };
}

export function recordedRollout(): Rollout {
  return {
    operation: 'deploy-12',
    policy: 'flash',
    to: 'v1.1',
    from: 'v1.0',
    state: 'running',
    stage: 2,
    stages: 4,
    kind: 'stage',
    weight: 25,
    secondsHeld: 190,
    secondsAtLeast: 600,
    waiting: '109 more requests for the error ratio',
    verdict: 'inconclusive',
    findings: [
      {
        id: 'errors',
        verdict: 'inconclusive',
        observed: 'error ratio 0 of 190',
        expected: 'below 1 %',
        samples: 190,
        needed: 109,
        role: 'gate',
      },
      {
        id: 'p95',
        verdict: 'pass',
        observed: 'p95 84 ms',
        expected: 'at most 200 ms',
        samples: 190,
        role: 'gate',
      },
      { id: 'restarts', verdict: 'pass', observed: 'no restart', role: 'rollback' },
    ],
    shadow: null,
    history: [
      { weight: 5, kind: 'stage', secondsHeld: 305, outcome: 'passed', promotedBy: null },
      { weight: 25, kind: 'stage', secondsHeld: 190, outcome: null, promotedBy: null },
    ],
    ahead: [
      { weight: 50, kind: 'stage', secondsAtLeast: 600 },
      { weight: 100, kind: 'stage', secondsAtLeast: 600 },
    ],
  };
}

const model = (version: string, more: Partial<Model>): Model => ({
  name: 'routing-similarity',
  version,
  sha256: 'a1b2c3d4e5f6'.padEnd(64, '0'),
  state: 'registered',
  aliases: [],
  metrics: { accuracy: 0.9312, f1: 0.91 },
  promotedAt: null,
  createdAt: ago(9 * day + hour),
  actor: 'anna',
  files: 4,
  bytes: 48_300_000,
  inForce: false,
  weight: null,
  ...more,
});

export function recordedModels(): Model[] {
  return [
    model('2026.3', { aliases: ['latest'], createdAt: ago(5 * hour + half) }),
    model('2026.2', { state: 'production', aliases: ['production'], promotedAt: ago(3 * day + hour), inForce: true }),
    model('2026.1', { state: 'validated', promotedAt: ago(30 * day + hour), metrics: { accuracy: 0.92, f1: 0.9 } }),
  ];
}

export function recordedModel(label: string): ModelDetail {
  const found = recordedModels().find(({ name, version }) => `${name}@${version}` === label) ?? model(label, {});
  return {
    ...found,
    directory: `/var/lib/appliance/persistent/models/${found.name}/${found.version}`,
    source: 'added',
    features: ['length', 'width', 'material'],
    libraries: { 'scikit-learn': '1.4.2' },
    algorithm: 'nearest neighbours',
    trainedAt: ago(10 * day),
    artefacts: [{ path: 'model.joblib', sha256: 'c'.repeat(64), bytes: 48_000_000 }],
    trends: { accuracy: [0.9, 0.92, 0.9312] },
    approvals: [],
    reports: [],
    history: [],
  };
}

export function recordedAlerts(): Alerts {
  return {
    alertmanager: { address: 'http://127.0.0.1:9093', problem: null },
    onCall: { name: 'week 47', receivers: ['mail'], until: '2030-01-07T08:00:00.000Z' },
    alerts: [
      {
        id: 'f1a2b3c4d5e6',
        name: 'BackendSlow',
        severity: 'warning',
        summary: 'p95 of the backend is 310 ms, more than 200 ms for 5 minutes',
        hint: 'appliance logs backend',
        since: ago(6 * minute + half),
        state: 'firing',
        by: null,
        until: null,
        source: 'alertmanager',
        receivers: ['mail'],
        labels: { alertname: 'BackendSlow', service: 'backend' },
      },
    ],
    silences: [
      {
        id: '6f2c9d',
        matchers: 'service="redis"',
        by: 'anna',
        comment: 'disk is being replaced',
        until: '2030-01-01T13:00:00.000Z',
      },
    ],
  };
}

export function recordedAudit(): AuditEntry[] {
  const entry = (seq: number, action: string, target: string | null, result: string): AuditEntry => ({
    seq,
    time: '2030-01-01T11:58:00.000Z',
    actor: { uid: 1_000, user: 'anna', ssh: seq % 2 === 0 ? '192.0.2.7' : null },
    action,
    target,
    result,
    hash: 'ab'.repeat(32),
  });
  return [
    entry(4, 'deploy', 'v1.0', 'done'),
    entry(3, 'deploy', 'v1.0', 'failed'),
    entry(2, 'pin', 'v0.9', 'done'),
    entry(1, 'silence', 'service="redis"', 'until 2030-01-01T13:00:00.000Z'),
  ];
}
