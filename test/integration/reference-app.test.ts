import { createHash } from 'node:crypto';
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { execa } from 'execa';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';

/**
 * The reference application as its own Compose project, without the appliance: what it answers, what its releases do
 * to each other's schema, and that its repository and images come out as promised. Needs a Docker Engine.
 */
const compose = resolve(import.meta.dirname, '../../compose');
const project = 'rmltest';
const ports = { BACKEND_PORTS: '', TRAINING_PORT: '', PREDICTION_PORT: '' };
const megabytes = 1_000_000;

let folder: string;
let addresses: { backend: string; training: string; prediction: string };
let token: string;

const script = (name: string, ...args: string[]) => execa(join(compose, name), args, { timeout: 170_000 });

/** docker compose for one release, in that release's own checkout; all of them share the project's volumes. */
const docker = (tag: string, ...args: string[]) =>
  execa('docker', ['compose', '-p', project, ...args], {
    cwd: join(folder, tag),
    env: ports,
    timeout: 120_000,
    reject: false,
  });

async function checkOut(tag: string): Promise<void> {
  await execa('git', ['clone', '--quiet', '--branch', tag, join(folder, 'repository'), join(folder, tag)]);
  await execa('cp', ['-p', join(folder, '.env'), join(folder, tag, '.env')]);
}

async function address(tag: string, service: string, port: number): Promise<string> {
  const { stdout } = await docker(tag, 'port', '--index', '1', service, String(port));
  return `http://${z.string().min(1).parse(stdout)}`;
}

const release = (response: Response) => response.headers.get('x-appliance-release');

function ask(path: string, body?: unknown, bearer: string | null = token, base = addresses.backend): Promise<Response> {
  return fetch(`${base}${path}`, {
    method: body === undefined ? 'GET' : 'POST',
    headers: {
      'content-type': 'application/json',
      ...(bearer === null ? {} : { authorization: `Bearer ${bearer}` }),
    },
    ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    signal: AbortSignal.timeout(20_000),
  });
}

async function until(what: string, seconds: number, holds: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + seconds * 1_000;
  while (!(await holds().catch(() => false))) {
    if (Date.now() > deadline) {
      throw new Error(`${what}: not within ${seconds} s`);
    }
    await new Promise((done) => setTimeout(done, 100));
  }
}

/** Puts one backend of a release in the place of all others, without its migration, and waits for an HTTP status. */
async function startBackend(tag: string, health: number): Promise<string> {
  await docker(tag, 'rm', '--stop', '--force', 'backend');
  const up = await docker(tag, 'up', '-d', '--no-deps', '--scale', 'backend=1', 'backend');
  expect(up.exitCode, up.stderr).toBe(0);
  let base = '';
  await until(`${tag} answers ${health}`, 90, async () => {
    base = await address(tag, 'backend', 8000);
    const answer = await fetch(`${base}/health`, { signal: AbortSignal.timeout(5_000) });
    return answer.status === health && release(answer) === tag;
  });
  return base;
}

const prediction = z.object({
  item_code: z.string(),
  prediction: z.string(),
  confidence: z.number().min(0).max(1),
  interval: z.object({ low: z.number(), high: z.number() }),
  candidates: z.array(z.object({ route: z.string(), confidence: z.number().min(0).max(1) })).min(1),
  recorded: z.literal(true),
});

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'rmltest-'));
  await script('images/build.sh', 'postgres', 'redis', 'static', 'routing-ml-python');
  await script('routing-ml/make-repository.sh', join(folder, 'repository'));
  await script('routing-ml/make-env.sh', join(folder, '.env'));
  await Promise.all(
    [
      'v0.9',
      'v1.0',
      'v1.0-p2',
      'v1.1',
      'v1.2-broken',
      'v1.3-overload',
      'v1.3-slow',
      'v1.3-inaccurate',
      'v1.3-shifted',
    ].map(checkOut),
  );
  await docker('v1.0', 'down', '--volumes', '--remove-orphans');
  const build = await docker('v1.0', 'build', '--quiet');
  expect(build.exitCode, build.stderr).toBe(0);
  const up = await docker('v1.0', 'up', '-d', '--wait', 'backend', 'training', 'prediction');
  expect(up.exitCode, up.stderr).toBe(0);
  addresses = {
    backend: await address('v1.0', 'backend', 8000),
    training: await address('v1.0', 'training', 3000),
    prediction: await address('v1.0', 'prediction', 3001),
  };
  const password = /^DEMO_PASSWORD=(.+)$/m.exec(await readFile(join(folder, '.env'), 'utf8'))?.[1];
  const login = await ask('/api/auth/login', { username: 'demo', password }, null);
  token = z.object({ access_token: z.string() }).parse(await login.json()).access_token;
}, 600_000);

