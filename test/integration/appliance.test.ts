import { readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { operationResultSchema, releaseSchema, statusSchema } from '../../src/api/schema.ts';
import { Lab } from '../support/appliance.ts';
import { Load } from '../support/load.ts';

// One appliance with the reference application, taken through a whole life. The tests build on each other.
const port = 28_180;
let lab: Lab;

const deploy = async (tag: string, ...more: string[]) => {
  const { exitCode, document } = await lab.json(['deploy', tag, '--yes', ...more]);
  return { exitCode, document };
};
const status = async () => statusSchema.parse((await lab.json(['status'])).document);
const releaseOf = async (): Promise<string | null> =>
  (await fetch(`http://127.0.0.1:${port}/health`)).headers.get('x-appliance-release');
const load = () => new Load({ port, path: '/health', keepAlive: 32, fresh: 4, pause: 3 });

beforeAll(async () => {
  lab = await Lab.make({ name: 'lifetest', port, pool: '10.217.0.0/16' });
});
afterAll(async () => {
  await lab.destroy();
});

describe('before anything is deployed', () => {
  it('status says so and is not a pass', async () => {
    const seen = await status();
    expect(seen).toMatchObject({ release: null, verdict: 'fail', agent: { running: false } });
  });
  it('rollback refuses with exit 6', async () => {
    const { exitCode, document } = await lab.json(['rollback']);
    expect(exitCode).toBe(6);
    expect(document).toMatchObject({ error: { code: 'not_deployed', exit: 6 } });
  });
  it('plan changes nothing on the engine and makes no release', async () => {
    const { exitCode, document } = await lab.json(['plan', 'v1.0-p2']);
    expect(exitCode).toBe(0);
    expect(document).toMatchObject({ kind: 'deploy', from: null, to: 'v1.0-p2', predictedDowntimeSeconds: 0 });
    expect((await lab.json(['releases'])).document).toEqual({});
    const { stdout } = await execa('docker', ['ps', '-aq', '--filter', 'label=appliance.name=lifetest']);
    expect(stdout).toBe('');
  });
});

describe('without an agent', () => {
  it('deploys v0.9 in its own process', async () => {
    const { exitCode, document } = await deploy('v0.9');
    expect(exitCode).toBe(0);
    expect(operationResultSchema.parse(document)).toMatchObject({
      kind: 'deploy',
      from: null,
      to: 'v0.9',
      result: 'done',
    });
    expect(await releaseOf()).toBe('v0.9');
  });
  it('keeps secrets at mode 0600', async () => {
    const releases = join(lab.root, 'lib/releases');
    const [id = ''] = await readdir(releases);
    for (const file of ['model.json', 'environment.json']) {
      expect((await stat(join(releases, id, file))).mode & 0o777).toBe(0o600);
    }
    expect((await stat(join(lab.root, 'lib/state.db'))).mode & 0o777).toBe(0o600);
  });
});

describe('with an agent, under load of clients that never retry', () => {
  beforeAll(() => lab.startAgent());

  it('deploys v1.0 and v1.0-p2, rolls back cold and warm, and loses nothing (S1-64, S1-65)', async () => {
    const clients = load();
    expect((await deploy('v1.0')).exitCode).toBe(0);
    expect((await deploy('v1.0-p2')).exitCode).toBe(0);
    const cold = operationResultSchema.parse((await lab.json(['rollback', 'v0.9'])).document);
    expect(cold).toMatchObject({ from: 'v1.0-p2', to: 'v0.9', result: 'done' });
    const warm = operationResultSchema.parse((await lab.json(['rollback', 'v1.0-p2'])).document);
    expect(warm).toMatchObject({ from: 'v0.9', to: 'v1.0-p2', result: 'done' });
    expect(warm.steps.map(({ name }) => name)).toEqual([
      'wait-healthy',
      'configure-edge',
      'shift-traffic',
      'record-live',
    ]);
    const { requests, losses, releases } = await clients.stop();
    expect(losses).toEqual([]);
    expect([...releases.keys()]).toEqual(['v0.9', 'v1.0', 'v1.0-p2']);
    expect(requests).toBeGreaterThan(5_000);
  });

  it('tells who did what, and proves it', async () => {
    const { documents } = await lab.json(['audit']);
    const entries = documents.flat();
    expect(entries).toContainEqual(
      expect.objectContaining({
        action: 'rollback',
        target: 'v0.9',
        result: 'done',
        actor: { uid: 0, user: 'root', ssh: null },
      }),
    );
    expect((await lab.json(['audit', 'verify'])).document).toMatchObject({ verdict: 'pass', brokenAt: null });
  });

  it('status is the one of CONTRACT, and passes', async () => {
    const seen = await status();
    expect(seen).toMatchObject({
      name: 'lifetest',
      release: { tag: 'v1.0-p2' },
      warm: { tag: 'v0.9' },
      verdict: 'pass',
      operation: null,
      agent: { running: true },
    });
    expect(seen.traffic[seen.release?.colour ?? 'blue']).toBe(100);
    expect(seen.services.filter(({ colour }) => colour === seen.release?.colour).map(({ name }) => name)).toEqual([
      'backend-1',
      'backend-2',
      'prediction',
      'training',
    ]);
  });

  it('knows its releases: live, warm, kept', async () => {
    const { documents } = await lab.json(['releases']);
    const releases = documents.flat().map((release) => releaseSchema.parse(release));
    expect(Object.fromEntries(releases.map(({ tag, state }) => [tag, state]))).toEqual({
      'v1.0-p2': 'live',
      'v0.9': 'warm',
      'v1.0': 'kept',
    });
    for (const { images } of releases) for (const { digest } of images) expect(digest).toMatch(/^sha256:[0-9a-f]{64}$/);
  });

  it('a release that never becomes healthy does no harm', async () => {
    const clients = load();
    const { exitCode, document } = await deploy('v1.2-broken');
    expect(exitCode).toBe(1);
    expect(document).toMatchObject({ result: 'failed', to: 'v1.2-broken', error: { exit: 1 } });
    const { losses, releases } = await clients.stop();
    expect(losses).toEqual([]);
    expect([...releases.keys()]).toEqual(['v1.0-p2']);
    // The release that was warm had to make room; the live one is untouched.
    expect(await status()).toMatchObject({ release: { tag: 'v1.0-p2' }, warm: null, verdict: 'pass' });
  });

  it('refuses a migration that the live release could not read (both numbers)', async () => {
    const { exitCode, document } = await deploy('v1.1');
    expect(exitCode).toBe(1);
    expect(document).toMatchObject({
      result: 'failed',
      error: { code: 'schema_gate', message: expect.stringMatching(/schema 3.*schema 2/) },
    });
    expect(await releaseOf()).toBe('v1.0-p2');
  });

  it('a second operation is told who holds the lock (exit 5), or waits for it', async () => {
    // Whichever comes first takes the lock; the restart waits for its turn, the deploy (of what is live) does not.
    const first = lab.json(['restart', '--wait', '60s']);
    let busy = await lab.json(['deploy', 'v1.0-p2', '--yes']);
    while (busy.exitCode === 0) busy = await lab.json(['deploy', 'v1.0-p2', '--yes']);
    expect(busy.exitCode).toBe(5);
    expect(busy.document).toMatchObject({
      error: { code: 'busy', message: expect.stringContaining('restart is running: begun by root') },
    });
    const waiting = await lab.json(['restart', 'training', '--wait', '60s']);
    expect((await first).exitCode).toBe(0);
    expect(waiting.exitCode).toBe(0);
  });

  it('rebuilds from the tag when the images are gone', async () => {
    const { stdout } = await execa('docker', [
      'images',
      '--format',
      '{{.Repository}}:{{.Tag}}',
      'appliance.local/lifetest/*',
    ]);
    const old = stdout
      .split('\n')
      .filter((image) => /\/(backend|prediction|training|migrate):v1\.0-[0-9a-f]{10}$/.test(image));
    expect(old.length).toBeGreaterThan(0);
    await execa('docker', ['rmi', '--force', ...old]);
    const rebuilt = operationResultSchema.parse((await lab.json(['rollback', 'v1.0'])).document);
    expect(rebuilt.result).toBe('done');
    expect(rebuilt.steps[0]?.name).toBe('build-images');
    expect(await releaseOf()).toBe('v1.0');
  });

  it('recreate crosses a breaking migration, and the way back is refused with both numbers', async () => {
    const planned = await lab.json(['plan', 'v1.1', '--strategy', 'recreate']);
    expect(planned.document).toMatchObject({
      strategy: 'recreate',
      notes: expect.arrayContaining([expect.stringContaining('no way back to v1.0')]),
    });
    expect((await deploy('v1.1', '--strategy', 'recreate')).exitCode).toBe(0);
    expect(await releaseOf()).toBe('v1.1');
    const { exitCode, document } = await lab.json(['rollback', 'v0.9']);
    expect(exitCode).toBe(1);
    expect(document).toMatchObject({
      error: { code: 'schema_gate', message: expect.stringMatching(/schema 1;.*schema 3/) },
    });
  });

  it('down keeps the data, up brings everything back', async () => {
    expect((await lab.run(['down', '--yes'])).exitCode).toBe(0);
    expect((await lab.run(['up'])).exitCode).toBe(0);
    expect(await releaseOf()).toBe('v1.1');
    expect(await status()).toMatchObject({ release: { tag: 'v1.1' }, verdict: 'pass' });
  });

  it('refuses a second agent', async () => {
    const second = await lab.run(['agent', '--foreground']);
    expect(second.exitCode).toBe(5);
    expect(second.stderr).toContain('agent');
  });
});

describe('bad input: one clear message, nothing touched', () => {
  it('offers near matches for an unknown tag (exit 6)', async () => {
    const { exitCode, document } = await deploy('v1.0-p3');
    expect(exitCode).toBe(6);
    expect(document).toMatchObject({ error: { code: 'tag_not_found', hint: expect.stringContaining('v1.0-p2') } });
  });

  it.each(['--upload-pack=x', '../x', 'v1;rm -rf /', '-v1', 'a..b', 'v1.lock', ''])(
    'refuses the tag %j (exit 2)',
    async (tag) => {
      const { exitCode, stdout } = await lab.run(['deploy', '--json', '--yes', '--', tag]);
      expect(exitCode).toBe(2);
      expect(JSON.parse(stdout.split('\n').at(-1) ?? '')).toMatchObject({ error: { exit: 2 } });
    },
  );

  it('notices a tag that was moved, and goes on only when told so', async () => {
    const git = (...args: string[]) =>
      execa('git', ['-C', lab.repository, '-c', 'user.name=t', '-c', 'user.email=t@example.com', ...args]);
    const { stdout: original } = await git('rev-parse', 'v1.0^{commit}');
    try {
      await git('tag', '--force', 'v1.0', 'v1.0-p2^{commit}');
      const refused = await lab.json(['plan', 'v1.0']);
      expect(refused.exitCode).toBe(2);
      expect(refused.document).toMatchObject({
        error: { code: 'moved_tag', hint: expect.stringContaining('--accept-moved-tag') },
      });
    } finally {
      await git('tag', '--force', 'v1.0', original);
    }
  });

  it('is clear about an engine that does not answer (exit 8)', async () => {
    await lab.stopAgent();
    const { exitCode, stdout } = await lab.run(['deploy', 'v1.1', '--yes', '--json'], {
      DOCKER_HOST: `unix://${lab.root}/no-engine.sock`,
    });
    expect(exitCode).toBe(8);
    expect(stdout).toContain('"code":"engine_unreachable"');
    expect(await releaseOf()).toBe('v1.1');
  });

  describe('in the configuration (exit 2)', () => {
    let good: string;
    beforeAll(async () => {
      good = await readFile(lab.config, 'utf8');
    });
    afterAll(() => writeFile(lab.config, good));

    it.each([
      ['broken YAML', (text: string) => text.replace('services:', 'services: ['), /appliance\.yaml:\d+:\d+/],
      ['a duplicate key', (text: string) => `${text}\nname: other\n`, /appliance\.yaml:\d+:\d+/],
      ['an unknown key', (text: string) => text.replace('persistent:', 'persistant:'), /persistant.*persistent/s],
      ['an unknown service', (text: string) => text.replace('  redis: {', '  redi: {'), /redi\b/],
    ])('%s', async (_, spoil, message) => {
      await writeFile(lab.config, spoil(good));
      const count = await readdir(join(lab.root, 'lib/releases'));
      const { exitCode, stdout } = await lab.run(['deploy', 'v1.0-p2', '--yes', '--json']);
      const last = JSON.parse(stdout.split('\n').at(-1) ?? '{}');
      expect(last.error).toMatchObject({ message: expect.stringMatching(message), exit: 2 });
      expect(exitCode).toBe(2);
      expect(await readdir(join(lab.root, 'lib/releases'))).toEqual(count);
    });

    it('a 5 MB line in the environment file', async () => {
      await writeFile(lab.config, good);
      const env = join(lab.root, 'etc/routing-ml.env');
      const text = await readFile(env, 'utf8');
      try {
        await writeFile(env, `${text}\nHUGE=${'x'.repeat(5_000_000)}\n`);
        const { exitCode, stdout, stderr } = await lab.run(['deploy', 'v1.0-p2', '--yes', '--json']);
        expect(exitCode).toBe(2);
        expect(stdout.length + stderr.length).toBeLessThan(20_000);
        expect(stdout).toMatch(/routing-ml\.env:\d+/);
      } finally {
        await writeFile(env, text);
      }
    });

    it('an exhausted subnet pool names what is in the way', async () => {
      const other = await Lab.make({ name: 'fulltest', port: 28_190, pool: '172.17.0.0/23' });
      try {
        const { exitCode, stdout } = await other.run(['deploy', 'v0.9', '--yes', '--json']);
        expect(exitCode).toBe(1);
        expect(stdout).toContain('"code":"subnet_exhausted"');
        expect(stdout).toContain('bridge');
      } finally {
        await other.destroy();
      }
    });
  });

  it('leaves a secret in no output, log, journal or audit', async () => {
    const env = await readFile(join(lab.root, 'etc/routing-ml.env'), 'utf8');
    const secrets = [...env.matchAll(/^(?:[A-Z_]*(?:PASSWORD|SECRET)[A-Z_]*)=(.+)$/gm)].map(([, value]) =>
      (value ?? '').replace(/^["']|["']$/g, ''),
    );
    expect(secrets.length).toBeGreaterThan(2);
    const texts = await Promise.all([
      lab.run(['releases', 'show', 'v1.1', '--json']).then(({ stdout }) => stdout),
      lab.run(['config', 'show', '--json']).then(({ stdout }) => stdout),
      lab.run(['audit', '--json']).then(({ stdout }) => stdout),
      lab.run(['operations', '--json']).then(({ stdout }) => stdout),
      readFile(join(lab.root, 'log/agent.log'), 'utf8'),
      readFile(join(lab.root, 'lib/state.db'), 'latin1'),
    ]);
    for (const secret of secrets) for (const text of texts) expect(text.includes(secret)).toBe(false);
  });
});

describe('a running agent and appliance.yaml', () => {
  let good: string;
  beforeAll(async () => {
    good = await readFile(lab.config, 'utf8');
    await lab.startAgent();
  });
  afterAll(async () => {
    await writeFile(lab.config, good);
    await lab.stopAgent();
  });
  const actionsOf = async () => {
    const { document } = await lab.json(['plan', 'v1.1']);
    return JSON.stringify(document);
  };

  it('takes up a change without being restarted', async () => {
    expect((await lab.json(['config', 'show'])).exitCode).toBe(0);
    await writeFile(lab.config, good.replace('deploy: { drain: 120s }', 'deploy: { drain: 120s, strategy: recreate }'));
    expect(await actionsOf()).toContain('"strategy":"recreate"');
    await writeFile(lab.config, good);
    expect(await actionsOf()).toContain('"strategy":"blue-green"');
  });

  it('refuses to deploy with a mistake in it, and goes on with what does not need it', async () => {
    await writeFile(lab.config, `${good}\nname: twice\n`);
    expect((await lab.json(['deploy', 'v1.1', '--yes'])).exitCode).toBe(2);
    const seen = await status();
    expect(seen.verdict).toBe('fail');
    expect(seen.findings.find(({ id }) => id === 'config')?.observed).toContain('appliance.yaml');
    expect((await lab.run(['restart', 'training'])).exitCode).toBe(0);
    await writeFile(lab.config, good);
    expect((await status()).verdict).toBe('pass');
  });

  it('refuses another name', async () => {
    await writeFile(lab.config, good.replace('name: lifetest', 'name: othername'));
    const { exitCode, document } = await lab.json(['deploy', 'v1.1', '--yes']);
    expect(exitCode).toBe(2);
    expect(document).toMatchObject({ error: { message: expect.stringContaining('cannot change from lifetest') } });
    await writeFile(lab.config, good);
  });

  it('does not go back to a release that was never in service', async () => {
    const { exitCode, document } = await lab.json(['rollback', 'v1.2-broken']);
    expect(exitCode).toBe(6);
    expect(document).toMatchObject({ error: { hint: expect.stringContaining('appliance deploy v1.2-broken') } });
  });
});
