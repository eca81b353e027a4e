import { expressionOf, type OwnExpressions } from '../../src/capabilities/alerts/rules-expressions.ts';
import { type MetricName, metricNames, metricOf } from '../../src/config/metrics.ts';
import type { PolicyAlert } from '../../src/config/policy.ts';
import { type AlertCase, type Series, step } from './promtool.ts';

/** Series by which tests stand in for what only an application knows. */
export const testExpressions: OwnExpressions = Object.fromEntries(
  metricNames
    .filter((name) => expressionOf(name, '1m', {}, 'answers') === undefined)
    .map((name) => [name, seriesName(name)]),
);

function seriesName(metric: MetricName): string {
  return `test_${metric.replaceAll('-', '_')}`;
}

const defaultOver = 60;
const day = 86_400;

/** Series in which an alert of a policy is first quiet, then fires, then resolves, and when each must be seen. */
export function policyCase(alert: PolicyAlert): AlertCase {
  const over = alert.over === undefined ? defaultOver : alert.over / 1_000;
  const held = alert.for / 1_000;
  const quiet = up(alert.against === undefined ? Math.max(over, 60) + 60 : day + 2 * over);
  const loud = up(over + held + 60);
  const phases = [quiet, loud, up(over + 120)];
  const [good, bad] = examples(alert);
  const early = held > 2 * step ? [{ at: quiet + up(held - 2 * step), fires: false }] : [];
  return {
    alert: alert.name,
    phases,
    series: seriesFor(alert, [good, bad, good], over),
    expect: [
      { at: quiet - step, fires: false },
      ...early,
      { at: quiet + loud - step, fires: true },
      { at: quiet + loud + (phases[2] ?? 0) - step, fires: false },
    ],
  };
}

function up(seconds: number): number {
  return Math.ceil(seconds / step) * step;
}

/** A value that an alert must leave alone, and one that it must not. */
function examples({ above, below, atLeast, atMost, between, against, metric }: PolicyAlert): [number, number] {
  // Relative to the day before: a change of nothing, and one twice as large as the limit.
  if (against !== undefined) return [100, 100 * (1 + 2 * (above ?? below ?? atLeast ?? atMost ?? 0))];
  const [, most] = metricOf(metric).range;
  if (between) return [between[0] - (between[1] - between[0]), (between[0] + between[1]) / 2];
  const low = below ?? atMost;
  if (low !== undefined) return [Math.min(most, (low || 1) * 2), low / 2];
  const high = above ?? atLeast ?? 0;
  return [high / 2, Math.min(most, high === 0 ? 5 : high * 1.5)];
}

/** What Prometheus would have read if a metric had the value in each phase. */
function seriesFor({ metric, ...alert }: PolicyAlert, values: readonly number[], over: number): Series[] {
  const counter = (name: string, grows: (value: number) => number): Series => ({
    name,
    kind: 'counter',
    values: values.map(grows),
  });
  const gauge = (name: string, is: (value: number) => number): Series => ({
    name,
    kind: 'gauge',
    values: values.map(is),
  });
  const requests = (code: number, grows: (value: number) => number) =>
    counter(`appliance_http_requests_total{release="v1",code="${code}"}`, grows);
  const idle = (busy: (value: number) => number) =>
    counter('node_cpu_seconds_total{cpu="0",mode="idle"}', (value) => step * (1 - busy(value)));
  const memory = (used: (value: number) => number) => [
    gauge('node_memory_MemTotal_bytes', () => 1_000),
    gauge('node_memory_MemAvailable_bytes', (value) => 1_000 * (1 - used(value))),
  ];
  const disk = (used: (value: number) => number) => [
    gauge('node_filesystem_size_bytes{filesystem="state"}', () => 1_000),
    gauge('node_filesystem_avail_bytes{filesystem="state"}', (value) => 1_000 * (1 - used(value))),
  ];
  const { shape, source } = metricOf(metric);
  if (source === 'edge' && (shape === 'percentile' || shape === 'mean')) {
    const edges = latencyEdges(alert, values);
    const name = 'appliance_http_request_duration_seconds';
    return [
      ...[...edges.map(String), '+Inf'].map((edge) =>
        counter(`${name}_bucket{release="v1",le="${edge}"}`, (value) =>
          Number(edge) >= value || edge === '+Inf' ? 100 : 0,
        ),
      ),
      counter(`${name}_sum{release="v1"}`, (value) => 100 * value),
      counter(`${name}_count{release="v1"}`, () => 100),
    ];
  }
  const containers = (metricName: string) => [
    gauge('appliance_traffic_weight{colour="blue"}', () => 100),
    gauge('appliance_traffic_weight{colour="green"}', () => 0),
    ...[1, 2].flatMap((replica) => [
      gauge(container(metricName, replica), (value) => (value >= 0.75 ? 1 : 0)),
      // What has no traffic may be as it likes.
      gauge(container(metricName, replica).replace('blue', 'green'), () => 0),
    ]),
  ];
  switch (metric) {
    case 'errors':
      return [requests(200, (value) => 1_000 * (1 - value)), requests(500, (value) => 1_000 * value)];
    case 'server-errors':
      return [requests(200, () => 1_000), requests(500, (value) => (value * step) / over)];
    case 'request-rate':
      return [requests(200, (value) => value * step)];
    case 'health':
    case 'availability':
      return containers('running');
    case 'refusals':
      return [requests(200, (value) => 1_000 * (1 - value)), requests(401, (value) => 1_000 * value)];
    case 'connections':
      return [
        gauge('appliance_database_connections{service="postgres"}', (value) => 100 * value),
        gauge('appliance_database_connections_limit{service="postgres"}', () => 100),
      ];
    // Their clock begins at 1970: an age and a time that is left are told from there.
    case 'secret-age':
      return [gauge('appliance_secret_set_timestamp_seconds{secret="A"}', (value) => -value)];
    case 'backup-age':
      return [gauge('appliance_backup_last_success_timestamp_seconds{component="models"}', (value) => -value)];
    case 'certificate-left':
      return [gauge('appliance_certificate_not_after_timestamp_seconds{domain="a"}', (value) => value)];
    case 'cpu':
      return [idle((value) => value)];
    case 'memory':
      return memory((value) => value);
    case 'disk':
      return disk((value) => value);
    case 'resources':
      return [idle((value) => value), ...memory(() => 0.1), ...disk(() => 0.1)];
    default:
      return [gauge(seriesName(metric), (value) => value)];
  }
}

function container(metric: string, replica: number): string {
  return `appliance_container_${metric}{container="backend-${replica}",service="backend",colour="blue",role="app",release="v1"}`;
}

/** An edge at the threshold, as in the running histogram, and one beyond every example. */
function latencyEdges(
  { above, atLeast, below, atMost }: Omit<PolicyAlert, 'metric'>,
  values: readonly number[],
): number[] {
  const threshold = above ?? atLeast ?? below ?? atMost ?? 1;
  return [...new Set([threshold / 4, threshold, Math.max(...values, threshold) * 2])].sort((a, b) => a - b);
}
