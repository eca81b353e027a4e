import { type MetricName, metricNames, metricOf } from '../../../config/metrics.ts';
import type { MonitoringConfig } from '../../../config/monitoring.ts';
import type { Prometheus } from '../../../host/prometheus.ts';
import { messageOf } from '../../../lib/errors.ts';
import type { Measurement, MetricReader, Window } from '../../../lib/measurement.ts';

/** Seconds between two scrapes: below two of them, a window has one value. */
const scrape = 10;

/**
 * Asks Prometheus for what only the application knows. `monitoring.metrics` of appliance.yaml says how, with `$scope` for
 * the labels of a release and `$over` for the time; what it does not say nobody measures.
 */
export function prometheusReader(
  prometheus: Pick<Prometheus, 'query'> | undefined,
  expressions: MonitoringConfig['metrics'],
): MetricReader {
  return async (metric, { tag }, window, signal) => {
    const name = metricNames.find((known) => known === metric);
    const expression = name === undefined ? undefined : expressions[name];
    if (name === undefined || expression === undefined)
      return { kind: 'none', why: `monitoring.metrics of appliance.yaml does not say how ${metric} is measured` };
    if (!prometheus) return { kind: 'none', why: 'appliance.yaml has no section monitoring' };
    const seconds = Math.max(1, Math.round((window.to - window.from) / 1_000));
    const asked = expression
      .replaceAll('$scope', `release=${JSON.stringify(tag)}`)
      .replaceAll('$over', `${Math.max(seconds, 4 * scrape)}s`);
    try {
      return await measure(prometheus, name, asked, window, signal);
    } catch (error) {
      signal.throwIfAborted();
      return { kind: 'none', why: messageOf(error) };
    }
  };
}

async function measure(
  prometheus: Pick<Prometheus, 'query'>,
  metric: MetricName,
  expression: string,
  { from, to }: Window,
  signal: AbortSignal,
): Promise<Measurement> {
  const last = await number(prometheus, expression, to, signal);
  if (typeof last === 'string') return { kind: 'none', why: last };
  if (metricOf(metric).shape === 'count') return { kind: 'events', count: Math.round(last) };
  const seconds = Math.floor((to - from) / 1_000);
  if (seconds < 2 * scrape) return { kind: 'value', last, least: last, most: last, samples: 1 };
  const over = (what: string) => number(prometheus, `${what}((${expression})[${seconds}s:${scrape}s])`, to, signal);
  const [least, most, samples] = await Promise.all([
    over('min_over_time'),
    over('max_over_time'),
    over('count_over_time'),
  ]);
  if (typeof least === 'string' || typeof most === 'string' || typeof samples === 'string')
    return { kind: 'value', last, least: last, most: last, samples: 1 };
  return { kind: 'value', last, least, most, samples };
}

/** One number, or why there is none. */
async function number(
  prometheus: Pick<Prometheus, 'query'>,
  expression: string,
  at: number,
  signal: AbortSignal,
): Promise<number | string> {
  const samples = await prometheus.query(expression, { at, signal });
  const [first] = samples;
  if (!first) return 'Prometheus has no series for it yet';
  if (samples.length > 1) return `Prometheus answers with ${samples.length} series, not with one number`;
  return Number.isFinite(first.value) ? first.value : 'Prometheus has no number for it yet';
}
