import { createHash } from 'node:crypto';
import {
  appendFile,
  chmod,
  copyFile,
  cp,
  mkdtemp,
  readFile,
  readlink,
  rename,
  rm,
  stat,
  symlink,
  truncate,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { execa } from 'execa';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { addVersion } from '../../src/capabilities/models/add.ts';
import { ModelRegistry } from '../../src/capabilities/models/registry.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { Lab } from '../support/appliance.ts';
import { Load } from '../support/load.ts';

// One appliance with the reference application, its models promoted and taken back. The tests build on each other.
const port = 28_680;
const name = 'modelstest';
const reference = resolve(import.meta.dirname, '../../compose/routing-ml');
const reportSchema = z.object({ findings: z.array(z.object({ id: z.string(), verdict: z.string() })) });
let lab: Lab;
let scratch: string;

const models = () => join(lab.root, 'lib/persistent/models');
const digestOf = async (directory: string): Promise<string> =>
  createHash('sha256')
    .update(await readFile(join(directory, 'manifest.json')))
    .digest('hex');

/** Addresses of the live processes. */
async function processes(): Promise<string[]> {
  const label = ['--filter', `label=appliance.name=${name}`, '--filter', 'label=appliance.service=backend'];
  const { stdout } = await execa('docker', ['ps', '--quiet', ...label]);
  const format = '{{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}';
  const inspected = await execa('docker', ['inspect', '--format', format, ...stdout.split('\n')]);
  return inspected.stdout.split('\n').map((addresses) => addresses.trim().split(' ')[0] ?? '');
}

/** What each live process reports, asked by itself and not by the appliance. @param at addresses, where they are known */
async function loaded(at?: readonly string[]): Promise<string[]> {
  const digests: string[] = [];
  for (const address of at ?? (await processes())) {
    const answer = (await (await fetch(`http://${address}:8000/api/models/active`)).json()) as { sha256: string };
    digests.push(answer.sha256);
  }
  return digests;
}

/** Milliseconds for what an agent or a process does by itself, on a busy host. */
const patience = 90_000;

async function add(source: string) {
  const registry = new ModelRegistry(models(), { clock: systemClock, access: 'write' });
  try {
    const signal = AbortSignal.timeout(patience);
    const { version } = await addVersion(registry, {
      source,
      requirements: undefined,
      change: { actor: 'test' },
      uid: 0,
      signal,
    });
    return version;
  } finally {
    registry.close();
  }
}

/** A copy of the model of the reference application under another label, changed and signed anew. */
async function variant(
  label: string,
  change: (directory: string, manifest: { [key: string]: unknown }) => Promise<void>,
) {
  const directory = join(scratch, label);
  await cp(join(reference, 'app/models'), directory, { recursive: true });
  const manifest = JSON.parse(await readFile(join(directory, 'manifest.json'), 'utf8'));
  manifest.version = label;
  await change(directory, manifest);
  for (const file of Object.keys(manifest.files)) {
    const bytes = await readFile(join(directory, file));
    manifest.files[file] = { sha256: createHash('sha256').update(bytes).digest('hex'), bytes: bytes.length };
  }
  await writeFile(join(directory, 'manifest.json'), JSON.stringify(manifest, null, 2));
  return directory;
}

beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'models-'));
  lab = await Lab.make({ name, port, pool: '10.231.0.0/16' });
  const { exitCode, document } = await lab.json(['deploy', 'v1.0', '--yes']);
  expect({ exitCode, error: document.error }).toEqual({ exitCode: 0, error: undefined });
  await lab.startAgent();
  await add(join(reference, 'versions/v0.9/models'));
  await add(join(reference, 'app/models'));
}, 400_000);
afterAll(async () => {
  await lab.destroy();
  await rm(scratch, { recursive: true, force: true });
});

