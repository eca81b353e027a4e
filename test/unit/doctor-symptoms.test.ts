import { describe, expect, it } from 'vitest';
import {
  type Evidence,
  type EvidenceName,
  type EvidenceTypes,
  seen,
  unseen,
} from '../../src/capabilities/doctor/evidence.ts';
import { findSymptom, symptoms } from '../../src/capabilities/doctor/index.ts';
import { logSigns } from '../../src/capabilities/doctor/log-signs.ts';
import { type Cause, type Diagnosis, diagnose } from '../../src/capabilities/doctor/symptom.ts';
import { parseCall } from '../../src/cli/parse.ts';
import { findVerb } from '../../src/cli/verb-finder.ts';

const now = Date.UTC(2026, 5, 1, 12);
const day = 86_400_000;
const all = symptoms(now);

const service = (
  name: string,
  over: Partial<EvidenceTypes['services'][number]> = {},
): EvidenceTypes['services'][number] => ({
  name,
  service: name.replace(/-\d$/, ''),
  role: 'app',
  state: 'running',
  health: 'healthy',
  exitCode: 0,
  outOfMemory: false,
  restarts: 0,
  endedAt: null,
  memoryShare: 0.3,
  ...over,
});
const postgres = service('postgres', { role: 'core' });
const backend = service('backend-1');
const model = { name: 'routing', version: '2', sha256: 'a'.repeat(64) };
const certificate: EvidenceTypes['certificates'][number] = {
  set: 'main',
  domains: ['app.example.org'],
  kind: 'acme',
  notAfter: now + 60 * day,
  serial: '01',
  servedSerial: '01',
  due: null,
  lastError: null,
  nextAttempt: null,
  unresolved: [],
};

/** An appliance on which all is well. */
const well: EvidenceTypes = {
  agent: { running: true, problem: null },
  configuration: { problem: null, hint: null },
  engine: { problem: null },
  live: { tag: 'v1.0', colour: 'blue', age: 90_000, previous: { tag: 'v0.9', state: 'warm' } },
  services: [backend, service('redis', { role: 'core' }), postgres, service('edge', { role: 'edge' })],
  edge: { answers: true, weights: { blue: 100, green: 0 } },
  routes: [{ path: '/api/', service: 'backend', status: 404, problem: null }],
  instances: [{ service: 'backend', address: '10.0.0.2:8000', status: 200, problem: null }],
  requests: { seconds: 300, total: 500, serverErrors: 0, p95: 0.08, slow: 0 },
  logs: [{ service: 'backend-1', lines: 100, signs: [] }],
  database: { service: 'postgres', problem: null, used: 5, limit: 97 },
  environment: { file: '/etc/appliance/.env', problem: null, emptied: [] },
  machine: { processors: 4, load: 0.5, memory: 16e9, memoryFree: 8e9 },
  disk: { directory: '/var/lib/appliance', total: 100e9, free: 60e9, inodesFree: 0.9, takes: [] },
  models: {
    directory: '/models',
    active: model,
    problem: null,
    age: 4_000,
    files: ['manifest.json', 'metrics.json'],
    missing: [],
    loaded: [{ name: 'backend-1', sha256: model.sha256, said: 'it has loaded 2' }],
    mayTrain: true,
  },
  training: {
    state: 'succeeded',
    detail: null,
    run: 'r1',
    trial: { status: 202, problem: null, said: '' },
    request: true,
    writable: true,
    operation: { result: 'done', error: null },
  },
  page: {
    path: '/training/',
    answer: { status: 200, problem: null },
    html: true,
    login: { status: 200, problem: null, token: true },
    allowed: 'https://app.example.org',
    domains: ['app.example.org'],
  },
  cache: { hits: 0.9, why: null },
  predictions: { spread: 0.2, drift: 0, accuracy: 0.9, why: null },
  certificates: [certificate],
  alerting: {
    receivers: 2,
    alertmanager: { address: 'http://127.0.0.1:9093', problem: null },
    prometheus: { problem: null, rules: true },
    refused: [{ channel: 'email', refused: 0, accepted: 3 }],
    silences: [],
    firing: [],
    down: [],
  },
  backups: {
    enabled: true,
    lastSuccess: now - day / 2,
    newest: { id: 'b1', state: 'verified' },
    overdueSeconds: 0,
    error: null,
    waitsFor: null,
    nextRun: '2026-06-02T02:00:00Z',
    damaged: false,
    key: true,
    repository: true,
    targets: [],
  },
  operations: { running: null, rollout: null, lastFailed: null },
  schema: { today: 2, wanted: 2 },
  security: [],
};

