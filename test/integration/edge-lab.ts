import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createTraffic, type Topologies, type Traffic } from '../../src/capabilities/traffic/index.ts';
import { type Config, configSchema } from '../../src/config/schema.ts';
import { type RunResult, run } from '../../src/host/process.ts';
import { systemClock } from '../../src/lib/clock.ts';
import type { Colour } from '../../src/lib/colour.ts';
import { type Paths, pathsFor } from '../../src/lib/paths.ts';
import type { StepContext } from '../../src/operations/step.ts';
import { removeTraces } from '../support/traces.ts';
import { ask } from './edge-clients.ts';

/** Runs docker and fails loudly. @returns stdout without its last line end */
export async function docker(...args: string[]): Promise<string> {
  const { exitCode, stdout, stderr } = await run('docker', args, { timeout: 180_000 });
  if (exitCode !== 0) throw new Error(`docker ${args.slice(0, 3).join(' ')}: ${stderr}`);
  return stdout.trim();
}

/** Like docker, for cleaning up: whatever is not there any more is fine. */
export async function quietly(...args: string[]): Promise<RunResult> {
  return await run('docker', args, { timeout: 60_000 });
}

export interface LabOptions {
  /** Distinguishes labs that run at the same time; also their containers and networks. */
  readonly name: string;
  /** Third byte of the subnets: 10.214.<net>.0/24 for blue, the next one for green. */
  readonly net: number;
  readonly http: number;
  readonly https: number;
  /** Overrides of the configuration, as in appliance.yaml. */
  readonly config?: Record<string, unknown>;
}

/** A real edge in its container, on two networks, with an appliance root of its own. */
export interface EdgeLab {
  readonly options: LabOptions;
  readonly root: string;
  readonly paths: Paths;
  readonly config: Config;
  /** The same as it would stand in appliance.yaml. */
  readonly written: Record<string, unknown>;
  readonly traffic: Traffic;
  readonly container: string;
  readonly url: string;
  readonly secureUrl: string;
  /** Address in the network of a colour, for example `10.214.1.11`. */
  address(colour: Colour, last: number): string;
  /** Starts a container that answers every request with its release, as body and header. @returns when it answers */
  startRelease(colour: Colour, release: string, last: number): Promise<string>;
  topologies(releases: Partial<Record<Colour, { release: string; addresses: string[] }>>): Topologies;
  configure(topologies: Topologies): Promise<string>;
  shift(from: Colour, to: Colour, release: string): Promise<string>;
  withConfig(config: Record<string, unknown>): { config: Config; traffic: Traffic };
  close(): Promise<void>;
}

export const port = 9000;

/** As nginx/build.sh names it. */
export const edgeImage = process.env.EDGE_IMAGE ?? 'appliance/edge:1';

export function context(timeout = 60_000): StepContext {
  return { operation: 'test', signal: AbortSignal.timeout(timeout), clock: systemClock, progress: () => {} };
}