describe('promotion (S3-18)', () => {
  it('puts a version in force under load without a failed request, and running processes report it', async () => {
    const load = new Load({ port, path: '/health', keepAlive: 16, fresh: 4, pause: 5 });
    const { exitCode, document } = await lab.json(['models', 'promote', 'routing-similarity@2026.1', '--bake', '2s']);
    const report = await load.stop();
    expect({ exitCode, error: document.error }).toEqual({ exitCode: 0, error: undefined });
    expect(document).toMatchObject({ kind: 'model-promote', to: 'routing-similarity@2026.1', result: 'done' });
    expect(report.losses).toEqual([]);
    const digest = await digestOf(join(reference, 'app/models'));
    expect(await loaded()).toEqual([digest, digest]);
  });

  it('keeps a report with every gate, measured in a container of the live image', () => {
    const registry = new ModelRegistry(models(), { clock: systemClock, access: 'read' });
    const version = registry.find('2026.1');
    const [report] = registry.reports(version);
    registry.close();
    expect(version.state).toBe('production');
    expect(report?.verdict).toBe('pass');
    const { findings } = reportSchema.parse(report?.report);
    expect(findings.map(({ id, verdict }) => `${id} ${verdict}`)).toEqual([
      'S3-7-hashes pass',
      'scan pass',
      'S3-6-libraries pass',
      'load pass',
      'S2-1-range pass',
      'S2-1 pass',
    ]);
  });

  it('refuses a planted payload before anything loads it', async () => {
    const evil = await variant('evil', async (directory) => {
      const owned = join(scratch, 'owned');
      const script = `import os,pickle\nclass E:\n def __reduce__(s): return (os.system,('touch ${owned}',))\nopen('${directory}/scaler.joblib','wb').write(pickle.dumps(E()))`;
      await execa('python3', ['-c', script]);
    });
    await add(evil);
    const before = await loaded();
    const { exitCode, document } = await lab.json(['models', 'promote', 'evil']);
    expect(exitCode).toBe(3);
    expect(JSON.stringify(document)).toMatch(/scaler\.joblib: it imports posix\.system/);
    expect(await loaded()).toEqual(before);
    const scanned = await lab.json(['models', 'scan', 'evil']);
    expect(scanned.exitCode).toBe(3);
    expect((await lab.json(['models', 'scan', '2026.1'])).exitCode).toBe(0);
    // The way back asks no gates, and is no way around them.
    const around = await lab.json(['models', 'rollback', 'evil']);
    expect(around).toMatchObject({ exitCode: 2, document: { error: { code: 'model_invalid' } } });
    expect(await loaded()).toEqual(before);
  });

  it('refuses a version that the live image cannot load', async () => {
    const broken = await variant('broken', async (directory) => {
      await writeFile(join(directory, 'feature_weights.json'), '[]');
    });
    await add(broken);
    const { exitCode, document } = await lab.json(['models', 'promote', 'broken']);
    expect(exitCode).toBe(3);
    expect(JSON.stringify(document)).toMatch(/load: the trial ended with/);
  });
});

describe('the way back (S2-18, S3-17)', () => {
  it('promotes another one, and goes back to the one before', async () => {
    const older = JSON.parse(await readFile(join(reference, 'versions/v0.9/models/manifest.json'), 'utf8')).version;
    const there = await lab.json(['models', 'promote', older, '--bake', '1s']);
    expect({ exitCode: there.exitCode, error: there.document.error }).toEqual({ exitCode: 0, error: undefined });
    const digest = await digestOf(join(reference, 'versions/v0.9/models'));
    expect(await loaded()).toEqual([digest, digest]);
    const load = new Load({ port, path: '/health', keepAlive: 16, fresh: 4, pause: 5 });
    const back = await lab.json(['models', 'rollback', '--reason', 'worse on brass']);
    expect((await load.stop()).losses).toEqual([]);
    expect({ exitCode: back.exitCode, error: back.document.error }).toEqual({ exitCode: 0, error: undefined });
    const now = await digestOf(join(reference, 'app/models'));
    expect(await loaded()).toEqual([now, now]);
    const registry = new ModelRegistry(models(), { clock: systemClock, access: 'read' });
    const [last] = registry.history({ name: 'routing-similarity', limit: 1 });
    registry.close();
    expect(last).toMatchObject({ version: '2026.1', event: 'rolled-back', replaced: older, reason: 'worse on brass' });
  });
});