function evidence(
  over: { [Name in EvidenceName]?: Partial<EvidenceTypes[Name]> | null } = {},
  hidden: readonly EvidenceName[] = [],
): Evidence {
  const entries = Object.entries(well).map(([name, value]) => {
    if (hidden.some((one) => one === name)) return [name, unseen('not in this test')];
    const change: unknown = Object.entries(over).find(([key]) => key === name)?.[1];
    if (change === undefined) return [name, seen(value)];
    const whole = change === null || Array.isArray(change) ? change : { ...(value ?? {}), ...change };
    return [name, seen(whole)];
  });
  return Object.fromEntries(entries);
}

const judged = (name: string, given: Evidence): Diagnosis => diagnose(findSymptom(name, all), given);
const ids = ({ causes }: Diagnosis): string[] => causes.map(({ id }) => id);
const stoppedBackend = {
  services: [service('backend-1', { state: 'exited', exitCode: 137, endedAt: '2026-06-01T11:59:00Z' }), postgres],
};

describe('an appliance on which all is well', () => {
  it.each(all.map(({ name }) => name))('%s is ruled out', (name) => {
    expect(judged(name, evidence())).toMatchObject({ verdict: 'pass', causes: [], unknown: [] });
  });
  it.each(all.map(({ name }) => name))('%s is not ruled out by what was not seen', (name) => {
    for (const hidden of findSymptom(name, all).looks) {
      const found = judged(name, evidence({}, [hidden]));
      expect([hidden, found.verdict, found.unknown.length]).toEqual([hidden, 'inconclusive', 1]);
    }
  });
});

