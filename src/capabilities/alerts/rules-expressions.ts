import { type MetricName, metricOf } from '../../config/metrics.ts';

/** Expressions that appliance.yaml names for what only the application knows. */
export type OwnExpressions = Readonly<Partial<Record<MetricName, string>>>;

const requests = 'appliance_http_requests_total';
const seconds = 'appliance_http_request_duration_seconds';
const failed = `${requests}{code=~"5.."}`;
const refused = `${requests}{code=~"401|403"}`;

/** Containers of services that get traffic: 1 while one runs and its healthcheck, if it has one, passes. */
const serving =
  '((appliance_container_healthy{role="app"} or appliance_container_running{role="app"}) * appliance_container_running{role="app"} and on (colour) appliance_traffic_weight > 0)';
const healthByService = `sum by (service) (${serving}) / count by (service) (${serving})`;

const cpu = (over: string) => `1 - avg(rate(node_cpu_seconds_total{mode="idle"}[${over}]))`;
const memory = '1 - max(node_memory_MemAvailable_bytes) / max(node_memory_MemTotal_bytes)';
const disk = 'max(1 - node_filesystem_avail_bytes / node_filesystem_size_bytes)';
const named = (expression: string, resource: string) =>
  `label_replace(${expression}, "resource", "${resource}", "", "")`;

/** What the edge, the kernel and the agent tell of every application. */
const builtIn: Partial<Record<MetricName, (over: string) => string>> = {
  errors: (over) => `(sum(rate(${failed}[${over}])) or vector(0)) / sum(rate(${requests}[${over}]))`,
  refusals: (over) => `(sum(rate(${refused}[${over}])) or vector(0)) / sum(rate(${requests}[${over}]))`,
  'server-errors': (over) => `sum(increase(${failed}[${over}])) or vector(0)`,
  'latency-mean': (over) => `sum(rate(${seconds}_sum[${over}])) / sum(rate(${seconds}_count[${over}]))`,
  'request-rate': (over) => `sum(rate(${requests}[${over}]))`,
  health: () => healthByService,
  cpu,
  memory: () => memory,
  disk: () => disk,
  connections: () => 'max(appliance_database_connections / appliance_database_connections_limit)',
  'secret-age': () => 'time() - min(appliance_secret_set_timestamp_seconds)',
  'backup-age': () => 'time() - max(appliance_backup_last_success_timestamp_seconds)',
  'certificate-left': () => 'min(appliance_certificate_not_after_timestamp_seconds) - time()',
  resources: (over) => `max(${named(cpu(over), 'cpu')} or ${named(memory, 'memory')} or ${named(disk, 'disk')})`,
};

/** 1 while the application answers: while each of its services has a sound container. */
export const answering = `min((${healthByService}) > bool 0)`;

/**
 * A metric of a policy in the language of Prometheus, for all that users get (not for one release).
 * @param over what it is measured over, as Prometheus writes it: `1m`
 * @param answers name of the series that `answering` is recorded under
 * @returns undefined where nobody measures it (config/unwatched.ts says what it takes)
 */
export function expressionOf(
  metric: MetricName,
  over: string,
  own: OwnExpressions,
  answers: string,
): string | undefined {
  const named = own[metric];
  if (named !== undefined) return scoped(named, '', over);
  const { shape, source } = metricOf(metric);
  const { quantile } = metricOf(metric);
  if (shape === 'percentile' && source === 'edge' && quantile !== undefined)
    return `histogram_quantile(${quantile}, sum by (le) (rate(${seconds}_bucket[${over}])))`;
  return metric === 'availability' ? `avg_over_time(${answers}[${over}])` : builtIn[metric]?.(over);
}

/**
 * An expression of appliance.yaml with its placeholders filled in.
 * @param scope matchers of labels, such as `release="v1.0"`; empty: all releases
 */
function scoped(expression: string, scope: string, over: string): string {
  return expression.replaceAll('$scope', scope).replaceAll('$over', over);
}

/** Milliseconds as Prometheus writes them: `90s`, `5m`. Whole seconds, one at the least. */
export function promDuration(ms: number): string {
  const whole = Math.max(1, Math.round(ms / 1_000));
  if (whole % 86_400 === 0) return `${whole / 86_400}d`;
  if (whole % 3_600 === 0) return `${whole / 3_600}h`;
  return whole % 60 === 0 ? `${whole / 60}m` : `${whole}s`;
}