afterAll(async () => {
  const down = await docker('v1.0', 'down', '--volumes', '--remove-orphans', '--timeout', '5');
  await rm(folder, { recursive: true, force: true });
  expect(down.exitCode, down.stderr).toBe(0);
});

describe('the running release', () => {
  test('S1-28: /health is ok, with a timestamp and a loaded model', async () => {
    const health = z
      .object({ status: z.string(), timestamp: z.iso.datetime(), model_loaded: z.boolean(), release: z.string() })
      .parse(await (await ask('/health', undefined, null)).json());
    expect(health).toMatchObject({ status: 'ok', model_loaded: true, release: 'v1.0' });
    expect(Math.abs(Date.now() - Date.parse(health.timestamp))).toBeLessThan(60_000);
  });

  test('S1-29, S1-36: both pages are HTML, say their release, and all they refer to exists', async () => {
    for (const base of [addresses.training, addresses.prediction]) {
      const page = await fetch(`${base}/`);
      expect(page.headers.get('content-type')).toContain('text/html');
      expect(release(page)).toBe('v1.0');
      const html = await page.text();
      const references = [...html.matchAll(/(?:href|src)="([^"]+)"/g)].map((match) => match[1]);
      expect(references).toContain('style.css');
      for (const path of [...references, 'platform.js', 'release.css', 'release.json', 'VERSION']) {
        expect((await fetch(`${base}/${path}`)).status, path).toBe(200);
      }
      expect((await fetch(`${base}/health`)).status).toBe(200);
    }
  });

  test('S1-33: a login gives a token; a wrong password and a forged token do not pass', async () => {
    expect(token.split('.')).toHaveLength(3);
    expect((await ask('/api/auth/login', { username: 'demo', password: 'wrong' }, null)).status).toBe(401);
    expect((await ask('/api/routing/predict', { item_code: 'ITEM_A001' }, null)).status).toBe(401);
    const unsigned = `${Buffer.from('{"alg":"none"}').toString('base64url')}.${token.split('.')[1]}.`;
    expect((await ask('/api/routing/predict', { item_code: 'ITEM_A001' }, unsigned)).status).toBe(401);
  });

  test('S1-34, S2-1: ITEM_A001 is predicted, 0 <= p <= 1 inside its interval, and recorded', async () => {
    const answer = await ask('/api/routing/predict', { item_code: 'ITEM_A001' });
    expect(release(answer)).toBe('v1.0');
    const { confidence, interval, candidates } = prediction.parse(await answer.json());
    expect(interval.low).toBeLessThanOrEqual(confidence);
    expect(interval.high).toBeGreaterThanOrEqual(confidence);
    expect(candidates[0]?.confidence).toBe(confidence);
  });

  test('S0-31: a batch of 100 in less than 10 s; unknown codes are named', async () => {
    const codes = Array.from({ length: 100 }, (_, index) => `ITEM_B${String(index + 1).padStart(3, '0')}`);
    const started = performance.now();
    const answer = await ask('/api/routing/predict/batch', { item_codes: [...codes, 'ITEM_X1'] });
    expect(performance.now() - started).toBeLessThan(10_000);
    const batch = z
      .object({ predictions: z.array(prediction), unknown: z.array(z.string()) })
      .parse(await answer.json());
    expect(batch.predictions.map((one) => one.item_code)).toEqual(codes);
    expect(batch.unknown).toEqual(['ITEM_X1']);
  });

  test('S3-10: bad input is refused with 4xx and JSON, and carries the release', async () => {
    const cases: [string, unknown, number][] = [
      ['/api/routing/predict', '{"item_code"', 422],
      ['/api/routing/predict', { item_code: 'ITEM_NONE' }, 404],
      ['/api/routing/predict', { item_code: "x'; DROP TABLE items" }, 422],
      ['/api/routing/predict', {}, 422],
      ['/api/routing/predict/batch', { item_codes: [] }, 422],
      ['/api/routing/predict/batch', { item_codes: Array(1001).fill('ITEM_A001') }, 422],
      ['/api/auth/login', 'x'.repeat(1_100_000), 413],
      ['/api/nothing', undefined, 404],
    ];
    for (const [path, body, status] of cases) {
      const answer = await ask(path, body);
      expect(answer.status, path).toBe(status);
      expect(release(answer)).toBe('v1.0');
      expect(z.object({ error: z.object({ code: z.string() }) }).safeParse(await answer.json()).success).toBe(true);
    }
  });

  test('S1-35: a dry run of the trainer answers 202 and trains nothing; a run leaves a new model', async () => {
    const status = async () =>
      z
        .object({ state: z.string(), versions: z.array(z.string()) })
        .parse(await (await ask('/api/trainer/status')).json());
    expect((await ask('/api/trainer/run', { dry_run: true })).status).toBe(202);
    expect(await status()).toEqual(expect.objectContaining({ state: 'idle', versions: [] }));
    expect((await ask('/api/trainer/run', {})).status).toBe(202);
    await until('training ends', 90, async () => (await status()).state === 'succeeded');
    expect((await status()).versions).toHaveLength(1);
  });

  test('S1-30: data quality comes from PostgreSQL, for authenticated callers only', async () => {
    expect((await ask('/api/data-quality/metrics', undefined, null)).status).toBe(401);
    const quality = z
      .object({
        items: z.object({ items: z.number() }),
        predictions_24h: z.object({ predictions: z.number() }),
        schema: z.number(),
      })
      .parse(await (await ask('/api/data-quality/metrics')).json());
    expect(quality).toMatchObject({ items: { items: 400 }, schema: 1 });
    expect(quality.predictions_24h.predictions).toBeGreaterThanOrEqual(101);
  });

  test('S1-31: the digest of the active model is that of the manifest, and reloading it works', async () => {
    const manifest = await readFile(join(folder, 'v1.0/models/manifest.json'));
    const digest = createHash('sha256').update(manifest).digest('hex');
    expect(await (await ask('/api/models/active', undefined, null)).json()).toMatchObject({ sha256: digest });
    expect(await (await ask('/api/models/reload', {})).json()).toMatchObject({ sha256: digest, changed: false });
  });

  test('S4-12, S3-11: the latency histogram has an edge at every threshold of the policies', async () => {
    const metrics = await (await ask('/metrics')).text();
    for (const edge of ['0.1', '0.12', '0.15', '0.2', '0.3', '0.5', '1.0']) {
      expect(metrics).toMatch(new RegExp(`^http_request_duration_seconds_bucket\\{le="${edge}",.*predict"\\}`, 'm'));
    }
    expect(metrics).toMatch(/^routing_ml_model_loaded 1\.0$/m);
  });

  test('S0-9: every image stays below 500 MB', async () => {
    const names = ['appliance/postgres:17', 'appliance/redis:8', 'appliance/static:1', 'appliance/routing-ml-python:1'];
    const ours = ['backend', 'training', 'prediction'].map((name) => `routing-ml/${name}:v1.0`);
    for (const name of [...names, ...ours]) {
      const { stdout } = await execa('docker', ['image', 'inspect', '--format', '{{.Size}}', name]);
      expect(Number(stdout), name).toBeLessThan(500 * megabytes);
    }
  });
});