describe('evidence that fits', () => {
  const cases: readonly [string, Parameters<typeof evidence>[0], string, Cause['confidence']][] = [
    ['502', stoppedBackend, 'service-stopped:backend-1', 'certain'],
    ['502', { services: [service('backend-1', { state: 'missing' })] }, 'service-stopped:backend-1', 'certain'],
    ['502', { services: [service('backend-1', { health: 'unhealthy' })] }, 'service-unhealthy:backend-1', 'likely'],
    [
      '502',
      { services: [service('backend-1', { state: 'restarting', restarts: 9 })] },
      'service-stopped:backend-1',
      'certain',
    ],
    ['502', { edge: { weights: { blue: 0, green: 100 } } }, 'traffic-astray', 'certain'],
    [
      '502',
      { instances: [{ service: 'backend', address: '10.0.0.2:8000', status: null, problem: 'ECONNREFUSED' }] },
      'service-silent:backend',
      'likely',
    ],
    ['502', { routes: [{ path: '/api/', service: 'backend', status: 502, problem: null }] }, 'edge-astray', 'likely'],
    ['502', { database: { problem: 'it does not run' } }, 'database-down', 'likely'],
    ['502', { database: { used: 97 } }, 'database-connections', 'certain'],
    ['502', { environment: { problem: '.env:3: a key is missing' } }, 'environment-broken', 'likely'],
    ['502', { engine: { problem: 'connect ENOENT' } }, 'engine-down', 'certain'],
    ['engine-down', { engine: { problem: 'connect ENOENT' } }, 'engine-down', 'certain'],
    ['agent-down', { agent: { running: false } }, 'agent-down', 'certain'],
    ['agent-down', { agent: { running: false, problem: 'it says nothing' } }, 'agent-down', 'certain'],
    ['configuration', { configuration: { problem: 'line 3: unknown key' } }, 'configuration-broken', 'certain'],
    ['disk', { disk: { free: 1e9 } }, 'disk-full', 'certain'],
    ['disk', { disk: { free: 8e9 } }, 'disk-full', 'likely'],
    ['disk', { disk: { inodesFree: 0.005 } }, 'disk-full', 'certain'],
    ['disk', { disk: { free: 20e9, takes: [{ what: 'snapshots', bytes: 60e9 }] } }, 'disk-taker', 'possible'],
    ['slow', { requests: { slow: 0.3, p95: 2 } }, 'answers-slow', 'likely'],
    ['slow', { requests: { slow: 0.3 }, live: { age: 600 } }, 'release-slow', 'possible'],
    ['slow', { services: [service('backend-1', { memoryShare: 0.97 })] }, 'memory-limit:backend-1', 'likely'],
    ['slow', { machine: { load: 9 }, requests: { slow: 0.3 } }, 'machine-busy', 'likely'],
    ['slow', { machine: { memoryFree: 1e8 } }, 'machine-memory', 'likely'],
    ['slow', { cache: { hits: 0.1 }, requests: { slow: 0.3 } }, 'cache-cold', 'likely'],
    ['slow', { predictions: { spread: 0.01 } }, 'model-calibration', 'possible'],
    ['training-failed', { training: { state: 'failed', detail: 'boom' } }, 'training-run-failed', 'likely'],
    ['training-failed', { training: { writable: false } }, 'training-permissions', 'certain'],
    [
      'training-failed',
      { training: { trial: { status: 422, problem: null, said: '3 rows' } } },
      'training-rows',
      'certain',
    ],
    [
      'training-failed',
      { training: { trial: { status: 409, problem: null, said: '' } } },
      'training-running',
      'certain',
    ],
    [
      'training-failed',
      { training: { trial: { status: 503, problem: null, said: 'disk' } } },
      'training-refused',
      'likely',
    ],
    ['metrics-missing', { models: { files: ['manifest.json'] } }, 'metrics-missing', 'certain'],
    ['metrics-missing', { models: { missing: ['encoder.joblib'] } }, 'model-files-missing', 'certain'],
    ['metrics-missing', { models: { active: null, problem: 'no JSON' } }, 'model-unusable', 'certain'],
    [
      'stale-cache',
      { models: { loaded: [{ name: 'backend-1', sha256: 'b'.repeat(64), said: 'it has 1' }] } },
      'model-not-loaded',
      'certain',
    ],
    [
      'stale-cache',
      { models: { loaded: [{ name: 'backend-1', sha256: null, said: 'ECONNREFUSED' }] } },
      'model-not-loaded',
      'likely',
    ],
    [
      'stale-cache',
      { models: { age: 1, loaded: [{ name: 'backend-1', sha256: 'b'.repeat(64), said: 'it has 1' }] } },
      'model-settling',
      'possible',
    ],
    ['training-page', { page: { answer: { status: 404, problem: null } } }, 'page-absent', 'certain'],
    ['training-page', { page: { login: { status: 401, problem: null, token: false } } }, 'login-refused', 'certain'],
    ['training-page', { page: { allowed: 'https://other.example.net' } }, 'cors-origins', 'possible'],
    [
      'training-page',
      { training: { trial: { status: 403, problem: null, said: '' } } },
      'training-forbidden',
      'certain',
    ],
    ['training-page', { training: { trial: { status: 401, problem: null, said: '' } } }, 'training-token', 'certain'],
    [
      'certificate',
      { certificates: [{ ...certificate, notAfter: now - day, due: 'it has ended' }] },
      'certificate-not-renewed:main',
      'certain',
    ],
    [
      'certificate',
      { certificates: [{ ...certificate, servedSerial: '99' }] },
      'certificate-not-served:main',
      'certain',
    ],
    [
      'certificate',
      { certificates: [{ ...certificate, servedSerial: null }] },
      'certificate-no-handshake:main',
      'likely',
    ],
    [
      'certificate',
      { certificates: [{ ...certificate, kind: 'self-signed', due: 'it signs itself' }] },
      'certificate-self-signed:main',
      'likely',
    ],
    ['alert-silent', { alerting: { receivers: 0 } }, 'alerts-off', 'certain'],
    [
      'alert-silent',
      { alerting: { alertmanager: { address: 'x', problem: 'ECONNREFUSED' } } },
      'alertmanager-down',
      'certain',
    ],
    [
      'alert-silent',
      { alerting: { refused: [{ channel: 'email', refused: 4, accepted: 0 }] } },
      'notifications-refused:email',
      'certain',
    ],
    [
      'alert-silent',
      { alerting: { prometheus: { problem: 'ECONNREFUSED', rules: true } } },
      'prometheus-down',
      'certain',
    ],
    [
      'alert-silent',
      { alerting: { silences: [{ id: '12345678', matchers: 'a="b"', until: 'later' }] } },
      'alerts-silenced',
      'possible',
    ],
    ['backup-missed', { backups: { overdueSeconds: 7_200, error: 'no space' } }, 'backup-overdue', 'certain'],
    ['backup-missed', { backups: { newest: { id: 'b2', state: 'failed' } } }, 'backup-failed', 'certain'],
    ['backup-missed', { backups: { overdueSeconds: 60, waitsFor: 'a rollout' } }, 'backup-waits', 'certain'],
    ['backup-missed', { backups: { overdueSeconds: 60 }, agent: { running: false } }, 'agent-down', 'certain'],
    ['backup-missed', { backups: { key: false } }, 'backup-key-lost', 'certain'],
    ['backup-missed', { backups: { damaged: true } }, 'backup-damaged', 'certain'],
    [
      'backup-missed',
      { backups: { targets: [{ name: 's3', failures: 2, error: '403' }] } },
      'offsite-failing:s3',
      'certain',
    ],
    ['data-inconsistent', { schema: { today: 1 } }, 'schema-differs', 'certain'],
    ['data-inconsistent', { schema: { today: 3 } }, 'schema-differs', 'possible'],
    [
      'data-inconsistent',
      { operations: { lastFailed: { id: 'r', kind: 'restore', result: 'manual', error: 'x' } } },
      'restore-open',
      'certain',
    ],
    [
      'intrusion',
      { security: [{ id: 'security.tls', observed: 'TLS 1.0', time: 't' }] },
      'security-checks',
      'possible',
    ],
    [
      'intrusion',
      { alerting: { firing: [{ name: 'SecurityIncident', severity: 'critical', summary: 'x' }] } },
      'security-alert:SecurityIncident',
      'likely',
    ],
    [
      'third-party',
      {
        logs: [
          {
            service: 'backend-1',
            lines: 100,
            signs: [{ kind: 'name', count: 3, last: 'ldap: Name or service not known' }],
          },
        ],
      },
      'elsewhere-down',
      'likely',
    ],
  ];
  it.each(cases)('%s with %j is %s (%s)', (name, over, id, confidence) => {
    const found = judged(name, evidence(over));
    const cause = found.causes.find((one) => one.id === id);
    expect([ids(found).includes(id), cause?.confidence]).toEqual([true, confidence]);
    expect(cause?.evidence.length).toBeGreaterThan(0);
    expect(cause?.remedies.length).toBeGreaterThan(0);
    expect(found.verdict).toBe(found.causes[0]?.confidence === 'possible' ? 'inconclusive' : 'fail');
  });
  it('judges every symptom (S0-48, S2-27, S4-40 to S4-43)', () => {
    for (const { name } of all) expect(cases.map(([one]) => one)).toContain(name);
  });
});