describe('the watch after a promotion', { timeout: 400_000 }, () => {
  it('takes the model back when users get errors, and running processes load the old one again', async () => {
    const before = await loaded();
    const promoting = lab.json(['models', 'promote', '2025.3', '--bake', '120s']);
    const digest = await digestOf(join(reference, 'versions/v0.9/models'));
    await expect.poll(() => loaded(), { timeout: patience, interval: 500 }).toEqual([digest, digest]);
    const labels = ['--filter', `label=appliance.name=${name}`, '--filter', 'label=appliance.service=prediction'];
    const pages = (await execa('docker', ['ps', '--quiet', ...labels])).stdout.split('\n');
    await execa('docker', ['stop', '--time', '1', ...pages]);
    const load = new Load({ port, path: '/', keepAlive: 4, fresh: 0, pause: 20 });
    const { exitCode, document } = await promoting;
    const { losses } = await load.stop();
    await execa('docker', ['start', ...pages]);
    expect(losses.length).toBeGreaterThan(0);
    expect({ exitCode, document }).toMatchObject({
      exitCode: 3,
      document: {
        result: 'rolled_back',
        error: { code: 'verdict_fail', message: expect.stringContaining('does not stand the watch: S0-42') },
      },
    });
    expect(await loaded()).toEqual(before);
    const registry = new ModelRegistry(models(), { clock: systemClock, access: 'read' });
    const [production, [last]] = [registry.production(), registry.history({ limit: 1 })];
    registry.close();
    expect(production?.version).toBe('2026.1');
    expect(last).toMatchObject({ version: '2026.1', event: 'rolled-back' });
  });
});

describe('what somebody else does to the directory (S1-77)', { timeout: 400_000 }, () => {
  const current = async () => join(models(), 'versions/routing-similarity/2026.1/manifest.json');

  it('notices a manifest that is older, and running processes load it', async () => {
    const path = await current();
    const text = await readFile(path, 'utf8');
    const changed = text.replace('"version": "2026.1"', '"version": "2026.1b"');
    const beside = `${path}.new`;
    await writeFile(beside, changed);
    await utimes(beside, 1_000_000_000, 1_000_000_000);
    // Asking the engine for them takes longer than what is measured.
    const at = await processes();
    const began = performance.now();
    await rename(beside, path);
    const digest = createHash('sha256').update(changed).digest('hex');
    await expect.poll(() => loaded(at), { timeout: patience, interval: 50 }).toEqual([digest, digest]);
    expect(performance.now() - began).toBeLessThan(3_000);
    await writeFile(`${path}.back`, text);
    await rename(`${path}.back`, path);
    const back = createHash('sha256').update(text).digest('hex');
    await expect.poll(() => loaded(at), { timeout: patience, interval: 50 }).toEqual([back, back]);
  });

  it('leaves the old one in force when the link leads where no container can follow', async () => {
    const digests = await loaded();
    const link = join(models(), 'current');
    const right = await readlink(link);
    const point = async (to: string) => {
      await symlink(to, `${link}.new`);
      await rename(`${link}.new`, link);
    };
    const alerts = async () => JSON.stringify((await lab.json(['alerts'])).document);
    await point(join(reference, 'versions/v0.9/models'));
    await expect.poll(alerts, { timeout: patience, interval: 500 }).toContain('ModelManifestUnusable');
    // Longer than the application takes to notice another manifest.
    await delay(3_000);
    expect(await loaded()).toEqual(digests);
    await point(right);
    await expect.poll(alerts, { timeout: patience, interval: 500 }).not.toContain('ModelManifestUnusable');
    expect(await loaded()).toEqual(digests);
  });

  it('leaves the old one in force when artefacts do not fit, and raises an alert until they do', async () => {
    const weights = join(models(), 'versions/routing-similarity/2026.1/feature_weights.json');
    const before = await readFile(weights);
    const digests = await loaded();
    await chmod(weights, 0o644);
    await appendFile(weights, ' ');
    await utimes(await current(), new Date(), new Date());
    const alerts = async () => JSON.stringify((await lab.json(['alerts'])).document);
    await expect.poll(alerts, { timeout: patience, interval: 500 }).toContain('ModelManifestUnusable');
    expect(await loaded()).toEqual(digests);
    await writeFile(weights, before);
    await expect.poll(alerts, { timeout: patience, interval: 500 }).not.toContain('ModelManifestUnusable');
  });
});