describe('releases and schemas', { timeout: 400_000 }, () => {
  test('S1-25: v1.0-p2 migrates to schema 2, with which v0.9 still works', async () => {
    expect((await docker('v1.0-p2', 'build', '--quiet')).exitCode).toBe(0);
    const migrate = await docker('v1.0-p2', 'run', '--rm', 'migrate');
    expect(migrate.stdout, migrate.stderr).toContain('schema 2, readable from 1');
    expect((await docker('v0.9', 'build', '--quiet')).exitCode).toBe(0);
    expect((await docker('v0.9', 'run', '--rm', 'migrate')).exitCode).toBe(0);
    const base = await startBackend('v0.9', 200);
    const answer = await ask('/api/routing/predict', { item_code: 'ITEM_A001' }, token, base);
    expect(answer.status).toBe(200);
    expect(await answer.json()).toMatchObject({ release: 'v0.9', recorded: true });
  });

  test('S1-28: v1.2-broken runs on a schema it can read, and never becomes healthy', async () => {
    expect((await docker('v1.2-broken', 'build', '--quiet')).exitCode).toBe(0);
    const base = await startBackend('v1.2-broken', 503);
    for (let look = 0; look < 5; look += 1) {
      const answer = await fetch(`${base}/health`);
      expect(answer.status).toBe(503);
      expect(await answer.json()).toMatchObject({ model_loaded: false, database: 'ok' });
      await new Promise((done) => setTimeout(done, 500));
    }
  });

  test('v1.3-overload is sound alone and fails under load; v1.3-slow is slow and never fails', async () => {
    for (const tag of ['v1.3-overload', 'v1.3-slow']) expect((await docker(tag, 'build', '--quiet')).exitCode).toBe(0);
    const overload = await startBackend('v1.3-overload', 200);
    const statuses = (count: number) =>
      Promise.all(Array.from({ length: count }, async () => (await fetch(`${overload}/api/models/active`)).status));
    expect(await statuses(2)).toEqual([200, 200]);
    // It bears five in a second: so many that it meets more than that however long they take.
    const crowd = await statuses(200);
    expect(crowd.filter((status) => status === 500).length).toBeGreaterThan(30);
    expect((await fetch(`${overload}/health`)).status).toBe(200);
    const slow = await startBackend('v1.3-slow', 200);
    const began = performance.now();
    expect((await fetch(`${slow}/api/models/active`)).status).toBe(200);
    expect(performance.now() - began).toBeGreaterThan(340);
  });

  test('v1.3-inaccurate is wrong and v1.3-shifted drifts (S3-12); both answer', async () => {
    for (const tag of ['v1.3-inaccurate', 'v1.3-shifted'])
      expect((await docker(tag, 'build', '--quiet')).exitCode).toBe(0);
    const gauge = async (base: string, name: string): Promise<number> => {
      const text = await (await fetch(`${base}/metrics`)).text();
      return Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(text)?.[1]);
    };
    const predict = async (base: string): Promise<number> => {
      const codes = Array.from({ length: 60 }, (_, index) => `ITEM_A${String(index + 1).padStart(3, '0')}`);
      const answer = await ask('/api/routing/predict/batch', { item_codes: codes }, token, base);
      return answer.status;
    };
    const drift = (base: string) => gauge(base, 'routing_ml_feature_drift\\{feature="length_mm"\\}');
    const text = await readFile(join(compose, 'routing-ml/app/models/metrics.json'), 'utf8');
    const usual = z.object({ accuracy: z.number() }).parse(JSON.parse(text)).accuracy;
    const inaccurate = await startBackend('v1.3-inaccurate', 200);
    expect(await predict(inaccurate)).toBe(200);
    expect(await gauge(inaccurate, 'routing_ml_model_accuracy')).toBeLessThan(0.85 * usual);
    expect(Math.abs(await drift(inaccurate))).toBeLessThan(1);
    const shifted = await startBackend('v1.3-shifted', 200);
    expect(await predict(shifted)).toBe(200);
    expect(Math.abs(await drift(shifted))).toBeGreaterThan(1.5);
  });

  test('S1-68: v1.1 migrates to schema 3: a running v0.9 turns unhealthy, and its migration is refused with both numbers', async () => {
    const base = await startBackend('v0.9', 200);
    expect((await docker('v1.1', 'build', '--quiet')).exitCode).toBe(0);
    const migrate = await docker('v1.1', 'run', '--rm', 'migrate');
    expect(migrate.stdout, migrate.stderr).toContain('schema 3, readable from 3');
    await until('v0.9 is unhealthy', 60, async () => (await fetch(`${base}/health`)).status === 503);
    expect(await (await fetch(`${base}/health`)).json()).toMatchObject({ database: 'schema_mismatch' });
    const refused = await docker('v0.9', 'run', '--rm', 'migrate');
    expect(refused.exitCode).toBe(1);
    expect(refused.stderr).toMatch(/schema 3.*built for schema 1/);
  });
});