describe('a judgement', () => {
  it('puts the surest cause first and quotes what users and logs say of it (S1-74)', () => {
    const logs = [
      {
        service: 'backend-1',
        lines: 100,
        signs: [{ kind: 'database' as const, count: 7, last: 'connection refused' }],
      },
    ];
    const routes = [{ path: '/api/', service: 'backend', status: 502, problem: null }];
    const found = judged('502', evidence({ ...stoppedBackend, logs, routes, machine: { load: 9 } }));
    expect(found.causes[0]?.id).toBe('service-stopped:backend-1');
    const facts = found.causes[0]?.evidence.map(({ source }) => source);
    expect(facts).toEqual(expect.arrayContaining(['services', 'logs', 'routes']));
    expect(found.causes[0]?.remedies[0]).toMatchObject({ command: 'appliance up', fix: { do: 'up' } });
  });
  it('finds what is certain although something else was not seen', () => {
    const found = judged('502', evidence(stoppedBackend, ['database', 'requests']));
    expect([found.verdict, found.unknown.length]).toEqual(['fail', 2]);
  });
  it('does not suspect the traffic of a rollout, nor a new release that is quick', () => {
    const split = { edge: { weights: { blue: 75, green: 25 } }, operations: { rollout: { to: 'v1.1', weight: 25 } } };
    expect(ids(judged('502', evidence(split)))).toEqual([]);
    expect(ids(judged('slow', evidence({ live: { age: 600 } })))).toEqual([]);
  });
  it('says what cannot occur here instead of passing it', () => {
    expect(judged('training-failed', evidence({ training: null }))).toMatchObject({
      verdict: 'inconclusive',
      absent: true,
    });
    expect(judged('502', evidence({ live: null }))).toMatchObject({
      verdict: 'inconclusive',
      observed: 'nothing is deployed yet',
    });
  });
  it('names an engine that is down although nothing else could be seen', () => {
    const rest = Object.keys(well).filter((name): name is EvidenceName => name !== 'engine' && name !== 'live');
    const found = judged('502', evidence({ engine: { problem: 'gone' } }, rest));
    expect([found.verdict, ids(found)]).toEqual(['fail', ['engine-down']]);
  });
});

