import { once } from 'node:events';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { execa } from 'execa';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { annotationQueries } from '../../grafana/board.ts';
import { boards } from '../../grafana/boards/index.ts';
import { operationResultSchema, statusSchema } from '../../src/api/schema.ts';
import { Prometheus } from '../../src/host/prometheus.ts';
import { Lab } from '../support/appliance.ts';
import { Load } from '../support/load.ts';
import { HttpReceiver } from '../support/receivers.ts';

// A running appliance of the reference application with the alerts of every policy. The tests build on each other.
const port = 28_560;
const monitoring = 28_562;
const api = `http://127.0.0.1:${monitoring}`;
const prometheus = new Prometheus(api, 10_000);
const policies = ['routing-ml', 'iswitch', 'flash', 'ml-pipeline', 'mlops'];
type Samples = Awaited<ReturnType<Prometheus['query']>>;
let lab: Lab;
let load: Load;
let receiver: HttpReceiver;

/** Expressions that have no series within the minutes of a test, each with the reason. */
const silent: readonly { readonly rule: RegExp; readonly why: string }[] = [
  { rule: /offset 1d/, why: 'it compares with the day before' },
  { rule: /appliance_backup_(?:restore|last_proven)/, why: 'no backup was proven yet' },
  { rule: /appliance_backup_offsite/, why: 'appliance.yaml names no off-site target' },
];

const status = async () => statusSchema.parse((await lab.json(['status'])).document);
const finding = async (id: string) => (await status()).findings.find((one) => one.id === id);

async function until<T>(what: string, look: () => Promise<T | undefined>, seconds = 120): Promise<T> {
  const deadline = performance.now() + seconds * 1_000;
  for (;;) {
    const seen = await look().catch(() => undefined);
    if (seen !== undefined) return seen;
    if (performance.now() > deadline) throw new Error(`${what}: not within ${seconds} s`);
    await delay(1_000);
  }
}

/** What Prometheus answers once it is as it should be: it asks the agent every ten seconds, which looks as seldom. */
async function measured(expr: string, right: (found: Samples) => boolean): Promise<Samples> {
  let found: Samples = [];
  await until(
    expr,
    async () => {
      found = await prometheus.query(expr);
      return right(found) ? true : undefined;
    },
    90,
  ).catch(() => undefined);
  return found;
}

async function ask<T>(path: string, schema: z.ZodType<T>): Promise<T> {
  const answer: unknown = await (await fetch(`${api}${path}`, { signal: AbortSignal.timeout(10_000) })).json();
  return z.object({ data: schema }).parse(answer).data;
}

const targetsSchema = z.object({
  activeTargets: z.array(
    z.object({ labels: z.record(z.string(), z.string()), health: z.string(), lastError: z.string() }),
  ),
});
const targets = async () => (await ask('/api/v1/targets', targetsSchema)).activeTargets;
/** Releases whose metrics are read, as `blue v0.9`. */
const appTargets = async () =>
  [
    ...new Set(
      (await targets())
        .filter(({ labels, health }) => labels.job === 'app' && health === 'up')
        .map(({ labels }) => `${labels.colour} ${labels.release}`),
    ),
  ].sort();

const rulesSchema = z.object({
  groups: z.array(
    z.object({
      rules: z.array(
        z.object({
          name: z.string(),
          query: z.string(),
          type: z.string(),
          health: z.string(),
          labels: z.record(z.string(), z.string()).optional(),
        }),
      ),
    }),
  ),
});