describe('a model that somebody puts in force by hand', { timeout: 400_000 }, () => {
  const link = (version: string) =>
    execa('ln', ['-sfn', `versions/routing-similarity/${version}`, join(models(), 'current')]);
  const alerts = async () => JSON.stringify((await lab.json(['alerts'])).document);
  const newest = async () => {
    const { stdout } = await lab.run(['models', 'history', '--json', '--limit', '1']);
    return JSON.parse(stdout)[0];
  };

  it('stands in the history, and the list says what serves', async () => {
    await link('2025.3');
    const digest = await digestOf(join(reference, 'versions/v0.9/models'));
    await expect.poll(() => loaded(), { timeout: patience, interval: 200 }).toEqual([digest, digest]);
    await expect
      .poll(newest, { timeout: patience, interval: 300 })
      .toMatchObject({ event: 'taken-over', version: '2025.3', replaced: '2026.1', actor: 'unknown' });
    const { stdout } = await lab.run(['models', 'list', '--state', 'production', '--json']);
    expect(JSON.parse(stdout)).toMatchObject([{ version: '2025.3', inForce: true }]);
    const back = await lab.json(['models', 'rollback']);
    expect({ exitCode: back.exitCode, error: back.document.error }).toEqual({ exitCode: 0, error: undefined });
    expect(await newest()).toMatchObject({ event: 'rolled-back', version: '2026.1', replaced: '2025.3' });
  });

  it('is scanned, and an alert tells of one that fails; no process is restarted for it', async () => {
    const before = await loaded();
    const started = async () =>
      (await execa('docker', ['ps', '--filter', `label=appliance.name=${name}`, '--format', '{{.ID}}'])).stdout;
    const containers = await started();
    await link('evil');
    await expect.poll(alerts, { timeout: patience, interval: 500 }).toContain('ModelUnsafe');
    expect(await alerts()).toMatch(/scaler\.joblib: it imports posix\.system/);
    expect(await loaded()).toEqual(before);
    expect(await started()).toBe(containers);
    // Nothing serves it, so it is not production.
    expect(await newest()).toMatchObject({ event: 'rolled-back', version: '2026.1' });
    const back = await lab.json(['models', 'rollback', '2026.1']);
    expect({ exitCode: back.exitCode, error: back.document.error }).toEqual({ exitCode: 0, error: undefined });
    await expect.poll(alerts, { timeout: patience, interval: 500 }).not.toContain('ModelUnsafe');
  });

  it('is registered where nobody has', async () => {
    const stray = await variant('stray', async () => undefined);
    await cp(stray, join(models(), 'versions/routing-similarity/stray'), { recursive: true });
    await link('stray');
    await expect
      .poll(newest, { timeout: patience, interval: 500 })
      .toMatchObject({ event: 'taken-over', version: 'stray' });
    expect((await lab.json(['models', 'rollback'])).exitCode).toBe(0);
  });
});

describe('a registry that is damaged under a running agent', { timeout: 600_000 }, () => {
  it('raises an alert, keeps no release from being taken back, and is made again', async () => {
    const path = join(models(), 'registry.db');
    const serving = await loaded();
    const alerts = async () => JSON.stringify((await lab.json(['alerts'])).document);
    // Removed under the agent, which holds it open: nothing is lost, and somebody is told.
    const known = (await lab.run(['models', 'list', '--json'])).stdout;
    await rm(path);
    expect((await lab.run(['models', 'list', '--json'])).stdout).toBe(known);
    expect(await alerts()).toContain('ModelRegistryDisturbed');
    await lab.stopAgent();
    await copyFile(path, join(scratch, 'registry.backup'));
    for (const suffix of ['-wal', '-shm']) await rm(`${path}${suffix}`, { force: true });
    await truncate(path, 4_096);
    await lab.startAgent();
    await expect.poll(alerts, { timeout: patience, interval: 500 }).toContain('ModelRegistryUnusable');
    const listed = await lab.json(['models', 'list']);
    expect(listed).toMatchObject({ exitCode: 1, document: { error: { code: 'state_corrupt' } } });
    const deploy = await lab.json(['deploy', 'v1.0-p2', '--yes']);
    expect({ exitCode: deploy.exitCode, error: deploy.document.error }).toEqual({ exitCode: 0, error: undefined });
    const back = await lab.json(['rollback', 'v1.0', '--yes']);
    expect({ exitCode: back.exitCode, error: back.document.error }).toEqual({ exitCode: 0, error: undefined });
    await expect.poll(async () => new Set(await loaded()), { timeout: patience }).toEqual(new Set(serving));
    expect((await stat(path)).size).toBe(4_096);
    // A good one in its place is taken up by the agent that runs.
    for (const suffix of ['-wal', '-shm']) await rm(`${path}${suffix}`, { force: true });
    await copyFile(path, join(scratch, 'registry.damaged'));
    await rename(join(scratch, 'registry.backup'), path);
    await expect.poll(alerts, { timeout: patience, interval: 500 }).not.toContain('ModelRegistryUnusable');
    expect((await lab.json(['models', 'list'])).exitCode).toBe(0);
    await rename(join(scratch, 'registry.damaged'), path);
    const repaired = await lab.json(['models', 'verify', '--repair']);
    // The planted payload lies there as well, under its own hashes: registered is not promoted.
    expect(repaired).toMatchObject({ exitCode: 0, document: { verdict: 'pass' } });
    const { stdout } = await lab.run(['models', 'list', '--state', 'production', '--json']);
    expect(JSON.parse(stdout)).toMatchObject([{ version: '2026.1', inForce: true }]);
  });
});

