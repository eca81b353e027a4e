import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import {
  appendFile,
  chmod,
  chown,
  lstat,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rm,
  symlink,
  truncate,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type AddRequest, addVersion, sweep } from '../../src/capabilities/models/add.ts';
import { modelFiles } from '../../src/capabilities/models/layout.ts';
import { ModelRegistry } from '../../src/capabilities/models/registry.ts';
import { loadPolicy } from '../../src/config/policy-load.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { asApplianceError } from '../../src/lib/errors.ts';
import { writeModel } from '../support/models.ts';

let root: string;
let models: string;
let source: string;
let registry: ModelRegistry;

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'models-add-'));
  models = join(root, 'models');
  source = join(root, 'source');
  await mkdir(models);
  registry = new ModelRegistry(models, { clock: systemClock, access: 'write' });
});
afterEach(async () => {
  registry.close();
  await rm(root, { recursive: true, force: true });
});

const request = (change: Partial<AddRequest> = {}): AddRequest => ({
  source,
  requirements: undefined,
  change: { actor: 'ada' },
  uid: 0,
  signal: new AbortController().signal,
  ...change,
});
const add = (change?: Partial<AddRequest>) => addVersion(registry, request(change));

/** The one message of a refusal, after a look that nothing half-done is left. */
async function refusal(change?: Partial<AddRequest>): Promise<{ code: string; message: string }> {
  const before = registry.page({ limit: 10 }).length;
  const error = await add(change).then(
    () => ({ code: 'nothing was refused', message: '' }),
    (thrown: unknown) => asApplianceError(thrown),
  );
  expect(registry.page({ limit: 10 })).toHaveLength(before);
  expect(registry.intents()).toEqual([]);
  const { staging, versions } = modelFiles(models);
  expect(existsSync(staging) ? await readdir(staging) : []).toEqual([]);
  expect((await filesBelow(versions)).length).toBe(before === 0 ? 0 : 3);
  return { code: error.code, message: error.message };
}

async function filesBelow(directory: string): Promise<string[]> {
  if (!existsSync(directory)) return [];
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map(({ name }) => name);
}

describe('adding a version', () => {
  it('S0-13 S2-30 S3-7 copies, hashes and registers it, and nobody can change it afterwards', async () => {
    await writeModel(source, {
      files: { 'tokens/vocabulary.txt': 'a b c', 'large.joblib': Buffer.alloc(40 * 2 ** 20, 7) },
      metrics: { accuracy: 0.96, latency_ms: { p50: 4 }, note: 'text' },
    });
    const { version, added } = await add();
    expect(added).toBe(true);
    expect(version).toMatchObject({
      name: 'routing',
      version: '1',
      state: 'registered',
      files: 5,
      metrics: { accuracy: 0.96, 'latency_ms.p50': 4 },
      metadata: { features: ['material', 'shape'], libraries: { numpy: '2.2.4' } },
    });
    for (const { path, sha256, bytes } of registry.artefacts(version)) {
      const said = execFileSync('sha256sum', [join(source, path)], { encoding: 'utf8' });
      expect(sha256).toBe(said.slice(0, 64));
      const { size, mode } = await lstat(join(version.directory, path));
      expect([size, mode & 0o777]).toEqual([bytes, 0o444]);
    }
    for (const path of ['', 'tokens']) {
      expect((await lstat(join(version.directory, path))).mode & 0o777).toBe(0o555);
    }
    expect(await readdir(modelFiles(models).staging)).toEqual([]);
  });

  it('takes the same bytes again for what they are, and refuses a label that is used with others', async () => {
    await writeModel(source);
    const { version } = await add();
    expect(await add()).toMatchObject({ added: false, version: { id: version.id } });
    await writeModel(source, { files: { 'model.joblib': 'other weights' } });
    expect(await refusal()).toMatchObject({ code: 'model_exists', message: expect.stringContaining('routing@1') });
    // The same manifest, another file that it does not name.
    await writeModel(source);
    await writeFile(join(source, 'README'), 'new');
    expect(await refusal()).toMatchObject({ code: 'model_exists' });
  });

  it('follows a link that stays inside, and copies what it names', async () => {
    await writeModel(source);
    await symlink('model.joblib', join(source, 'best.joblib'));
    const { version } = await add();
    expect((await lstat(join(version.directory, 'best.joblib'))).isFile()).toBe(true);
    expect(await readFile(join(version.directory, 'best.joblib'), 'utf8')).toBe('weights of 1');
  });

  it('leaves nothing when it is interrupted', async () => {
    await writeModel(source, { files: { 'large.joblib': Buffer.alloc(64 * 2 ** 20) } });
    const stop = new AbortController();
    setTimeout(() => stop.abort(), 60);
    expect((await refusal({ signal: stop.signal })).code).not.toBe('nothing was refused');
  });

  it('lets two callers with the same label have one version', async () => {
    await writeModel(source);
    const settled = await Promise.allSettled([add(), add(), add()]);
    expect(settled.some(({ status }) => status === 'fulfilled')).toBe(true);
    for (const one of settled) {
      if (one.status === 'rejected') expect(['busy', 'model_exists']).toContain(asApplianceError(one.reason).code);
    }
    expect(registry.page({ limit: 10 })).toHaveLength(1);
    expect(registry.intents()).toEqual([]);
    expect(await filesBelow(modelFiles(models).versions)).toHaveLength(3);
  });

  it('removes at the next start what a crash left, and nothing else', async () => {
    await writeModel(source);
    const { version } = await add();
    // Killed while copying, and killed between the rename and the record.
    await writeModel(join(modelFiles(models).staging, 'abc'), { version: '2' });
    await writeModel(join(modelFiles(models).versions, 'routing', '3'), { version: '3' });
    await chmod(join(modelFiles(models).versions, 'routing', '3'), 0o555);
    registry.intend('routing', '3');
    // Of a lost registry: no record says that it may go.
    await writeModel(join(modelFiles(models).versions, 'routing', '4'), { version: '4' });
    await sweep(registry);
    expect(await readdir(join(modelFiles(models).versions, 'routing'))).toEqual(['1', '4']);
    expect(existsSync(modelFiles(models).staging)).toBe(false);
    expect(registry.intents()).toEqual([]);
    expect(registry.find('1').id).toBe(version.id);
    await writeModel(source, { version: '3' });
    expect(await add()).toMatchObject({ added: true });
    await writeModel(source, { version: '4' });
    await expect(add()).rejects.toMatchObject({ code: 'model_exists', hint: expect.stringContaining('models import') });
  });
});