/** Builds the image where it is missing or old, and starts an edge. */
export async function openLab(options: LabOptions): Promise<EdgeLab> {
  const { name, net } = options;
  const env = { EDGE_IMAGE: edgeImage };
  const built = await run(join(import.meta.dirname, '../../nginx/build.sh'), [], { env, timeout: 600_000 });
  if (built.exitCode !== 0) throw new Error(`the image of the edge could not be built: ${built.stderr}`);
  const root = await mkdtemp(join(tmpdir(), `edgetest-${name}-`));
  const paths = pathsFor(root);
  const container = `edgetest-${name}-edge`;
  const network = (colour: Colour) => `edgetest-${name}-${colour}`;
  const subnet = (colour: Colour) => `10.214.${colour === 'blue' ? net : net + 1}`;

  const write = (overrides: Record<string, unknown> = {}) => {
    const edge = { http: `127.0.0.1:${options.http}`, https: `127.0.0.1:${options.https}` };
    const base = {
      name: `edgetest-${name}`,
      source: { repository: '/nowhere' },
      services: { backend: { role: 'app' } },
      routes: [{ path: '/', service: 'backend', port }],
    };
    return {
      ...base,
      ...options.config,
      ...overrides,
      edge: { ...edge, ...sub(options.config, 'edge'), ...sub(overrides, 'edge') },
    };
  };
  const parse = (overrides?: Record<string, unknown>) => configSchema.parse(write(overrides));
  const trafficOf = (config: Config) =>
    createTraffic({
      config,
      paths,
      clock: systemClock,
      exec: (argv, about) => run('docker', ['exec', container, ...argv], about),
    });

  const close = async () => {
    await removeTraces(`edgetest-${name}`);
    await rm(root, { recursive: true, force: true });
  };

  const config = parse();
  const traffic = trafficOf(config);
  await removeTraces(`edgetest-${name}`);
  for (const colour of ['blue', 'green'] as const)
    await docker('network', 'create', '--subnet', `${subnet(colour)}.0/24`, network(colour));
  await mkdir(paths.edge, { recursive: true });
  await mkdir(join(paths.log, 'edge'), { recursive: true });
  try {
    await docker(
      ...['create', '--name', container, '--network', network('blue'), '--ip', `${subnet('blue')}.2`],
      ...['-v', `${paths.edge}:/edge`, '-v', `${join(paths.log, 'edge')}:/edge/log`],
      ...['-p', `127.0.0.1:${options.http}:80`, '-p', `127.0.0.1:${options.https}:443`, edgeImage],
    );
    await docker('network', 'connect', '--ip', `${subnet('green')}.2`, network('green'), container);
    await docker('start', container);
    await awaitEdge(traffic);
  } catch (error) {
    await close();
    throw error;
  }

  const lab: EdgeLab = {
    options,
    root,
    paths,
    config,
    written: write(),
    traffic,
    container,
    url: `http://127.0.0.1:${options.http}`,
    secureUrl: `https://127.0.0.1:${options.https}`,
    address: (colour, last) => `${subnet(colour)}.${last}`,
    startRelease: async (colour, release, last) => {
      const id = `edgetest-${name}-${colour}-${last}`;
      const file = join(root, `${id}.conf`);
      await writeFile(file, releaseServer(release));
      await quietly('rm', '-f', '-v', id);
      await docker(
        ...['run', '-d', '--name', id, '--network', network(colour), '--ip', `${subnet(colour)}.${last}`],
        ...[
          '-v',
          `${file}:/release.conf:ro`,
          '--entrypoint',
          'nginx',
          edgeImage,
          '-c',
          '/release.conf',
          '-g',
          'daemon off;',
        ],
      );
      await awaitAnswer(`http://${subnet(colour)}.${last}:${port}/`);
      return id;
    },
    topologies: (releases) => {
      const topology = (colour: Colour) => {
        const wanted = releases[colour];
        return wanted ? { colour, release: wanted.release, addresses: { backend: wanted.addresses } } : null;
      };
      return { blue: topology('blue'), green: topology('green') };
    },
    configure: (topologies) => traffic.configureEdge.bind({ topologies }).apply(context()),
    shift: (from, to, release) => {
      const all = (colour: Colour) => ({ blue: colour === 'blue' ? 100 : 0, green: colour === 'green' ? 100 : 0 });
      return traffic.shiftTraffic.bind({ from: all(from), to: all(to), release }).apply(context());
    },
    withConfig: (overrides) => {
      const changed = parse(overrides);
      return { config: changed, traffic: trafficOf(changed) };
    },
    close,
  };
  return lab;
}

/** Waits until the edge answers on its control socket. */
export async function awaitEdge(traffic: Traffic): Promise<void> {
  await patiently(() => traffic.status());
}

/** Waits until something answers there: a container that is started does not listen yet. */
async function awaitAnswer(url: string): Promise<void> {
  await patiently(() => ask(url, { timeout: 2_000 }));
}

/** Tries again for a minute. @throws what the last try threw */
async function patiently(work: () => Promise<unknown>): Promise<void> {
  for (const deadline = systemClock.monotonic() + 60_000; ; await systemClock.sleep(100)) {
    try {
      await work();
      return;
    } catch (error) {
      if (systemClock.monotonic() > deadline) throw error;
    }
  }
}

function sub(from: Record<string, unknown> | undefined, key: string): Record<string, unknown> {
  const value = from?.[key];
  return typeof value === 'object' && value !== null ? { ...value } : {};
}

/** nginx that answers each request with its release. One worker, no log, connections kept for ever. */
function releaseServer(release: string): string {
  return `worker_processes 1;
pid /run/release.pid;
error_log stderr warn;
events { worker_connections 4096; }
http {
  access_log off;
  keepalive_requests 100000000;
  keepalive_timeout 75s;
  server {
    listen ${port} backlog=4096;
    location / {
      add_header X-Appliance-Release ${release} always;
      return 200 "${release}\\n";
    }
  }
}
`;
}