describe('a release is one unit (DESIGN §1.1)', { timeout: 600_000 }, () => {
  it('puts the model in force again that the release ran with', async () => {
    const deploy = await lab.json(['deploy', 'v1.0-p2', '--yes']);
    expect({ exitCode: deploy.exitCode, error: deploy.document.error }).toEqual({ exitCode: 0, error: undefined });
    expect((await lab.json(['models', 'promote', '2025.3', '--bake', '1s'])).exitCode).toBe(0);
    const back = await lab.json(['rollback', 'v1.0', '--yes']);
    expect({ exitCode: back.exitCode, error: back.document.error }).toEqual({ exitCode: 0, error: undefined });
    const registry = new ModelRegistry(models(), { clock: systemClock, access: 'read' });
    const production = registry.production();
    const [last] = registry.history({ limit: 1 });
    registry.close();
    expect(production?.version).toBe('2026.1');
    expect(last).toMatchObject({ event: 'rolled-back', reason: 'release v1.0 ran with it' });
    const digest = await digestOf(join(reference, 'app/models'));
    await expect.poll(async () => new Set(await loaded()), { timeout: patience }).toEqual(new Set([digest]));
  });
});

describe('retraining (S3-26)', () => {
  it('trains, registers what comes out, and promotes it only if it is better', async () => {
    const { exitCode, document } = await lab.json(['models', 'retrain', '--bake', '1s']);
    expect({ exitCode, error: document.error }).toEqual({ exitCode: 0, error: undefined });
    const registry = new ModelRegistry(models(), { clock: systemClock, access: 'read' });
    const trained = registry.find('latest');
    const production = registry.production();
    registry.close();
    expect(trained.source).toMatch(/^training of /);
    // The same catalogue gives the same accuracy: no better, so it is not promoted.
    expect(trained.metrics.accuracy).toBe(0.9625);
    expect(production?.version).toBe('2026.1');
  });

  it('promotes it where it is better than what serves', async () => {
    const poor = await variant('poor', async (directory) => {
      const path = join(directory, 'metrics.json');
      await writeFile(path, JSON.stringify({ ...JSON.parse(await readFile(path, 'utf8')), accuracy: 0.5 }));
    });
    await add(poor);
    expect((await lab.json(['models', 'promote', 'poor', '--bake', '1s'])).exitCode).toBe(0);
    const { exitCode, document } = await lab.json(['models', 'retrain', '--bake', '1s']);
    expect({ exitCode, error: document.error }).toEqual({ exitCode: 0, error: undefined });
    const registry = new ModelRegistry(models(), { clock: systemClock, access: 'read' });
    const production = registry.production();
    registry.close();
    expect(production?.source).toMatch(/^training of /);
    expect(production?.metrics.accuracy).toBe(0.9625);
    // The warm release is one of them: it would serve this model as well, and looks by itself.
    await expect
      .poll(async () => new Set(await loaded()), { timeout: patience })
      .toEqual(new Set([production?.sha256]));
  });
});
