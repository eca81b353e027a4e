import { type Check, fail, inconclusive, pass } from '../check.ts';

/** What every dashboard that comes along draws: whether services answer, requests of the edge, use by containers. */
export const drawn = [
  'appliance_release_info',
  'appliance_http_requests_total',
  'appliance_container_memory_bytes',
  'node_memory_MemAvailable_bytes',
] as const;

/**
 * The dashboards have something to show (S1-85, S2-15, S2-39).
 * @param series how many series Prometheus has of a metric; undefined without monitoring
 */
export function dashboardsCheck(series: ((metric: string, signal: AbortSignal) => Promise<number>) | undefined): Check {
  return {
    id: 'post-deploy.dashboards',
    group: 'post-deploy',
    requirement: ['S1-85', 'S2-15', 'S2-39'],
    about: 'figures behind the dashboards',
    expected: 'Prometheus has each of them',
    hint: 'see who is not read: appliance status; appliance logs prometheus',
    look: async (signal) => {
      if (!series) return inconclusive('appliance.yaml has no section monitoring');
      const counts = await Promise.all(drawn.map(async (metric) => ({ metric, found: await series(metric, signal) })));
      const missing = counts.filter(({ found }) => found === 0).map(({ metric }) => metric);
      return missing.length > 0
        ? fail(`missing: ${missing.join(', ')}`, { samples: counts.length })
        : pass(`${counts.reduce((sum, { found }) => sum + found, 0)} series`, { samples: counts.length });
    },
  };
}
