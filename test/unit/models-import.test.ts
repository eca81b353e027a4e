import { existsSync } from 'node:fs';
import { chmod, lstat, mkdir, mkdtemp, readlink, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { addVersion } from '../../src/capabilities/models/add.ts';
import { diffVersions } from '../../src/capabilities/models/diff.ts';
import { adoptDirectory, importDirectory } from '../../src/capabilities/models/import.ts';
import { readPointer } from '../../src/capabilities/models/pointer.ts';
import { ModelRegistry } from '../../src/capabilities/models/registry.ts';
import { verifyVersion } from '../../src/capabilities/models/verify.ts';
import { sparkline } from '../../src/cli/output/sparkline.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { combine } from '../../src/lib/verdict.ts';
import { writeModel } from '../support/models.ts';

let root: string;
let models: string;
let registry: ModelRegistry;
const change = { actor: 'ada' };
const signal = new AbortController().signal;

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'models-import-'));
  models = join(root, 'models');
  await mkdir(models);
  registry = new ModelRegistry(models, { clock: systemClock, access: 'write' });
});
afterEach(async () => {
  registry.close();
  await rm(root, { recursive: true, force: true });
});

const request = (source: string) => ({ source, requirements: undefined, change, uid: 0, signal });
const adopt = () => adoptDirectory(registry, { change, signal }, new Date());

describe('importing what lies in the models directory', () => {
  it('S1-26 makes the files that a release brought along a version, in force and in production as they are', async () => {
    await writeModel(models);
    await writeFile(join(models, 'notes.txt'), 'not part of the model');
    const { imported, skipped } = await adopt();
    expect(skipped).toEqual([]);
    expect(imported).toMatchObject([{ version: '1', state: 'production', files: 3 }]);
    expect(await readlink(join(models, 'current'))).toBe('versions/routing/1');
    expect(existsSync(join(models, 'model.joblib'))).toBe(true);
    expect(registry.history({ limit: 9 }).map(({ event }) => event)).toEqual(['promoted', 'imported']);
    // Said again, nothing changes.
    expect(await adopt()).toMatchObject({ imported: [] });
    expect(registry.history({ limit: 9 })).toHaveLength(2);
  });

  it('registers versions that a lost registry had known, in place, and believes the pointer', async () => {
    for (const version of ['1', '2']) {
      await addVersion(registry, request(await writeModel(join(root, 'source'), { version })));
    }
    await symlink('versions/routing/1', join(models, 'current'));
    registry.close();
    await rm(join(models, 'registry.db'));
    registry = new ModelRegistry(models, { clock: systemClock, access: 'write' });
    const before = await lstat(join(models, 'versions/routing/1'), { bigint: true });
    expect((await adopt()).imported.map(({ version, state }) => [version, state])).toEqual([
      ['1', 'production'],
      ['2', 'registered'],
    ]);
    expect((await lstat(join(models, 'versions/routing/1'), { bigint: true })).ino).toBe(before.ino);
    expect(await readPointer(models)).toEqual({ name: 'routing', version: '1' });
  });

  it('leaves what calls itself otherwise, or has other bytes than its manifest says', async () => {
    await writeModel(join(models, 'versions/routing/9'), { version: '1' });
    await writeModel(join(models, 'versions/routing/2'), { version: '2' });
    await writeFile(join(models, 'versions/routing/2/model.joblib'), 'tampered');
    const { imported, skipped } = await adopt();
    expect(imported).toEqual([]);
    expect(skipped.map(({ reason }) => reason)).toEqual([
      expect.stringMatching(/model\.joblib has 8 bytes/),
      expect.stringMatching(/calls it routing@1/),
    ]);
    expect(registry.page({ limit: 9 })).toEqual([]);
  });
});

