import type { MetricName } from './metrics.ts';
import type { MonitoringConfig } from './monitoring.ts';
import type { Policy, PolicyAlert } from './policy.ts';

/** An alert of a policy that cannot be raised on this appliance, and why. */
export interface Unwatched {
  readonly policy: string;
  readonly id: string;
  readonly name: string;
  readonly why: string;
}

/** What decides whether somebody measures a metric. */
export type Measured = Pick<MonitoringConfig, 'metrics' | 'database'>;

const expression = 'name an expression under monitoring.metrics in appliance.yaml';
const application = `only the application knows it: ${expression}`;
const logged = `it stands in logs, which are read while a release is rolled out: ${expression}`;
const file = 'write it to a file of metrics (docs/guide/monitoring.md), and';

/** Metrics that an appliance does not measure by itself at all times, and what it takes. */
const needs: Readonly<Partial<Record<MetricName, string>>> = {
  accuracy: application,
  'prediction-spread': application,
  drift: application,
  'cache-hits': application,
  business: application,
  'training-failures': application,
  queue: application,
  'log-errors': logged,
  'log-critical': logged,
  'database-failures': logged,
  'data-corruption': logged,
  revenue: `only the business knows it: ${file} ${expression}`,
  connections: `name the service of the database as monitoring.database, or ${expression}`,
};

/** What it takes to measure a metric for alerts; undefined where it is measured. Pure. */
function missingFor(metric: MetricName, { metrics, database }: Measured): string | undefined {
  if (metrics[metric] !== undefined || (metric === 'connections' && database)) return undefined;
  return needs[metric];
}

/** Why an alert can never fire; undefined where it can. No alert is left out without saying so. Pure. */
export function whyUnwatched(alert: PolicyAlert, measured: Measured): string | undefined {
  if (alert.against === 'baseline') return 'an alert has no release to compare with: write against: day-before';
  const missing = missingFor(alert.metric, measured);
  return missing === undefined ? undefined : `nobody measures ${alert.metric}: ${missing}`;
}

/** The alerts of policies that cannot be raised. Pure. */
export function unwatchedOf(policies: readonly Policy[], measured: Measured): Unwatched[] {
  return policies.flatMap((policy) =>
    policy.alerts.flatMap((alert) => {
      const why = whyUnwatched(alert, measured);
      return why === undefined ? [] : [{ policy: policy.name, id: alert.id, name: alert.name, why }];
    }),
  );
}
