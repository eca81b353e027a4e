import { createHash } from 'node:crypto';
import { appendFile, mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { z } from 'zod';
import { Lab } from '../support/appliance.ts';
import { unmount } from '../support/mounts.ts';

// One appliance with the reference application. The tests build on each other.
const port = 28_970;
const name = 'doctortest';
let lab: Lab;

const report = z.object({
  verdict: z.string(),
  by: z.string(),
  symptoms: z.array(
    z.object({
      symptom: z.string(),
      verdict: z.string(),
      observed: z.string(),
      causes: z.array(
        z.object({
          id: z.string(),
          confidence: z.string(),
          evidence: z.array(z.object({ source: z.string(), observed: z.string() })),
          commands: z.array(z.object({ command: z.string(), safe: z.boolean() })),
        }),
      ),
      unknown: z.array(z.object({ what: z.string(), why: z.string() })),
    }),
  ),
  fixes: z.array(
    z.object({ cause: z.string(), command: z.string(), result: z.string(), verified: z.string(), did: z.string() }),
  ),
});

async function doctor(...args: string[]) {
  const { exitCode, document } = await lab.json(['doctor', ...args]);
  const seen = report.parse(document);
  return { exitCode, ...seen, causes: seen.symptoms.flatMap(({ causes }) => causes) };
}
const containers = async (...filters: string[]) =>
  (await execa('docker', ['ps', '--all', '--quiet', ...filters.flatMap((one) => ['--filter', one])])).stdout
    .split('\n')
    .filter((id) => id !== '');
const live = (service: string) =>
  containers(`label=appliance.name=${name}`, `label=appliance.service=${service}`, 'label=appliance.role=app');
const liveBackends = () => live('backend');
/** Containers take a while to start, and a change of models has them started anew. */
const ruledOut = (...symptom: string[]) =>
  vi.waitFor(async () => expect((await doctor(...symptom)).causes).toEqual([]), { timeout: 120_000, interval: 1_000 });
/** What is found once everybody has answered: a process that has just started may need more than one question. */
const seen = (look: () => Promise<void>) => vi.waitFor(look, { timeout: 60_000, interval: 1_000 });
const dead = { DOCKER_HOST: 'unix:///nonexistent/docker.sock' };

beforeAll(async () => {
  lab = await Lab.make({
    name,
    port,
    pool: '10.250.0.0/16',
    edit: (yaml) => `${yaml}\nchecks: { smoke: [routing-ml] }\n`,
  });
});
afterAll(() => lab.destroy());

describe('before a first deploy', () => {
  it('nothing can be wrong with what is not there', async () => {
    expect(await doctor('502')).toMatchObject({
      exitCode: 4,
      by: 'in-process',
      symptoms: [{ observed: 'nothing is deployed yet' }],
    });
  });
});

describe('on a release that runs, without an agent', () => {
  beforeAll(async () => {
    const { exitCode, document } = await lab.json(['deploy', 'v1.0', '--yes']);
    expect([exitCode, document.error]).toEqual([0, undefined]);
  });
  it.each([
    '502',
    'metrics-missing',
    'stale-cache',
    'training-failed',
    'training-page',
    'data-inconsistent',
    'third-party',
  ])('%s is ruled out', async (symptom) => {
    // On a busy machine a look may come to its deadline, which is said.
    const seen = await vi.waitFor(
      async () => {
        const found = await doctor(symptom);
        expect(found.symptoms.flatMap(({ unknown }) => unknown)).toEqual([]);
        return found;
      },
      { timeout: 60_000, interval: 500 },
    );
    expect(seen.symptoms.map(({ causes }) => causes)).toEqual([[]]);
    expect(seen.exitCode).toBe(0);
  });
  it('says that no agent runs', async () => {
    expect((await doctor('agent-down')).causes.map(({ id }) => id)).toEqual(['agent-down']);
  });
  it('names an engine that is gone, and works without it', async () => {
    const { exitCode, stdout } = await lab.run(['doctor', '502', '--json'], dead);
    const seen = report.parse(JSON.parse(stdout));
    expect([exitCode, seen.symptoms[0]?.causes[0]?.id]).toEqual([3, 'engine-down']);
    expect(seen.symptoms[0]?.causes[0]?.evidence.map(({ source }) => source)).toContain('edge');
  });
  it('works with an appliance.yaml that cannot be used', async () => {
    await rename(lab.config, `${lab.config}.good`);
    try {
      await writeFile(lab.config, 'name: [\n');
      const seen = await doctor('configuration');
      expect([seen.exitCode, seen.causes.map(({ id }) => id)]).toEqual([3, ['configuration-broken']]);
    } finally {
      await rename(`${lab.config}.good`, lab.config);
    }
  });
});

describe('with an agent', () => {
  beforeAll(async () => {
    await lab.startAgent();
  });
  afterAll(() => lab.stopAgent());

  it('names a stopped backend with its evidence, starts it by --fix and proves it (S1-74)', async () => {
    const ids = await liveBackends();
    expect(ids).toHaveLength(2);
    await execa('docker', ['stop', '--time', '1', ...ids]);
    // What users get of it takes the edge a moment to notice.
    const stopped = await vi.waitFor(
      async () => {
        const seen = await doctor('502');
        expect([seen.exitCode, seen.by]).toEqual([3, 'agent']);
        const causes = seen.causes.filter(({ id }) => id.startsWith('service-stopped:backend-'));
        expect(causes.map(({ confidence }) => confidence)).toEqual(['certain', 'certain']);
        expect([seen.symptoms[0]?.unknown, causes[0]?.evidence.map(({ source }) => source)]).toEqual([
          expect.anything(),
          expect.arrayContaining(['services', 'routes']),
        ]);
        return causes;
      },
      { timeout: 60_000, interval: 1_000 },
    );
    expect(stopped[0]?.commands[0]).toMatchObject({ command: 'appliance up', safe: true });

    const fixed = await doctor('502', '--fix', '--yes');
    expect(fixed.fixes[0]).toMatchObject({ command: 'appliance up', result: 'done', verified: 'gone' });
    expect([fixed.exitCode, fixed.causes]).toEqual([0, []]);
    expect((await fetch(`http://127.0.0.1:${port}/health`)).status).toBe(200);
    const { documents } = await lab.json(['audit', '--limit', '10']);
    const rows = z
      .array(z.array(z.object({ action: z.string(), target: z.string().nullable(), result: z.string() })))
      .parse(documents)
      .flat();
    expect(rows).toContainEqual({
      action: 'doctor fix',
      target: expect.stringContaining('appliance up'),
      result: 'done, gone',
    });
  });
  it('names a metrics.json that somebody took away (S1-76)', async () => {
    const directory = join(lab.root, 'lib/persistent/models');
    await rename(join(directory, 'metrics.json'), join(directory, 'away.json'));
    try {
      await seen(async () => {
        const { exitCode, causes } = await doctor('metrics.json', 'missing');
        expect([exitCode, causes.map(({ id }) => id)]).toEqual([3, ['metrics-missing']]);
      });
    } finally {
      await rename(join(directory, 'away.json'), join(directory, 'metrics.json'));
    }
    await ruledOut('metrics-missing');
    await ruledOut('training-failed');
  });
  it('names the trainer that may not write, in whichever process (S1-75)', async () => {
    for (const backend of await liveBackends()) {
      const allow = (mode: string) =>
        execa('docker', [
          ...['exec', '--user', '0', backend, 'chmod', mode],
          ...['/app/training', '/app/training/versions'],
        ]);
      await allow('500');
      try {
        await seen(async () => {
          const { exitCode, causes } = await doctor('training', 'failed');
          expect([exitCode, causes[0]?.id, causes[0]?.confidence]).toEqual([3, 'training-permissions', 'certain']);
        });
      } finally {
        await allow('755');
      }
    }
  });
  it('names what keeps the training page from loading (S1-78)', async () => {
    const pages = await live('training');
    await execa('docker', ['stop', '--time', '1', ...pages]);
    try {
      await seen(async () => {
        const { exitCode, causes } = await doctor('training', 'page');
        const certain = causes.filter(({ confidence }) => confidence === 'certain').map(({ id }) => id);
        expect([exitCode, certain]).toEqual([3, ['service-stopped:training', 'page-absent']]);
      });
    } finally {
      await execa('docker', ['start', ...pages]);
    }
    await ruledOut('training-page');
  });
  it('goes on in its own process when the agent does not answer', async () => {
    const { pid = 0 } = z.object({ pid: z.number() }).parse((await lab.json(['agent'])).document);
    process.kill(pid, 'SIGSTOP');
    try {
      const seen = await doctor('agent-down');
      expect([seen.by, seen.causes.map(({ id }) => id)]).toEqual(['in-process', ['agent-down']]);
      expect(seen.symptoms[0]?.observed).toContain('does not answer');
    } finally {
      process.kill(pid, 'SIGCONT');
    }
  });
});

describe('support-bundle', () => {
  const answer = z.object({
    file: z.string(),
    bytes: z.number(),
    seconds: z.number(),
    files: z.array(z.object({ path: z.string(), missing: z.string().nullable() })),
    redacted: z.record(z.string(), z.number()),
  });
  const out = () => join(lab.root, 'out');
  const bundle = async (env: Readonly<Record<string, string>> = {}) => {
    const { exitCode, stdout } = await lab.run(
      ['support-bundle', '--output', join(out(), `${Math.random()}.tar.gz`), '--json'],
      env,
    );
    expect(exitCode).toBe(0);
    return answer.parse(JSON.parse(stdout));
  };
  const textOf = async (file: string) => {
    const { stdout } = await execa('tar', ['-xOzf', file], { maxBuffer: 200_000_000 });
    return stdout;
  };
  const missing = ({ files }: z.output<typeof answer>) =>
    files.filter((one) => one.missing !== null).map(({ path }) => path);
  const random = (about: string) => createHash('sha256').update(`${about} ${lab.root}`).digest('hex').slice(0, 24);
  /** Kinds of secrets → what must not be found, and the line that holds it. */
  const planted = (): Record<string, [string, string]> => ({
    bearer: [random('bearer'), `Authorization: Bearer ${random('bearer')}`],
    url: [random('url'), `postgresql://someone:${random('url')}@db.example.org/x`],
    jwt: [
      random('jwt'),
      `token eyJhbGciOiJIUzI1NiJ9.${Buffer.from(`{"x":"${random('jwt')}"}`).toString('base64url')}.${random('jwt')}`,
    ],
    pem: [random('pem'), `-----BEGIN RSA PRIVATE KEY-----\nMIIE${random('pem')}\n-----END RSA PRIVATE KEY-----`],
    aws: ['AKIAZZZZYYYYXXXX2345', 'key AKIAZZZZYYYYXXXX2345'],
    basic: [
      Buffer.from(`u:${random('basic')}`).toString('base64'),
      `Basic ${Buffer.from(`u:${random('basic')}`).toString('base64')}`,
    ],
    cookie: [random('cookie'), `Set-Cookie: session=${random('cookie')}; HttpOnly`],
    webhook: [random('webhook'), `https://hooks.slack.com/services/T00000000/B00000000/${random('webhook')}`],
    ldap: [random('ldap'), `LDAP_BIND_PASSWORD=${random('ldap')}`],
    account: [random('account'), `{"kty":"EC","d":"${random('account')}"}`],
    provider: [`ghp_${random('provider')}aaaaaaaaaaaa`, `using ghp_${random('provider')}aaaaaaaaaaaa`],
    option: [random('option'), `--api-key=${random('option')}`],
  });

  beforeAll(async () => {
    await mkdir(out(), { recursive: true });
  });

  it('holds none of the secrets of this appliance, nor twelve kinds that were planted', async () => {
    const [backend = ''] = await liveBackends();
    const plants = Object.values(planted()).map(([, line]) => line);
    const script = `printf '%b\\n' "$@" > /proc/1/fd/1`;
    await execa('docker', ['exec', backend, 'sh', '-c', script, 'sh', ...plants]);
    await appendFile(
      join(lab.root, 'log/agent.log'),
      plants.map((line) => `${JSON.stringify({ msg: line })}\n`).join(''),
    );
    await appendFile(join(lab.root, 'log/edge/error.log'), `${plants.join('\n')}\n`);
    const environment = await readFile(join(lab.root, 'etc/routing-ml.env'), 'utf8');
    const own = [...environment.matchAll(/^(\w*(?:PASSWORD|SECRET)\w*)=(.{8,})$/gm)].map(
      ([, key = '', value = '']) => [key, value] as const,
    );
    expect(own.length).toBeGreaterThan(2);
    const encoded = own.map(([, value]) => Buffer.from(`${value}`).toString('base64').replace(/=+$/, '').slice(0, -2));
    await appendFile(
      join(lab.root, 'log/agent.log'),
      own.map(([, value]) => `plain ${value} encoded ${Buffer.from(value).toString('base64')}\n`).join(''),
    );

    // On a busy machine a part may come to its deadline, which is said.
    const made = await vi.waitFor(
      async () => {
        const one = await bundle();
        expect(missing(one).filter((path) => !path.startsWith('metrics/'))).toEqual([]);
        return one;
      },
      { timeout: 90_000, interval: 500 },
    );
    expect((await stat(made.file)).mode & 0o777).toBe(0o600);
    const text = await textOf(made.file);
    expect(text.length).toBeGreaterThan(20_000);
    for (const [kind, [gone]] of Object.entries(planted())) expect([kind, text.includes(gone)]).toEqual([kind, false]);
    for (const [key, value] of own) expect([key, text.includes(value)]).toEqual([key, false]);
    for (const value of encoded) expect(text.includes(value)).toBe(false);
    const keys = ['lib/backups/key'].map(async (path) =>
      readFile(join(lab.root, path), 'utf8').catch(() => 'no key yet, which is fine'),
    );
    for (const key of await Promise.all(keys)) expect(text.includes(key.trim())).toBe(false);
    expect(Object.keys(made.redacted).length).toBeGreaterThanOrEqual(12);
    for (const part of [
      'status.json',
      'doctor.json',
      'audit.json',
      'agent/agent.log',
      'edge/nginx.conf',
      'engine.json',
    ])
      expect(made.files.map(({ path }) => path)).toContain(part);
    expect(made.files.map(({ path }) => path).filter((path) => path.startsWith('logs/')).length).toBeGreaterThan(5);
  });
  it('twice at once gives two', async () => {
    const both = await Promise.all([bundle(), bundle()]);
    for (const one of both) expect(await textOf(one.file)).toContain('"verdict"');
  });
  it('is made without an engine, and says what is missing', async () => {
    const made = await bundle(dead);
    expect(missing(made)).toEqual(expect.arrayContaining(['engine.json', 'logs/containers']));
    expect(await textOf(made.file)).toContain('engine-down');
  });
  it('on a full disk leaves nothing behind and says so', async ({ skip }) => {
    const full = join(out(), 'full');
    await mkdir(full);
    if ((await execa('mount', ['-t', 'tmpfs', '-o', 'size=8k', 'tmpfs', full], { reject: false })).exitCode !== 0)
      return skip('a tmpfs cannot be mounted here');
    try {
      const { exitCode, stdout } = await lab.run(['support-bundle', '--output', join(full, 'a.tar.gz'), '--json']);
      expect([exitCode, JSON.parse(stdout)]).toEqual([
        1,
        { error: expect.objectContaining({ code: 'disk_full', left: expect.stringContaining('nothing was written') }) },
      ]);
      expect(await readdir(full)).toEqual([]);
    } finally {
      unmount(full);
      await rm(full, { recursive: true });
    }
  });
  it('leaves a file that exists as it is', async () => {
    await writeFile(join(out(), 'mine'), 'mine');
    const { exitCode } = await lab.run(['support-bundle', '--output', join(out(), 'mine')]);
    expect([exitCode, await readFile(join(out(), 'mine'), 'utf8')]).toEqual([2, 'mine']);
  });
});