describe('importing directories', () => {
  it('S0-15 takes every version in production, staging and dated backups, and says why it leaves one', async () => {
    await writeModel(join(root, 'old/production'), { version: '3' });
    await writeModel(join(root, 'old/staging'), { version: '4' });
    await writeModel(join(root, 'old/backups/2025-01-01'), { version: '1' });
    await writeModel(join(root, 'old/backups/2025-02-01'), { version: '2' });
    await writeFile(join(root, 'old/backups/2025-02-01/model.joblib'), 'half');
    const { imported, skipped } = await importDirectory(registry, request(join(root, 'old')));
    expect(imported.map(({ version }) => version)).toEqual(['1', '3', '4']);
    expect(skipped).toMatchObject([{ path: join(root, 'old/backups/2025-02-01') }]);
    await mkdir(join(root, 'empty'));
    await expect(importDirectory(registry, request(join(root, 'empty')))).rejects.toMatchObject({
      code: 'model_invalid',
    });
  });
});

describe('verifying', () => {
  it('S3-7 S3-17 finds what is missing, other, odd or too much, and passes what is as it was', async () => {
    const { version } = await addVersion(
      registry,
      request(await writeModel(join(root, 'source'), { files: { a: 'aaa', b: 'bbb', c: 'ccc' } })),
    );
    const verify = () => verifyVersion(version, registry.artefacts(version), signal);
    expect(await verify()).toMatchObject([{ verdict: 'pass', samples: 6 }]);
    await chmod(version.directory, 0o755);
    await rm(join(version.directory, 'a'));
    await rm(join(version.directory, 'b'));
    await symlink('/etc/hostname', join(version.directory, 'b'));
    await chmod(join(version.directory, 'c'), 0o644);
    await writeFile(join(version.directory, 'c'), 'CCC');
    await writeFile(join(version.directory, 'd'), 'ddd');
    const found = await verify();
    expect(found.map(({ id, observed }) => [id.split('/')[1], observed])).toEqual([
      ['a', 'not there'],
      ['b', 'no plain file'],
      ['c', expect.stringContaining('hash')],
      ['d', 'a file that was not registered'],
    ]);
    expect(combine(found.map(({ verdict }) => verdict))).toBe('fail');
    await rm(version.directory, { recursive: true });
    expect(combine((await verify()).map(({ verdict }) => verdict))).toBe('fail');
  });
});

it('a diff names metrics, features, libraries, files and sizes that differ, and nothing else', () => {
  const one = {
    metrics: { accuracy: 0.9, bias: 0.1, gone: 1 },
    metadata: { features: ['a', 'b'], libraries: { numpy: '2.2', joblib: '1.4' }, algorithm: 'k=9', trainedAt: null },
    bytes: 2_048,
    artefacts: [{ path: 'model.joblib', sha256: 'a'.repeat(64), bytes: 2_048 }],
  };
  const two = {
    metrics: { accuracy: 0.95, bias: 0.1 },
    metadata: { features: ['a', 'c'], libraries: { numpy: '2.3', joblib: '1.4' }, algorithm: 'k=9', trainedAt: null },
    bytes: 1_024,
    artefacts: [{ path: 'model.joblib', sha256: 'b'.repeat(64), bytes: 1_024 }],
  };
  expect(diffVersions(one, one)).toEqual([]);
  expect(diffVersions(one, two).map(({ area, name, kind, from, to }) => [area, name, kind, from, to])).toEqual([
    ['metric', 'accuracy', 'changed', '0.9', '0.95'],
    ['metric', 'gone', 'removed', '1', null],
    ['feature', 'b', 'removed', 'used', null],
    ['feature', 'c', 'added', null, 'used'],
    ['library', 'numpy', 'changed', '2.2', '2.3'],
    ['file', 'model.joblib', 'changed', 'aaaaaaaaaaaa, 2.0 KiB', 'bbbbbbbbbbbb, 1.0 KiB'],
    ['size', 'all', 'changed', '2.0 KiB', '1.0 KiB'],
  ]);
});

it('a sparkline goes from the lowest to the highest, with gaps, in both kinds of letters', () => {
  expect(sparkline([0, 1, 2, 3, 4, 5, 6, 7], { unicode: true })).toBe('▁▂▃▄▅▆▇█');
  expect(sparkline([0.9, null, 1], { unicode: true })).toBe('▁ █');
  expect(sparkline([5, 5], { unicode: true })).toBe('▅▅');
  expect(sparkline([-1, 1], { unicode: false })).toBe('_#');
  expect(sparkline([], { unicode: true })).toBe('');
});