describe('its scripts', () => {
  test('S1-23: the repository is the same every time, and every tag declares its schema', async () => {
    const second = join(folder, 'second');
    await script('routing-ml/make-repository.sh', second);
    const tags = (path: string) => execa('git', ['-C', path, 'for-each-ref', 'refs/tags']);
    expect((await tags(second)).stdout).toBe((await tags(join(folder, 'repository'))).stdout);
    expect((await script('routing-ml/make-repository.sh', second)).stderr).toContain('up to date');
    const schemas = [
      'v0.9',
      'v1.0',
      'v1.0-p2',
      'v1.1',
      'v1.2-broken',
      'v1.3-overload',
      'v1.3-slow',
      'v1.3-inaccurate',
      'v1.3-shifted',
    ].map(async (tag) => {
      const { stdout } = await docker(tag, 'config', '--format', 'json');
      const numbers = z.object({ version: z.number(), readableFrom: z.number() });
      const parsed = z.object({ 'x-appliance': z.object({ schema: numbers }) }).parse(JSON.parse(stdout));
      const { version, readableFrom } = parsed['x-appliance'].schema;
      return [version, readableFrom];
    });
    expect(await Promise.all(schemas)).toEqual([
      [1, 1],
      [1, 1],
      [2, 1],
      [3, 3],
      [2, 1],
      [2, 1],
      [2, 1],
      [2, 1],
      [2, 1],
    ]);
  });

  test('a repository of an older version gets the releases that it lacks, and the same commits', async () => {
    const older = join(folder, 'older');
    await script('routing-ml/make-repository.sh', older);
    const tags = async () => (await execa('git', ['-C', older, 'for-each-ref', 'refs/tags'])).stdout;
    const all = await tags();
    await execa('git', ['-C', older, 'tag', '--delete', 'v1.3-overload', 'v1.3-slow']);
    expect((await script('routing-ml/make-repository.sh', older)).stderr).toContain('added v1.3-overload v1.3-slow');
    expect(await tags()).toBe(all);
  });

  test('another repository at the target is left as it is', async () => {
    const other = join(folder, 'other');
    await execa('git', ['init', '--quiet', other]);
    const refused = await execa(join(compose, 'routing-ml/make-repository.sh'), [other], { reject: false });
    expect(refused.exitCode).toBe(1);
    expect((await execa('git', ['-C', other, 'tag'])).stdout).toBe('');
  });

  test('S1-8, S1-14: the environment file is private, random, and never overwritten', async () => {
    const file = join(folder, '.env');
    const before = await readFile(file, 'utf8');
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    // Long enough that none has too few different characters for the backend by chance.
    const secrets = [...before.matchAll(/^(?:\w+_PASSWORD|JWT_SECRET)=(.*)$/gm)].map(([, secret = '']) => secret);
    expect(secrets).toHaveLength(4);
    for (const secret of secrets) expect(secret).toMatch(/^[0-9a-f]{48,}$/);
    await script('routing-ml/make-env.sh', file);
    expect(await readFile(file, 'utf8')).toBe(before);
    await script('routing-ml/make-env.sh', join(folder, 'other.env'));
    expect(await readFile(join(folder, 'other.env'), 'utf8')).not.toBe(before);
  });

  test('S1-8, S1-15: a short token secret and a default password are refused, without repeating them', async () => {
    const settings = ['JWT_SECRET=short', 'DEMO_PASSWORD=password'].flatMap((setting) => ['-e', setting]);
    const refused = await docker('v1.0', 'run', '--rm', '--no-deps', ...settings, 'backend');
    expect(refused.exitCode).toBe(78);
    expect(refused.stdout).toContain('JWT_SECRET must have at least 32 characters');
    expect(refused.stdout).toContain('DEMO_PASSWORD is a default');
    expect(refused.stdout).not.toContain('"password"');
  });
});
