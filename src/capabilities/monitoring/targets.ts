import type { MonitoringConfig } from '../../config/monitoring.ts';
import type { Topology } from '../../lib/topology.ts';

/**
 * The app services that Prometheus reads, in the format of its file_sd. Pure.
 * @param topologies of the releases that stand on the colours; the live one also while its containers are down, because
 *   what is not asked cannot be missed
 */
export function appTargets(scrape: MonitoringConfig['scrape'], topologies: readonly Topology[]): string {
  const groups = topologies.flatMap(({ colour, release, addresses }) =>
    scrape.flatMap(({ service, port, path }) => {
      const targets = (addresses[service] ?? []).map((address) => `${address}:${port}`);
      if (targets.length === 0) return [];
      return [{ targets, labels: { __metrics_path__: path, service, colour, release } }];
    }),
  );
  return `${JSON.stringify(groups, null, 2)}\n`;
}