describe('what cannot become a version is refused in one message', () => {
  const cases: [string, () => Promise<unknown>, string, RegExp][] = [
    ['no directory', async () => rm(source, { recursive: true }), 'model_invalid', /there is no directory/],
    [
      'a file',
      async () => rm(source, { recursive: true }).then(() => writeFile(source, '')),
      'model_invalid',
      /is no directory/,
    ],
    ['no manifest', () => rm(join(source, 'manifest.json')), 'model_invalid', /there is no manifest\.json/],
    [
      'a manifest of 100 MB',
      () => writeFile(join(source, 'manifest.json'), Buffer.alloc(100e6, 32)),
      'model_invalid',
      /95\.4 MiB; at most 1\.0 MiB/,
    ],
    [
      'a manifest with a key twice',
      () => writeFile(join(source, 'manifest.json'), '{"name":"a","version":"1","version":"2","files":{}}'),
      'model_invalid',
      /"version" stands in it twice/,
    ],
    [
      'a manifest that is half there',
      () => writeFile(join(source, 'manifest.json'), '{"name": "rou'),
      'model_invalid',
      /manifest\.json/,
    ],
    [
      'a name that leads elsewhere',
      () => writeModel(source, { name: '../../etc' }),
      'model_invalid',
      /"\.\.\/\.\.\/etc" cannot be the name/,
    ],
    [
      'a version that leads elsewhere',
      () => writeModel(source, { version: '..' }),
      'model_invalid',
      /"\.\." cannot be the version/,
    ],
    [
      'a manifest that names a path outside',
      () => writeModel(source, { manifest: { files: { '../model.joblib': { sha256: '0'.repeat(64) } } } }),
      'model_invalid',
      /Invalid key .*\.\.\/model\.joblib/,
    ],
    [
      'a file with another hash',
      () => writeFile(join(source, 'model.joblib'), 'weights of 2'),
      'model_invalid',
      /model\.joblib does not have the hash/,
    ],
    [
      'a file that is not complete',
      () => writeFile(join(source, 'model.joblib'), 'weig'),
      'model_invalid',
      /has 4 bytes/,
    ],
    [
      'a file that is missing',
      () => rm(join(source, 'model.joblib')),
      'model_invalid',
      /names model\.joblib, which is not there/,
    ],
    [
      'a link that leads out',
      () => symlink('/etc/passwd', join(source, 'passwd')),
      'model_invalid',
      /link that leads out/,
    ],
    [
      'a link that leads out by dots',
      () => symlink('../../../../../etc', join(source, 'etc')),
      'model_invalid',
      /link that leads out/,
    ],
    ['a link that leads nowhere', () => symlink('absent', join(source, 'link')), 'model_invalid', /leads nowhere/],
    [
      'a link to a directory',
      () => mkdir(join(source, 'd')).then(() => symlink('d', join(source, 'link'))),
      'model_invalid',
      /link to a directory/,
    ],
    ['a pipe', async () => execFileSync('mkfifo', [join(source, 'pipe')]), 'model_invalid', /pipe is a pipe/],
    [
      'a sparse file of 10 GB',
      () => truncateTo('huge.joblib', 10e9),
      'model_invalid',
      /huge\.joblib is full of holes: of its 9\.3 GiB the disk holds 0 B/,
    ],
    [
      'a name that is no UTF-8',
      () => writeFile(Buffer.concat([Buffer.from(`${source}/`), Buffer.from([0x66, 0xff, 0x67])]), 'x'),
      'model_invalid',
      /is no name in UTF-8/,
    ],
    ['a name with a line break', () => writeFile(join(source, 'a\nb'), 'x'), 'model_invalid', /is no name in UTF-8/],
    [
      'metrics that are no JSON',
      () => writeFile(join(source, 'metrics.json'), 'NaN'),
      'model_invalid',
      /metrics\.json cannot be used/,
    ],
    [
      'too deep',
      () => writeModel(source, { files: { [`${'d/'.repeat(20)}x`]: 'x' } }),
      'model_invalid',
      /16 directories deep/,
    ],
  ];

  it.each(cases)('%s', async (_, harm, code, message) => {
    await writeModel(source);
    await harm();
    expect(await refusal()).toEqual({ code, message: expect.stringMatching(message) });
  });

  it.runIf(process.getuid?.() === 0)('a device', async () => {
    await writeModel(source);
    execFileSync('mknod', [join(source, 'null'), 'c', '1', '3']);
    expect(await refusal()).toEqual({ code: 'model_invalid', message: expect.stringMatching(/null is a device/) });
  });

  it('a directory in which the appliance keeps models', async () => {
    await writeModel(models);
    await expect(add({ source: models })).rejects.toMatchObject({ message: expect.stringContaining('models import') });
    await expect(add({ source: root })).rejects.toMatchObject({ code: 'model_invalid' });
  });

  it('a file that grows while it is copied', async () => {
    await writeModel(source, { files: { 'log.joblib': Buffer.alloc(48 * 2 ** 20) } });
    const written: Promise<void>[] = [];
    const growing = setInterval(() => written.push(appendFile(join(source, 'log.joblib'), 'x')), 1);
    try {
      expect(await refusal()).toEqual({
        code: 'model_invalid',
        message: expect.stringMatching(/changed while|grows while|bytes;/),
      });
    } finally {
      clearInterval(growing);
      await Promise.all(written);
    }
  });

  it.runIf(process.getuid?.() === 0)('what the caller may not read himself', async () => {
    await writeModel(source);
    await chmod(root, 0o755);
    expect(await add({ uid: 4_242 })).toMatchObject({ added: true });
    await writeModel(source, { version: '2' });
    await chmod(join(source, 'model.joblib'), 0o600);
    expect(await refusal({ uid: 4_242 })).toMatchObject({ code: 'not_permitted' });
    await chown(join(source, 'model.joblib'), 4_242, 4_242);
    expect(await add({ uid: 4_242 })).toMatchObject({ added: true });
    await writeModel(source, { version: '3' });
    await chmod(root, 0o700);
    await expect(add({ uid: 4_242 })).rejects.toMatchObject({ code: 'not_permitted' });
  });
});

