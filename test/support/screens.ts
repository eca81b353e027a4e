import type { ServiceStatus } from '../../src/api/schema.ts';
import { paletteVerbs } from '../../src/cli/palette-verbs.ts';
import { KeyTable } from '../../src/tui/key-table.ts';
import { type Glyphs, glyphsFor, type Line } from '../../src/tui/line.ts';
import { LogFilter } from '../../src/tui/logs/filter.ts';
import { frameLines } from '../../src/tui/picture.ts';
import { screens } from '../../src/tui/screens/table.ts';
import { noRequests, withReadings, withRequests } from '../../src/tui/series.ts';
import { initialState, type LogEntry, type State } from '../../src/tui/state.ts';
import {
  recordedAlerts,
  recordedAudit,
  recordedModels,
  recordedRollout,
  recordedStatus,
} from '../e2e/stage/records.ts';
import { recordedBackups, recordedCertificates, recordedChecks, recordedJobs } from '../e2e/stage/records-care.ts';

/** The time at which recorded states are looked at. */
export const lookedAt = Date.parse('2030-01-01T12:00:00Z');

export const utf8 = glyphsFor({ LANG: 'C.UTF-8' });
export const ascii = glyphsFor({});
export const keys = new KeyTable(screens);
export const verbs = paletteVerbs();

const textOf = (lines: readonly Line[]) =>
  lines
    .map((line) =>
      line
        .map((segment) => segment.text)
        .join('')
        .trimEnd(),
    )
    .join('\n');

/** All of the screen as a text. */
export function picture(state: State, width: number, height: number, glyphs: Glyphs = utf8): string {
  return textOf(frameOf(state, width, height, glyphs));
}

export function frameOf(state: State, width: number, height: number, glyphs: Glyphs = utf8): readonly Line[] {
  return frameLines(state, { width, height, glyphs, filter: new LogFilter() }, keys, verbs);
}

const ago = (minutes: number) => new Date(lookedAt - minutes * 60_000).toISOString();

export function service(name: string, index: number, more: Partial<ServiceStatus> = {}): ServiceStatus {
  return {
    name,
    project: 'routing-ml-blue',
    colour: 'blue',
    state: 'running',
    health: 'healthy',
    image: `routing-ml/${name}:v1.0`,
    imageId: `sha256:${'1'.repeat(64)}`,
    cpuPercent: 12.5 * (index + 1),
    memoryBytes: (50 + 40 * index) * 2 ** 20,
    restarts: index % 2,
    since: ago(130),
    ...more,
  };
}

export function logEntry(seq: number, text: string, more: Partial<LogEntry> = {}): LogEntry {
  const service = more.service ?? `backend-${(seq % 2) + 1}`;
  return { seq, service, label: `${service} blue`, error: false, time: ago(0), text, ...more };
}

const lines = [
  'INFO GET /predict 200 in 41 ms',
  '{"level":"info","msg":"model loaded","version":"2026.2","took_ms":812}',
  'WARN queue is 80 % full',
  'ERROR upstream timed out after 5 s',
  'INFO GET /health 200 in 1 ms',
];

/** An appliance with everything in it, as its screens know it. Call it while the clock of the test stands at `lookedAt`. */
export function recordedState(patch: Partial<State> = {}): State {
  const services = [
    service('backend-1', 0),
    service('backend-2', 1),
    service('frontend-予測', 2),
    service('edge', 3, { project: 'routing-ml-core', colour: null }),
    service('postgres', 4, { project: 'routing-ml-core', colour: null }),
    service('redis', 5, {
      project: 'routing-ml-core',
      colour: null,
      state: 'exited',
      health: null,
      cpuPercent: null,
      memoryBytes: null,
    }),
  ];
  let series: State['series'] = new Map();
  let requests = noRequests;
  for (let reading = 0; reading < 12; reading += 1) {
    const now = lookedAt - (12 - reading) * 5_000;
    const moved = services.map((one) => ({ ...one, cpuPercent: (one.cpuPercent ?? 0) * (1 + Math.sin(reading)) }));
    series = withReadings(series, moved, now);
    const load = 1 + Math.sin(reading) / 2;
    requests = withRequests(
      requests,
      { seconds: 60, perSecond: 12 * load, errorRatio: reading > 8 ? 0.002 : 0, p95: 0.08 * load },
      now,
    );
  }
  const image = (digit: string) => [
    { service: 'backend', ref: 'routing-ml/backend', digest: `sha256:${digit.repeat(64)}` },
  ];
  const release = (tag: string, state: 'live' | 'warm' | 'kept' | 'gone', minutes: number) => ({
    id: tag,
    tag,
    commit: '0123456789abcdef0123456789abcdef01234567',
    state,
    colour: state === 'live' ? ('blue' as const) : state === 'warm' ? ('green' as const) : null,
    deployedAt: ago(minutes),
    actor: 'anna',
    images: image('1'),
    schema: 2,
    verdict: 'pass' as const,
    pinned: tag === 'v0.8',
  });
  const answered = <Data>(data: Data) => ({ data, problem: undefined });
  return {
    ...initialState(lookedAt),
    link: { kind: 'up', access: 'operator' },
    status: {
      name: 'routing-ml',
      version: '0.0.1',
      release: { tag: 'v1.0', colour: 'blue', since: ago(134) },
      warm: { tag: 'v0.9', colour: 'green' },
      traffic: { blue: 75, green: 25 },
      services,
      operation: null,
      ...recordedStatus(),
      rollout: recordedRollout(),
      verdict: 'fail',
      edge: { http: 'http://192.0.2.10', https: 'https://192.0.2.10', reachable: true },
      agent: { running: true, pid: 812, since: ago(5_000) },
      findings: [
        {
          id: 'service-redis',
          verdict: 'fail',
          observed: 'redis has exited with status 137',
          expected: 'running',
          hint: 'appliance logs redis',
        },
      ],
    },
    history: [
      {
        operation: 'deploy-11',
        kind: 'deploy',
        from: 'v0.9',
        to: 'v1.0',
        result: 'done',
        startedAt: ago(135),
        actor: 'anna',
        seconds: 34,
        shiftSeconds: 29.4,
        steps: [],
        verdicts: [],
      },
    ],
    documents: {
      releases: answered([
        release('v1.0', 'live', 134),
        release('v0.9', 'warm', 5_000),
        release('v0.8', 'kept', 50_000),
        release('v0.7', 'gone', 90_000),
      ]),
      models: answered(recordedModels()),
      alerts: answered(recordedAlerts()),
      backups: answered({ snapshots: recordedBackups(), jobs: recordedJobs() }),
      certificates: answered(recordedCertificates()),
      checks: answered(recordedChecks()),
      audit: answered(recordedAudit()),
    },
    series,
    requests,
    logs: Array.from({ length: 60 }, (_, index) =>
      logEntry(index + 1, lines[index % lines.length] ?? '', { error: index % 7 === 0 }),
    ),
    ...patch,
  };
}
