import { mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { AgentMetrics } from '../../src/agent/metrics/index.ts';
import { writeTextfile } from '../../src/agent/metrics/textfile.ts';
import { appTargets } from '../../src/capabilities/monitoring/targets.ts';
import type { ContainerDetail } from '../../src/host/docker.ts';
import { histogramOf } from '../../src/lib/histogram.ts';

const lines = async (metrics: AgentMetrics, name: string) =>
  (await metrics.text()).split('\n').filter((line) => line.startsWith(name));

const container = (changes: Partial<ContainerDetail> = {}): ContainerDetail => ({
  id: 'a',
  name: 'demo-blue-backend-1-1',
  image: 'i',
  imageId: 'sha256:i',
  state: 'running',
  running: true,
  pid: 1,
  exitCode: 0,
  outOfMemory: false,
  startedAt: '2026-01-05T08:00:00Z',
  finishedAt: '',
  health: 'healthy',
  restarts: 2,
  labels: {
    'com.docker.compose.service': 'backend-1',
    'appliance.service': 'backend',
    'appliance.colour': 'blue',
    'appliance.release': 'v1',
    'appliance.role': 'app',
  },
  tty: false,
  stopTimeout: null,
  published: {},
  addresses: {},
  ...changes,
});
const usage = { cpuNanoseconds: 1.5e9, memoryBytes: 1_000, memoryLimitBytes: 4_000, rxBytes: 0, txBytes: 0, pids: 1 };

describe('requests', () => {
  const edges = '0.1 0.12 0.15 0.2 0.3 0.5 1'.split(' ');
  const totals = new Map([
    [
      'v1',
      {
        codes: new Map([
          [200, 3],
          [503, 1],
        ]),
        times: histogramOf([0.05, 0.1, 0.11, 0.4]),
      },
    ],
  ]);

  test('are counted by release and code, with the codes that nobody has seen yet', async () => {
    const metrics = new AgentMetrics('1');
    metrics.requests.set(totals, ['v1', 'v2']);
    const found = await lines(metrics, 'appliance_http_requests_total');
    expect(found).toContain('appliance_http_requests_total{release="v1",code="200"} 3');
    expect(found).toContain('appliance_http_requests_total{release="v1",code="503"} 1');
    // Its first error must be seen as an increase.
    expect(found).toContain('appliance_http_requests_total{release="v2",code="500"} 0');
  });

  test('have an edge at every limit of the policies, and counts that rise to the total', async () => {
    const metrics = new AgentMetrics('1');
    metrics.requests.set(totals, []);
    const found = await lines(metrics, 'appliance_http_request_duration_seconds');
    const buckets = found.flatMap((line) => /_bucket\{release="v1",le="([^"]+)"\} (\d+)$/.exec(line)?.slice(1) ?? []);
    const counts = Object.fromEntries(
      Array.from({ length: buckets.length / 2 }, (_, i) => [buckets[2 * i], Number(buckets[2 * i + 1])]),
    );
    for (const edge of edges) expect(counts).toHaveProperty([edge]);
    expect(counts).toMatchObject({ '0.1': 2, '0.12': 3, '0.3': 3, '0.5': 4, '+Inf': 4 });
    expect(found).toContain('appliance_http_request_duration_seconds_count{release="v1"} 4');
    // Enough for a good picture, few enough for Prometheus.
    expect(Object.keys(counts).length).toBeLessThan(50);
  });

  test('are told as they are now: nothing is added twice', async () => {
    const metrics = new AgentMetrics('1');
    metrics.requests.set(totals, []);
    metrics.requests.set(totals, []);
    expect(await lines(metrics, 'appliance_http_requests_total{release="v1",code="200"}')).toEqual([
      'appliance_http_requests_total{release="v1",code="200"} 3',
    ]);
  });
});

describe('containers', () => {
  test('tell what the kernel has read, and are gone when they are gone', async () => {
    const metrics = new AgentMetrics('1');
    metrics.containers([{ detail: container(), usage }]);
    const labels = '{container="backend-1",service="backend",colour="blue",release="v1",role="app"}';
    expect(await lines(metrics, 'appliance_container_')).toEqual([
      `appliance_container_cpu_seconds_total${labels} 1.5`,
      `appliance_container_memory_bytes${labels} 1000`,
      `appliance_container_memory_limit_bytes${labels} 4000`,
      `appliance_container_running${labels} 1`,
      `appliance_container_healthy${labels} 1`,
      `appliance_container_restarts_total${labels} 2`,
    ]);
    metrics.containers([{ detail: container({ running: false }), usage }]);
    expect(await lines(metrics, 'appliance_container_running')).toEqual([`appliance_container_running${labels} 0`]);
    expect(await lines(metrics, 'appliance_container_memory_bytes')).toEqual([]);
    metrics.containers([]);
    expect(await lines(metrics, 'appliance_container_')).toEqual([]);
  });
});

describe('the status', () => {
  test('becomes numbers; no verdict is good without data', async () => {
    const metrics = new AgentMetrics('1');
    const status = {
      release: { tag: 'v1', colour: 'blue' as const, since: '' },
      traffic: { blue: 95, green: 5 },
      findings: [
        { id: 'edge', verdict: 'pass' as const, observed: '' },
        { id: 'release', verdict: 'inconclusive' as const, observed: '' },
        { id: 'services', verdict: 'fail' as const, observed: '' },
      ],
    };
    metrics.status(status);
    expect(await lines(metrics, 'appliance_check_verdict')).toEqual([
      'appliance_check_verdict{id="edge"} 1',
      'appliance_check_verdict{id="release"} 0',
      'appliance_check_verdict{id="services"} -1',
    ]);
    expect(await lines(metrics, 'appliance_traffic_weight')).toEqual([
      'appliance_traffic_weight{colour="blue"} 95',
      'appliance_traffic_weight{colour="green"} 5',
    ]);
    metrics.status({ ...status, release: null });
    expect(await lines(metrics, 'appliance_release_info')).toEqual([]);
  });

  test('of the agent itself is told, under its own prefix', async () => {
    const text = await new AgentMetrics('1.2').text();
    expect(text).toContain('appliance_agent_info{version="1.2"} 1');
    expect(text).toMatch(/^appliance_process_resident_memory_bytes \d+$/m);
    for (const name of text.matchAll(/^# TYPE (\S+)/gm)) expect(name[1]).toMatch(/^appliance_/);
  });
});

test('declared requests are counted apart from those of users', async () => {
  const metrics = new AgentMetrics('1');
  metrics.synthetic.set(new Map([['v2', { good: 7, failed: 2 }]]));
  metrics.synthetic.set(new Map([['v2', { good: 8, failed: 2 }]]));
  expect(await lines(metrics, 'appliance_synthetic_requests_total')).toEqual([
    'appliance_synthetic_requests_total{release="v2",result="good"} 8',
    'appliance_synthetic_requests_total{release="v2",result="failed"} 2',
  ]);
  expect(await lines(metrics, 'appliance_http_requests_total')).toEqual([]);
});

test('the file of metrics is replaced as a whole, and others may read it', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'textfile-'));
  try {
    const path = join(directory, 'deep', 'appliance.prom');
    await writeTextfile(path, 'a 1\n');
    await writeTextfile(path, 'a 2\n');
    expect(await readFile(path, 'utf8')).toBe('a 2\n');
    expect((await stat(path)).mode & 0o777).toBe(0o644);
    expect(await readdir(join(directory, 'deep'))).toEqual(['appliance.prom']);
  } finally {
    await rm(directory, { recursive: true });
  }
});

test('targets are the replicas of what is to be read, on the colours that are there', () => {
  const scrape = [{ service: 'backend', port: 8000, path: '/metrics' }];
  const text = appTargets(scrape, [
    { colour: 'blue', release: 'v1', addresses: { backend: ['10.1.0.10', '10.1.0.11'], site: ['10.1.0.12'] } },
    { colour: 'green', release: 'v2', addresses: { site: ['10.1.1.12'] } },
  ]);
  expect(JSON.parse(text)).toEqual([
    {
      targets: ['10.1.0.10:8000', '10.1.0.11:8000'],
      labels: { __metrics_path__: '/metrics', service: 'backend', colour: 'blue', release: 'v1' },
    },
  ]);
  expect(JSON.parse(appTargets(scrape, []))).toEqual([]);
});