describe('what policies ask of a version', () => {
  const of = async (name: string) => (await loadPolicy(name, join(root, 'appliance.yaml'))).policy.models;
  const reference = join(import.meta.dirname, '../../compose/routing-ml/app/models');

  it('S1-31: the reference model has the five files, and each of them must be there', async () => {
    const requirements = await of('routing-ml');
    expect(await add({ source: reference, requirements })).toMatchObject({ version: { version: '2026.1' } });
    await writeModel(source, { files: { 'encoder.joblib': 'x', 'scaler.joblib': 'x', 'feature_weights.json': '{}' } });
    await expect(add({ requirements })).rejects.toMatchObject({
      code: 'model_invalid',
      message: expect.stringContaining('S1-31: without similarity_engine.joblib'),
    });
  });

  it('S2-4: six files at least, each with a checksum', async () => {
    const requirements = await of('flash');
    await writeModel(source, { files: { a: '1', b: '2' } });
    await expect(add({ requirements })).rejects.toMatchObject({ message: expect.stringContaining('S2-4: 5 files') });
    await writeModel(source, { files: { a: '1', b: '2', c: '3' } });
    await writeFile(join(source, 'unlisted'), 'x');
    await expect(add({ requirements })).rejects.toMatchObject({
      message: expect.stringContaining('S2-4: without checksums'),
    });
    await rm(join(source, 'unlisted'));
    expect(await add({ requirements })).toMatchObject({ added: true });
  });

  it('S3-6 S3-15: the model and its metadata, with feature names and library versions', async () => {
    const requirements = await of('ml-pipeline');
    await writeModel(source, { manifest: { features: [], libraries: {} } });
    await expect(add({ requirements })).rejects.toMatchObject({
      message: expect.stringMatching(/S3-6: without features.*S3-6: without libraries/),
    });
    await writeModel(source);
    expect(await add({ requirements })).toMatchObject({ added: true });
    await rm(join(source, 'model.joblib'));
    await rm(join(source, 'manifest.json'));
    await writeModel(source, { version: '2', files: { 'model.joblib': '' }, manifest: { files: {} } });
    await rm(join(source, 'model.joblib'));
    await expect(add({ requirements })).rejects.toMatchObject({
      message: expect.stringContaining('S3-15: without *.{joblib'),
    });
  });
});

async function truncateTo(name: string, bytes: number): Promise<void> {
  const path = join(source, name);
  await writeFile(path, '', { flag: 'a' });
  await truncate(path, bytes);
}
