import { stringify } from 'yaml';

/** Seconds between two scrapes and two evaluations: an alert must arrive within a minute (S1-42). */
const interval = 10;

export interface PrometheusRequest {
  /** Name of the appliance; on every alert and series that leaves this Prometheus. */
  readonly name: string;
  /** Address of an Alertmanager that is run elsewhere; undefined: the one of the core stack. */
  readonly alertmanager?: string | undefined;
}

/**
 * The text of prometheus.yml. Pure. The app services are no part of it: they stand in a file of targets that Prometheus
 * follows by itself, so a deploy needs no reload.
 */
export function prometheusConfig({ name, alertmanager }: PrometheusRequest): string {
  return stringify(
    {
      global: {
        scrape_interval: `${interval}s`,
        scrape_timeout: '5s',
        evaluation_interval: `${interval}s`,
        external_labels: { appliance: name },
      },
      rule_files: ['rules/*.yml'],
      alerting: { alertmanagers: [alertmanagers(alertmanager)] },
      scrape_configs: [
        fixed('prometheus', 'localhost:9090'),
        fixed('alertmanager', 'alertmanager:9093'),
        { ...fixed('edge', 'edge:80'), metrics_path: '/_appliance/metrics' },
        {
          ...fixed('node', 'node-exporter:9100'),
          params: { 'exclude[]': ['textfile'] },
          metric_relabel_configs: fileSystems,
        },
        // What the agent writes: it listens on no port, so that nothing can be asked of it.
        { ...fixed('agent', 'node-exporter:9100'), params: { 'collect[]': ['textfile'] }, honor_labels: true },
        {
          job_name: 'app',
          file_sd_configs: [{ files: ['targets/*.json'], refresh_interval: '30s' }],
          // An application that lets its series grow without bound must not take Prometheus with it.
          sample_limit: 20_000,
          label_limit: 40,
          body_size_limit: '20MB',
        },
      ],
    },
    { lineWidth: 0 },
  );
}

/** The exporter sees mount points of its own container; what they stand for is more telling. */
const fileSystems = [
  { mountpoint: '/', filesystem: 'engine' },
  { mountpoint: '/textfile', filesystem: 'state' },
].map(({ mountpoint, filesystem }) => ({
  source_labels: ['__name__', 'mountpoint'],
  regex: `node_filesystem_.+;${mountpoint}`,
  target_label: 'filesystem',
  replacement: filesystem,
}));

function fixed(job: string, target: string) {
  return { job_name: job, static_configs: [{ targets: [target] }] };
}

function alertmanagers(address: string | undefined) {
  if (address === undefined) return { static_configs: [{ targets: ['alertmanager:9093'] }] };
  const { protocol, host, pathname } = new URL(address);
  const port = /:\d+$/.test(host) ? '' : protocol === 'https:' ? ':443' : ':80';
  return {
    scheme: protocol.slice(0, -1),
    ...(pathname === '/' ? {} : { path_prefix: pathname }),
    static_configs: [{ targets: [`${host}${port}`] }],
  };
}
