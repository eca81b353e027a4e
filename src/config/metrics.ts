/**
 * What policies may speak of. Each metric is measured for one release unless it says otherwise; docs/guide/policies.md lists
 * them with where each comes from.
 */

/** Who measures: the edge's access log, Prometheus, the logs of containers, or the containers' health. */
export type MetricSource = 'edge' | 'prometheus' | 'logs' | 'health' | 'agent';

/** What a value is, which decides how a verdict about it is reached. */
type MetricShape = 'ratio' | 'mean' | 'percentile' | 'rate' | 'count' | 'gauge';

interface MetricDefinition {
  readonly source: MetricSource;
  readonly shape: MetricShape;
  readonly unit: 'share' | 'seconds' | 'perSecond' | 'count' | 'plain';
  /** The values that can occur at all. */
  readonly range: readonly [number, number];
  /** Of a percentile: 0.95 for p95. */
  readonly quantile?: number;
  readonly about: string;
}

const unbounded = Number.POSITIVE_INFINITY;
const share = { shape: 'gauge', unit: 'share', range: [0, 1] } as const;
const seconds = { source: 'edge', unit: 'seconds', range: [0, unbounded] } as const;
const events = { shape: 'count', unit: 'count', range: [0, unbounded] } as const;

const metrics = {
  errors: { ...share, source: 'edge', shape: 'ratio', about: 'requests answered with 5xx, as a share of all' },
  'server-errors': { ...events, source: 'edge', about: 'requests answered with 5xx' },
  refusals: { ...share, source: 'edge', shape: 'ratio', about: 'requests answered with 401 or 403, as a share of all' },
  'latency-mean': { ...seconds, shape: 'mean', about: 'mean time to answer' },
  'latency-p50': { ...seconds, shape: 'percentile', quantile: 0.5, about: 'median time to answer' },
  'latency-p95': { ...seconds, shape: 'percentile', quantile: 0.95, about: 'time within which 95 % are answered' },
  'latency-p99': { ...seconds, shape: 'percentile', quantile: 0.99, about: 'time within which 99 % are answered' },
  'request-rate': {
    source: 'edge',
    shape: 'rate',
    unit: 'perSecond',
    range: [0, unbounded],
    about: 'requests a second',
  },
  health: { ...share, source: 'health', about: 'containers that are healthy, as a share of all of the release' },
  availability: { ...share, source: 'prometheus', about: 'share of the time in which the application answered' },
  'log-errors': { ...events, source: 'logs', about: 'lines of level ERROR or worse in the logs of app services' },
  'log-critical': { ...events, source: 'logs', about: 'lines of level CRITICAL or FATAL in the logs of app services' },
  'database-failures': {
    ...events,
    source: 'logs',
    about: 'failed connections to a database, as app services log them',
  },
  'data-corruption': { ...events, source: 'logs', about: 'damage that a database or application reports in its log' },
  accuracy: { ...share, source: 'prometheus', about: 'accuracy of the loaded model' },
  'prediction-spread': {
    source: 'prometheus',
    shape: 'gauge',
    unit: 'plain',
    range: [0, unbounded],
    about: 'standard deviation of the last predictions',
  },
  drift: {
    source: 'prometheus',
    shape: 'gauge',
    unit: 'plain',
    range: [0, unbounded],
    about: 'shift of the inputs since training, in standard deviations',
  },
  'cache-hits': { ...share, source: 'prometheus', about: 'look-ups in the cache that hit' },
  business: {
    source: 'prometheus',
    shape: 'gauge',
    unit: 'plain',
    range: [0, unbounded],
    about: 'the business metric that appliance.yaml names',
  },
  revenue: { source: 'prometheus', shape: 'gauge', unit: 'plain', range: [0, unbounded], about: 'revenue' },
  'training-failures': { ...events, source: 'prometheus', about: 'training runs that failed' },
  queue: { source: 'prometheus', shape: 'gauge', unit: 'count', range: [0, unbounded], about: 'requests that wait' },
  cpu: { ...share, source: 'prometheus', about: 'use of the CPUs of the host' },
  memory: { ...share, source: 'prometheus', about: 'use of the memory of the host' },
  disk: { ...share, source: 'prometheus', about: 'use of the fullest disk of the host' },
  resources: { ...share, source: 'prometheus', about: 'the highest of cpu, memory and disk' },
  connections: { ...share, source: 'prometheus', about: 'use of the connections that the database allows' },
  'secret-age': { source: 'agent', shape: 'gauge', unit: 'seconds', range: [0, unbounded], about: 'oldest secret' },
  'backup-age': { source: 'agent', shape: 'gauge', unit: 'seconds', range: [0, unbounded], about: 'last good backup' },
  'certificate-left': {
    source: 'agent',
    shape: 'gauge',
    unit: 'seconds',
    range: [0, unbounded],
    about: 'time until the first certificate expires',
  },
} as const satisfies Readonly<Record<string, MetricDefinition>>;

export type MetricName = keyof typeof metrics;
export const metricNames: readonly MetricName[] = Object.keys(metrics) as MetricName[];

export function metricOf(name: MetricName): MetricDefinition {
  return metrics[name];
}