/** An appliance on which everything is wrong that can be. */
const worst = evidence({
  ...stoppedBackend,
  engine: { problem: 'x' },
  agent: { running: false },
  configuration: { problem: 'x' },
  disk: { free: 1 },
  live: { age: 1 },
  requests: { slow: 1 },
  database: { used: 97 },
  environment: { problem: 'x' },
  machine: { load: 99, memoryFree: 1 },
  cache: { hits: 0 },
  predictions: { drift: 9 },
  models: { files: [], loaded: [{ name: 'b', sha256: 'c', said: '' }] },
  training: { writable: false, state: 'failed', trial: { status: 422, problem: null, said: '' } },
  page: { html: false, login: { status: 401, problem: null, token: false }, allowed: 'https://a.b' },
  certificates: [{ ...certificate, notAfter: now, due: 'x', lastError: 'x', unresolved: ['a'] }],
  alerting: { receivers: 0, silences: [{ id: '123456789', matchers: 'a', until: 'b' }], down: ['x'] },
  backups: { overdueSeconds: 1, key: false, damaged: true, targets: [{ name: 'x', failures: 1, error: null }] },
  schema: { today: 3 },
  security: [{ id: 'x', observed: 'y', time: 'z' }],
});

describe('what a symptom judges by', () => {
  it.each(all.map(({ name }) => name))('%s was asked for', (name) => {
    const symptom = findSymptom(name, all);
    for (const given of [
      evidence(),
      worst,
      evidence({ ...stoppedBackend, edge: { weights: { blue: 0, green: 100 } } }),
    ]) {
      const used = new Set<string>();
      const watched = new Proxy(given, {
        get: (target, key, receiver) => {
          used.add(String(key));
          return Reflect.get(target, key, receiver);
        },
      });
      symptom.absent?.(watched);
      symptom.judge(watched);
      expect(
        [...used].filter((one) => ![...symptom.looks, ...(symptom.aids ?? [])].some((look) => look === one)),
      ).toEqual([]);
    }
  });
});

describe('what is proposed', () => {
  it('is a command that exists, with options that it has', () => {
    const remedies = all.flatMap((symptom) => [
      ...diagnose(symptom, worst).causes.flatMap((cause) => cause.remedies),
      ...symptom.byHand,
    ]);
    const commands = [...new Set(remedies.map(({ command }) => command))].filter((command) =>
      command.startsWith('appliance '),
    );
    expect(commands.length).toBeGreaterThan(50);
    const wrong = commands.flatMap((command) => {
      const words = (command.match(/"[^"]*"|\S+/g) ?? []).slice(1).map((word) => word.replace(/^"(.*)"$/, '$1'));
      const { verb, rest } = findVerb(words);
      try {
        return verb && parseCall(verb, rest, {}) ? [] : [`${command}: no verb`];
      } catch (error) {
        return [`${command}: ${String(error)}`];
      }
    });
    expect(wrong).toEqual([]);
  });
});

describe('symptoms', () => {
  it.each([
    ['502', '502'],
    ['Bad Gateway', '502'],
    ['stale cache', 'stale-cache'],
    ['training failed', 'training-failed'],
    ['metrics.json missing', 'metrics-missing'],
    ['training page', 'training-page'],
    ['disk filling', 'disk'],
    ['alert silent', 'alert-silent'],
    ['backup missed', 'backup-missed'],
    ['engine down', 'engine-down'],
  ])('"%s" means %s', (wanted, name) => expect(findSymptom(wanted, all).name).toBe(name));
  it('that nobody knows get a near match', () => {
    expect(() => findSymptom('certficate', all)).toThrow(
      expect.objectContaining({ code: 'usage', hint: expect.stringContaining('certificate') }),
    );
  });
  it('have names and words of their own', () => {
    const words = all.flatMap(({ name, words: others }) => [name, ...others]);
    expect(new Set(words).size).toBe(words.length);
  });
});

describe('lines of a log', () => {
  it('speak of one thing each, the most telling first, without secrets', () => {
    const lines = [
      'INFO all is well',
      'ERROR psycopg.OperationalError: connection to server at "postgres" failed: Connection refused',
      'ERROR password=hunter2hunter2 was wrong',
      'OSError: [Errno 28] No space left on device',
    ];
    const signs = logSigns(lines, (text) => text.replace('hunter2hunter2', '***'));
    expect(signs.map(({ kind, count }) => [kind, count])).toEqual([
      ['database', 1],
      ['disk', 1],
      ['error', 1],
    ]);
    expect(signs[2]?.last).toBe('ERROR password=*** was wrong');
  });
  it('that are long are cut', () =>
    expect(logSigns([`ERROR ${'x'.repeat(900)}`], (text) => text)[0]?.last.length).toBe(201));
});