/** Predictions, a refused login and a training run, so that the application has something to tell. */
async function predict(): Promise<void> {
  const env = await readFile(join(lab.root, 'etc/routing-ml.env'), 'utf8');
  const password = /^DEMO_PASSWORD=(.+)$/m.exec(env)?.[1];
  const post = async (path: string, body: unknown, token?: string) =>
    fetch(`http://127.0.0.1:${port}${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...(token ? { authorization: `Bearer ${token}` } : {}) },
      body: JSON.stringify(body),
    });
  await post('/api/auth/login', { username: 'demo', password: 'wrong' });
  const login = await post('/api/auth/login', { username: 'demo', password });
  const { access_token: token } = z.object({ access_token: z.string() }).parse(await login.json());
  for (let index = 0; index < 80; index += 1) {
    const item = `ITEM_A${String(1 + (index % 40)).padStart(3, '0')}`;
    expect((await post('/api/routing/predict', { item_code: item }, token)).status).toBe(200);
  }
  await post('/api/trainer/run', { dry_run: false }, token);
}

beforeAll(async () => {
  const images = join(import.meta.dirname, '../../compose/images/build.sh');
  await execa(images, ['prometheus', 'alertmanager', 'node-exporter'], { timeout: 170_000 });
  receiver = await HttpReceiver.start('0.0.0.0');
  lab = await Lab.make({
    name: 'montest',
    port,
    pool: '10.232.0.0/16',
    backups: true,
    monitoring,
    edit: (yaml) =>
      yaml
        .replace('policies: [routing-ml]', `policies: [${policies.join(', ')}]`)
        // What only somebody else knows comes as a file of metrics.
        .replace(
          '  metrics:\n',
          "$&    revenue: 'sum(shop_revenue_euros)'\n    backup-age: 'time() - max(shop_backup_timestamp_seconds)'\n",
        )
        // Somebody to tell, or Alertmanager has nothing to count.
        .concat(
          'alerts: { receivers: { nobody: { type: webhook, url: "http://127.0.0.1:9/" }, ',
          `ops: { type: webhook, url: "http://host.docker.internal:${receiver.port}/hook" } }, `,
          'critical: [ops], info: [nobody] }\n',
        ),
  });
  await mkdir(join(lab.root, 'lib/monitoring/textfile'), { recursive: true });
  await writeFile(
    join(lab.root, 'lib/monitoring/textfile/shop.prom'),
    `shop_revenue_euros 1200\nshop_backup_timestamp_seconds ${Math.floor(Date.now() / 1_000)}\n`,
  );
  await lab.startAgent();
});
afterAll(async () => {
  await load?.stop();
  await lab.destroy();
  await receiver.stop();
});

describe('a deploy', () => {
  test('brings the containers that watch, and Prometheus reads the release', async () => {
    const { exitCode, stderr } = await lab.run(['deploy', 'v0.9', '--yes']);
    expect(exitCode, stderr).toBe(0);
    load = new Load({ port, path: '/health', keepAlive: 2, fresh: 0, pause: 50 });
    expect(
      await until('the release is read', async () => ((await appTargets()).length > 0 ? appTargets() : undefined)),
    ).toEqual(['blue v0.9']);
    const names = (await status()).services.map(({ name }) => name);
    expect(names).toEqual(expect.arrayContaining(['prometheus', 'alertmanager', 'node-exporter']));
    // A status gives Prometheus one second, which is not always enough for one that has just started on a busy host.
    const well = await until('monitoring is well', async () => {
      const seen = await finding('monitoring');
      return seen?.verdict === 'pass' ? seen : undefined;
    });
    expect(well.observed).toContain('told at');
    expect(await finding('grafana')).toMatchObject({ verdict: 'pass', observed: expect.stringContaining('absent') });
    // It builds and starts everything, on a host that may do as much beside it: 18 s alone, 92 s at a load of 35.
  }, 360_000);

  test('of another release changes the targets without a reload or restart', async () => {
    const before = await prometheus.configuration();
    expect((await lab.run(['deploy', 'v1.0', '--yes'])).exitCode).toBe(0);
    const both = await until('both are read', async () =>
      (await appTargets()).length === 2 ? appTargets() : undefined,
    );
    expect(both).toEqual(['blue v0.9', 'green v1.0']);
    expect(await prometheus.configuration()).toEqual(before);
    expect(await prometheus.query('min_over_time(up{job="prometheus"}[1m])')).toMatchObject([{ value: 1 }]);
    const info = await until('the live release is known', async () => {
      const [one] = await prometheus.query('appliance_release_info{tag="v1.0"}');
      return one;
    });
    expect(info.labels).toMatchObject({ tag: 'v1.0', colour: 'green' });
    // It may have been told of the release before that of its deploy.
    expect(
      await measured(
        'appliance_operation_duration_seconds_count{kind="deploy",result="done"}',
        ([one]) => one?.value === 2,
      ),
    ).toMatchObject([{ value: 2 }]);
  }, 600_000);
});

describe('every target', () => {
  test('is up', async () => {
    await until('all are up', async () =>
      (await targets()).every(({ health }) => health === 'up') ? true : undefined,
    );
    expect([...new Set((await targets()).map(({ labels }) => labels.job))].sort()).toEqual([
      'agent',
      'alertmanager',
      'app',
      'edge',
      'node',
      'prometheus',
    ]);
  });
});

describe('every expression of every rule', () => {
  test('matches live series, or is listed with the reason', async () => {
    const { groups } = await ask('/api/v1/rules', rulesSchema);
    const rules = groups.flatMap(({ rules: list }) => list);
    expect(rules.length).toBeGreaterThan(60);
    expect(rules.filter(({ health }) => health === 'err')).toEqual([]);
    const dead = async () => {
      await predict();
      const known = new Set(await ask('/api/v1/label/__name__/values', z.array(z.string())));
      const missing: string[] = [];
      for (const { name, query } of rules) {
        if (silent.some(({ rule }) => rule.test(query))) continue;
        const absent = metricsIn(query).filter((metric) => !known.has(metric));
        const [first] = await prometheus.query(withoutLimit(query));
        if (absent.length > 0 || !first || Number.isNaN(first.value))
          missing.push(`${name}: ${query} (no ${absent.join(', ') || 'number'})`);
      }
      return missing;
    };
    let missing = ['nothing was asked yet'];
    await until(
      'all have series',
      async () => {
        missing = await dead();
        return missing.length === 0 ? true : undefined;
      },
      300,
    ).catch(() => undefined);
    expect(missing).toEqual([]);
    // None is left out: what this appliance does not measure itself is named in its configuration.
    expect((await finding('monitoring'))?.observed).not.toMatch(/nobody measures/);
    // What is excused must exist.
    for (const { rule } of silent) expect(rules.some(({ query }) => rule.test(query))).toBe(true);
  }, 500_000);

  test('a rule that has rotted is found', async () => {
    expect(await prometheus.query(withoutLimit('sum(rate(node_cpu_second_total[1m])) > 0.8'))).toEqual([]);
    expect(withoutLimit('a{x="1 < 2"} / b > bool 0 and c < -0.5')).toBe('a{x="1 < 2"} / b and c');
    expect(metricsIn('sum by (le) (rate(a_b{code=~"5.."}[1m])) or label_replace(1 - c_d, "x", "e_f", "", "")')).toEqual(
      ['a_b', 'c_d'],
    );
  });
});

describe('every expression of every dashboard', () => {
  test('matches live series', async () => {
    const panels = boards.flatMap((board) => board.panels.flatMap(({ queries }) => queries.map(({ expr }) => expr)));
    // Annotations have a value in the minute after a deploy only.
    const expressions = [...panels, ...annotationQueries.map(({ expr }) => withoutLimit(expr))];
    expect(expressions.length).toBeGreaterThan(60);
    let missing = ['nothing was asked yet'];
    await until('all have series', async () => {
      await predict();
      missing = [];
      for (const expr of new Set(expressions)) if ((await prometheus.query(expr)).length === 0) missing.push(expr);
      return missing.length === 0 ? true : undefined;
    }).catch(() => undefined);
    expect(missing).toEqual([]);
  }, 400_000);
});

describe('what the agent tells', { timeout: 600_000 }, () => {
  test('covers every container, and agrees with the engine', async () => {
    const memory = await measured(
      'appliance_container_memory_bytes{colour="green",service="backend"}',
      (found) => found.length === 2,
    );
    expect(memory.map(({ labels }) => labels.container).sort()).toEqual(['backend-1', 'backend-2']);
    for (const { value } of memory) expect(value).toBeGreaterThan(1e6);
    const limit = await prometheus.query('appliance_container_memory_limit_bytes{container="prometheus"}');
    expect(limit).toMatchObject([{ value: 512 * 2 ** 20 }]);
    const weights = await measured(
      'appliance_traffic_weight == on (colour) appliance_edge_weight',
      (found) => found.length === 2,
    );
    expect(weights).toHaveLength(2);
    expect(await measured('appliance_check_verdict{id="edge"}', ([one]) => one?.value === 1)).toMatchObject([
      { value: 1 },
    ]);
  });

  test('has p50, p95, p99, rate, errors, CPU, memory and queue (S4-24 without its GPUs: docs/limits.md)', async () => {
    const seconds = 'appliance_http_request_duration_seconds';
    const values = await Promise.all(
      [0.5, 0.95, 0.99]
        .map((share) => `histogram_quantile(${share}, sum by (le) (rate(${seconds}_bucket[5m])))`)
        .map(async (expr) => (await prometheus.query(expr))[0]?.value ?? Number.NaN),
    );
    expect(values).toEqual([...values].sort((a, b) => a - b));
    expect(values[0]).toBeGreaterThan(0);
    for (const expr of [
      'sum(rate(appliance_http_requests_total[5m])) > 0',
      'sum(rate(appliance_http_requests_total{code=~"5.."}[5m])) >= 0',
      '1 - avg(rate(node_cpu_seconds_total{mode="idle"}[5m])) > 0',
      'sum(rate(appliance_container_cpu_seconds_total{role="app"}[5m])) > 0',
      'node_memory_MemAvailable_bytes > 0',
      'sum(http_requests_in_progress) >= 0',
    ])
      expect(await prometheus.query(expr), expr).not.toEqual([]);
  });

  test('tells what grows old or runs out: secrets (S0-17, S2-28), the certificate (S1-60), connections (S1-59)', async () => {
    const one = async (expr: string) => (await prometheus.query(expr))[0]?.value ?? Number.NaN;
    const secrets = await prometheus.query('time() - appliance_secret_set_timestamp_seconds');
    expect(secrets.map(({ labels }) => labels.secret)).toEqual(
      expect.arrayContaining(['JWT_SECRET', 'POSTGRES_PASSWORD', 'DATABASE_URL']),
    );
    for (const { value } of secrets) {
      expect(value).toBeGreaterThan(0);
      expect(value).toBeLessThan(3_600);
    }
    expect(await one('appliance_certificate_not_after_timestamp_seconds - time()')).toBeGreaterThan(86_400 * 800);
    // The backends of both colours hold some; 100 less the 3 that superusers keep.
    await measured('appliance_database_connections{service="postgres"}', ([first]) => (first?.value ?? 0) > 0);
    expect(await one('appliance_database_connections_limit{service="postgres"}')).toBe(97);
    expect(await one('appliance_database_connections{service="postgres"}')).toBeGreaterThan(0);
    expect(await one('appliance_database_connections{service="postgres"}')).toBeLessThan(97);
  });
});

describe('trouble with monitoring', () => {
  test('is told by status; the stack starts without it, and the rules before it stay in force', async () => {
    const own = join(lab.root, 'etc/policies');
    await mkdir(own);
    await writeFile(join(own, 'flash.yaml'), 'name: flash\n');
    const squatter = await takePortOf('prometheus');
    try {
      const { exitCode, document } = await lab.json(['up', '--yes']);
      expect(exitCode).toBe(0);
      expect(JSON.stringify(document)).toMatch(/monitoring does not/);
      const told = await until('the mistake is told', async () => {
        const seen = await finding('monitoring');
        return seen?.observed.includes('flash.yaml') ? seen : undefined;
      });
      expect(told).toMatchObject({ verdict: 'fail' });
    } finally {
      squatter.close();
    }
    // Prometheus starts with what was good before; then the mistake is mended.
    expect((await lab.run(['up', '--yes'])).exitCode).toBe(0);
    const kept = await until('Prometheus is back', async () => (await ask('/api/v1/rules', rulesSchema)).groups);
    expect(kept.flatMap(({ rules }) => rules).length).toBeGreaterThan(60);
    await rm(own, { recursive: true });
    await until('all is well', async () => ((await finding('monitoring'))?.verdict === 'pass' ? true : undefined));
  }, 600_000);

  test('nothing was lost on the way', async () => {
    const { requests, losses } = await load.stop();
    expect(requests).toBeGreaterThan(100);
    expect(losses).toEqual([]);
  });
});

describe('the drill (S1-42)', () => {
  test('proves that a stopped backend is told within 60 s, by the rules and a real receiver', async () => {
    const { exitCode, document } = await lab.json(['alerts', 'drill', 'backend', '--yes']);
    const result = operationResultSchema.parse(document);
    expect(result).toMatchObject({ kind: 'drill', result: 'done' });
    expect(exitCode).toBe(0);
    const detail = result.steps.find(({ name }) => name === 'await-receipt')?.detail ?? '';
    expect(detail).toMatch(/accepted by ops \(webhook\) after [\d.]+ s$/);
    const told = receiver.received.filter(({ alerts }) => alerts.some(({ labels }) => labels.service === 'backend'));
    expect(told.length).toBeGreaterThan(0);
  });
});

describe('what a person raises (S4-31)', () => {
  test('reaches the same receiver, and is over when somebody says so', async () => {
    const raised = await lab.run(['alerts', 'raise', 'S4-31', '--comment', 'tokens in a public paste']);
    expect(raised.exitCode, raised.stderr).toBe(0);
    const about = ({ labels }: { labels: Record<string, string> }) => labels.requirement === 'S4-31';
    const told = await receiver.await(({ alerts }) => alerts.some(about), 90_000);
    expect(told.alerts.find(about)?.annotations.summary).toMatch(/security incident.*tokens in a public paste/);
    expect((await lab.run(['alerts', 'resolve', 'S4-31'])).exitCode).toBe(0);
    await receiver.await(({ status: is, alerts }) => is === 'resolved' && alerts.some(about), 120_000);
    expect((await lab.run(['alerts', 'resolve', 'S4-32'])).exitCode).toBe(6);
  }, 400_000);
});

/** Removes a container of monitoring and holds its port, as a foreign program would. */
async function takePortOf(service: string): Promise<Server> {
  const labels = ['--filter=label=appliance.name=montest', `--filter=label=appliance.service=${service}`];
  const { stdout: id } = await execa('docker', ['ps', '--quiet', ...labels]);
  await execa('docker', ['rm', '--force', id.trim()]);
  const server = createServer((socket) => socket.destroy());
  server.listen(monitoring, '127.0.0.1');
  await once(server, 'listening');
  return server;
}

/** An expression without its limits: what it measures, whether or not the limit is passed. */
function withoutLimit(query: string): string {
  return outsideStrings(query, (text) => text.replaceAll(/ (?:[<>]=?|[!=]=)(?: bool)? -?[\d.]+(?:e[+-]?\d+)?/g, ''));
}

/** Names of metrics in an expression: everything with an underscore or colon that is no function, label or text. */
function metricsIn(query: string): string[] {
  const bare = outsideStrings(query, (text) => text, '""')
    .replaceAll(/\{[^}]*\}/g, '')
    .replaceAll(/\b(?:by|on|group_left|without|ignoring) ?\([^)]*\)/g, '');
  const names = bare.match(/[a-zA-Z_:][\w:]*\b(?! ?\()/g) ?? [];
  return [...new Set(names.filter((name) => /[_:]/.test(name)))];
}

function outsideStrings(query: string, change: (text: string) => string, replacement?: string): string {
  return query
    .split(/("(?:[^"\\]|\\.)*")/)
    .map((part, index) => (index % 2 === 1 ? (replacement ?? part) : change(part)))
    .join('');
}
