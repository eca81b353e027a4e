import type { MonitoringConfig } from '../../config/monitoring.ts';
import { colours } from '../../lib/colour.ts';
import { escapeDollar, type Mount, type Service } from './model.ts';
import { imageIdOf, labelKeys } from './transform.ts';

/** Role of the containers that watch: nothing that serves users waits for them or fails with them. */
export const monitoringRole = 'monitoring';

/** Services of monitoring, and where `monitoring:` in appliance.yaml names their images. */
export const monitoringServices = {
  prometheus: 'prometheus',
  alertmanager: 'alertmanager',
  'node-exporter': 'nodeExporter',
} as const;
type MonitoringService = keyof typeof monitoringServices;

/** Ports inside the containers. */
const monitoringPorts = { prometheus: 9090, alertmanager: 9093, 'node-exporter': 9100 } as const;

/** Directories on the host whose content the containers read. */
export interface MonitoringDirectories {
  readonly prometheus: string;
  readonly alertmanager: string;
  readonly textfile: string;
}

export interface MonitoringRequest {
  /** Name of the appliance. */
  readonly name: string;
  readonly monitoring: MonitoringConfig;
  readonly directories: MonitoringDirectories;
  /** Service → image id; a service whose image is not on this host is left out. */
  readonly imageIds: Readonly<Record<string, string>>;
}

/**
 * The containers that watch. They run as users of their own on a read-only root without capabilities, publish on
 * loopback only and see neither the engine's socket nor the host's files: the exporter reads what the kernel shows to
 * every container, and finds the free space of the state directory behind `/textfile` and of the engine behind `/`.
 */
export function monitoringModel(request: MonitoringRequest): Record<string, Service> {
  const services = { prometheus, alertmanager, 'node-exporter': nodeExporter };
  return Object.fromEntries(
    Object.entries(services).flatMap(([name, service]) =>
      request.imageIds[name] === undefined ? [] : [[name, service(request)]],
    ),
  );
}

function prometheus(request: MonitoringRequest): Service {
  const { memory, retention, retentionBytes, listen } = request.monitoring.prometheus;
  return {
    ...watcher(request, 'prometheus', memory, [
      bind(request.directories.prometheus, '/etc/prometheus'),
      { type: 'volume', source: 'appliance-prometheus', target: '/prometheus' },
    ]),
    command: [
      `--storage.tsdb.retention.time=${Math.max(1, Math.round(retention / 1_000))}s`,
      `--storage.tsdb.retention.size=${retentionBytes}B`,
      '--query.timeout=20s',
      '--query.max-concurrency=8',
      '--log.level=warn',
    ],
    ports: [onLoopback(listen, monitoringPorts.prometheus)],
    stop_grace_period: '30s',
  };
}

function alertmanager(request: MonitoringRequest): Service {
  const { memory, listen } = request.monitoring.alertmanager;
  return {
    ...watcher(request, 'alertmanager', memory, [
      bind(request.directories.alertmanager, '/etc/alertmanager'),
      { type: 'volume', source: 'appliance-alertmanager', target: '/alertmanager' },
    ]),
    // The drill goes by the log, which says which alert a receiver has accepted; the test goes by the counters of each
    // receiver.
    command: ['--log.level=debug', '--enable-feature=receiver-name-in-metrics'],
    ports: [onLoopback(listen, monitoringPorts.alertmanager)],
    // A receiver may run on the host itself.
    extra_hosts: ['host.docker.internal:host-gateway'],
  };
}

/** What the exporter collects; all else (network, hardware) is of its own container or nobody's question. */
const collectors = [
  'cpu',
  'diskstats',
  'filesystem',
  'filefd',
  'loadavg',
  'meminfo',
  'stat',
  'textfile',
  'time',
  'uname',
  'vmstat',
];

function nodeExporter(request: MonitoringRequest): Service {
  return {
    ...watcher(request, 'node-exporter', request.monitoring.nodeExporter.memory, [
      bind(request.directories.textfile, '/textfile'),
    ]),
    command: [
      '--collector.disable-defaults',
      ...collectors.map((name) => `--collector.${name}`),
      '--collector.textfile.directory=/textfile',
      '--collector.filesystem.mount-points-exclude=^/(dev|etc|proc|sys)($$|/)',
      '--collector.filesystem.fs-types-exclude=^(cgroup2?|devpts|mqueue|proc|sysfs|tmpfs)$$',
      '--web.disable-exporter-metrics',
      '--log.level=warn',
    ],
  };
}

function watcher(
  request: MonitoringRequest,
  name: MonitoringService,
  memory: number,
  volumes: readonly Mount[],
): Service {
  const { image } = request.monitoring[monitoringServices[name]];
  return {
    image: imageIdOf(request.imageIds, name),
    pull_policy: 'never',
    restart: 'unless-stopped',
    labels: {
      [labelKeys.name]: request.name,
      [labelKeys.service]: name,
      [labelKeys.role]: monitoringRole,
      [labelKeys.image]: escapeDollar(image),
    },
    logging: { driver: 'json-file', options: { 'max-size': '10m', 'max-file': '3' } },
    // The Go runtime collects garbage harder before the kernel would end it.
    environment: { GOMEMLIMIT: String(Math.floor(memory * 0.8)) },
    deploy: { resources: { limits: { cpus: '1', memory: String(memory), pids: 200 } } },
    read_only: true,
    cap_drop: ['ALL'],
    security_opt: ['no-new-privileges:true'],
    volumes: [...volumes],
    networks: Object.fromEntries(colours.map((colour) => [colour, {}])),
  };
}

function bind(source: string, target: string): Mount {
  return { type: 'bind', source: escapeDollar(source), target, read_only: true, bind: { create_host_path: false } };
}

/** @param listen `127.0.0.1:9090` or `[::1]:9090` */
function onLoopback(listen: string, target: number) {
  const split = listen.lastIndexOf(':');
  const address = listen.slice(0, split).replace(/^\[|\]$/g, '');
  return { mode: 'host', target, published: listen.slice(split + 1), protocol: 'tcp', host_ip: address };
}
