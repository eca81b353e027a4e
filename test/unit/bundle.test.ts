import { createHash } from 'node:crypto';
import { mkdtemp, open, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type BundleIndex, bundleFormat, parseIndex } from '../../src/capabilities/bundles/format.ts';
import { type LoadDeps, planLoad } from '../../src/capabilities/bundles/load.ts';
import { proveBundle, readBundle } from '../../src/capabilities/bundles/read.ts';
import { writeBundle } from '../../src/capabilities/bundles/write.ts';
import { bundledImage, imageKey, isBundled } from '../../src/capabilities/stack/index.ts';
import { tarHeader, tarPadded } from '../../src/lib/tar.ts';

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'bundle-unit-'));
});
afterAll(() => rm(root, { recursive: true, force: true }));

const config = 'a'.repeat(64);
const layer = 'b'.repeat(64);
const signal = new AbortController().signal;
const saved = [{ Config: `${config}.json`, RepoTags: null, Layers: [`${layer}/layer.tar`] }];

/** An archive as `docker save` writes it. */
function archive(entries: Readonly<Record<string, string>>, kind = '0'): Buffer {
  const parts = Object.entries(entries).flatMap(([path, text]) => {
    const data = Buffer.from(text);
    const header = tarHeader(path, data.length) ?? Buffer.alloc(0);
    header.write(kind, 156);
    header.write('        ', 148);
    const sum = header.reduce((all, byte) => all + byte, 0);
    header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
    return [header, data, Buffer.alloc(tarPadded(data.length) - data.length)];
  });
  return Buffer.concat([...parts, Buffer.alloc(1024)]);
}

const good = { [`${layer}/layer.tar`]: 'layer', [`${config}.json`]: '{}', 'manifest.json': JSON.stringify(saved) };
const index: Omit<BundleIndex, 'members'> = {
  format: bundleFormat,
  program: '0.1.0',
  appliance: 'one',
  createdAt: '2026-11-22T09:00:00Z',
  tag: 'v1.0',
  commit: 'c'.repeat(40),
  platform: 'linux/amd64',
  environmentKeys: ['TOKEN'],
  images: [{ key: `v1.0.${'d'.repeat(20)}`, services: ['web'], ref: '', id: `sha256:${config}`, bytes: 5 }],
};

/** Writes a bundle and hands it over as a file. */
async function bundle<T>(
  images: Buffer,
  use: (file: Awaited<ReturnType<typeof open>>, size: number) => Promise<T>,
  changed: object = {},
): Promise<T> {
  const source = join(root, 'source');
  await writeFile(source, 'the source');
  const file = await open(join(root, 'bundle'), 'w+');
  try {
    const engine = { saveImages: async () => Readable.from([images.subarray(0, 700), images.subarray(700)]) };
    const about = { engine, index: { ...index, ...changed }, source, progress: () => undefined, signal };
    const { bytes, sha256 } = await writeBundle(file, about);
    const data = Buffer.alloc(bytes);
    await file.read(data, 0, bytes, 0);
    expect(createHash('sha256').update(data).digest('hex')).toBe(sha256);
    expect((await file.stat()).size).toBe(bytes);
    return await use(file, bytes);
  } finally {
    await file.close();
  }
}
const prove = (images: Buffer) =>
  bundle(images, async (file, size) => proveBundle(file, await readBundle(file, size), signal));

/** A host on which nothing is known. */
const host = (more: Partial<LoadDeps> = {}): LoadDeps => ({
  engine: {
    about: async () => ({}),
    platform: async () => 'linux/amd64',
    image: async () => undefined,
    tagImage: async () => undefined,
    loadImages: async () => undefined,
  },
  repository: { adopt: async () => undefined },
  nameOf: (key) => bundledImage('two', key),
  commitsOf: async () => [],
  scratchDirectory: join(root, 'scratch'),
  progress: () => undefined,
  signal,
  ...more,
});

describe('a bundle', () => {
  it('is read back as it was written', async () => {
    await bundle(archive(good), async (file, size) => {
      const read = await readBundle(file, size);
      expect(read.index).toMatchObject(index);
      await proveBundle(file, read, signal);
      const plan = await planLoad(file, size, host());
      expect(plan.missing).toEqual(index.images);
    });
  });

  it('has nothing between, behind or instead of its entries, and no byte that was changed', async () => {
    await bundle(archive(good), async (file, size) => {
      const whole = Buffer.alloc(size);
      await file.read(whole, 0, size, 0);
      const path = join(root, 'changed');
      const refused = async (data: Buffer) => {
        await writeFile(path, data);
        const changed = await open(path, 'r');
        try {
          const attempt = async () => proveBundle(changed, await readBundle(changed, data.length), signal);
          await expect(attempt()).rejects.toMatchObject({ code: 'bundle_invalid', left: 'nothing was loaded' });
        } finally {
          await changed.close();
        }
      };
      for (const length of [0, 1, 511, 512, 1_024, size - 1_024, size - 1]) await refused(whole.subarray(0, length));
      await refused(Buffer.concat([whole, Buffer.alloc(512)]));
      await refused(Buffer.concat([tarHeader('../../etc/passwd', 0) ?? whole, whole]));
      for (let at = 0; at < size; at += 41) {
        const data = Buffer.from(whole);
        data.writeUInt8(data.readUInt8(at) ^ 1, at);
        await refused(data);
      }
    });
  });

  it('holds the images that it says, under no name, and nothing else', async () => {
    await prove(archive(good));
    const blobs = {
      'oci-layout': '{}',
      'index.json': JSON.stringify({ manifests: [{ digest: `sha256:${config}` }] }),
      'manifest.json': JSON.stringify([{ Config: `blobs/sha256/${layer}`, RepoTags: null }]),
    };
    await prove(archive(blobs));
    const named = [{ ...saved[0], RepoTags: ['appliance/edge:latest'] }];
    const annotated = { digest: `sha256:${config}`, annotations: { 'io.containerd.image.name': 'edge' } };
    for (const [entries, why] of [
      [{ ...good, 'manifest.json': JSON.stringify(named) }, 'gives names'],
      [{ ...good, repositories: '{"appliance/edge":{"latest":"x"}}' }, 'gives names'],
      [{ ...blobs, 'index.json': JSON.stringify({ manifests: [annotated] }) }, 'gives names'],
      [{ ...good, 'manifest.json': JSON.stringify([...saved, ...saved]) }, 'other images'],
      [{ ...good, 'manifest.json': JSON.stringify([{ Config: `${layer}.json` }]) }, 'other images'],
      [{ ...good, 'manifest.json': 'no' }, 'images.tar'],
      [{ [`${config}.json`]: '{}' }, 'no list'],
      [{ ...good, '../../etc/passwd': 'x' }, 'stands "../../etc/passwd"'],
      [{ ...good, '/etc/passwd': 'x' }, 'stands "/etc/passwd"'],
      [{ ...good, [`${layer}/../manifest.json`]: 'x' }, 'stands'],
    ] as const)
      await expect(prove(archive(entries)), why).rejects.toMatchObject({
        code: 'bundle_invalid',
        message: expect.stringContaining(why),
      });
    await expect(prove(archive({ 'manifest.json': '' }, '2'))).rejects.toMatchObject({ code: 'bundle_invalid' });
    await expect(prove(archive({ p: '30 path=manifest.json\n' }, 'x'))).rejects.toMatchObject({
      message: expect.stringContaining('two names'),
    });
  });

  it('of a newer appliance, or for another platform, or of a tag that moved is refused', async () => {
    const newer = Buffer.from(JSON.stringify({ format: bundleFormat + 1, program: '9.0.0', more: 1 }));
    expect(() => parseIndex(newer)).toThrow(expect.objectContaining({ code: 'bundle_newer' }));
    const arm = bundle(archive(good), (file, size) => planLoad(file, size, host()), { platform: 'linux/arm64' });
    await expect(arm).rejects.toMatchObject({
      code: 'bundle_invalid',
      message: expect.stringContaining('linux/arm64'),
    });
    const moved = host({ commitsOf: async () => [index.commit, 'e'.repeat(40)] });
    await expect(bundle(archive(good), (file, size) => planLoad(file, size, moved))).rejects.toMatchObject({
      code: 'moved_tag',
    });
  });

  it('that does not fit is refused before anything is loaded', async () => {
    const engine = { ...host().engine, about: async () => ({ DockerRootDir: root }) };
    const images = [{ ...index.images[0], bytes: 2 ** 52 }];
    const attempt = bundle(archive(good), (file, size) => planLoad(file, size, host({ engine })), { images });
    await expect(attempt).rejects.toMatchObject({ code: 'disk_full', left: 'nothing was loaded' });
  });

  it('has an index that names images of its own tag alone, each once', () => {
    const whole = { ...index, members: { 'source.gitbundle': member, 'images.tar': member } };
    const parse = (changed: object) => parseIndex(Buffer.from(JSON.stringify({ ...whole, ...changed })));
    expect(parse({}).tag).toBe('v1.0');
    for (const changed of [
      { images: [index.images[0], index.images[0]] },
      { images: [{ ...index.images[0], key: `v1.${'d'.repeat(20)}` }] },
      { tag: '../up' },
      { tag: '-x' },
      { commit: 'HEAD' },
      { appliance: '\u001b[2J' },
      { other: 1 },
    ])
      expect(() => parse(changed)).toThrow(expect.objectContaining({ code: 'bundle_invalid' }));
  });
});

const member = { bytes: 1, sha256: 'f'.repeat(64) };

describe('an image of a bundle', () => {
  const project = (build: object) => ({
    model: { name: 'p', services: { web: { build } } },
    services: [],
    perColour: [],
    schema: null,
    files: {},
    notes: [],
  });
  const origin = (directory: string, more: object = {}) => ({
    tag: 'v1.0',
    commit: 'c'.repeat(40),
    directory,
    project: project({ context: `${directory}/source`, tags: ['x'], args: {}, ...more }) as never,
  });
  const plan = { services: ['web'], name: 'n', builtBy: 'web', ref: '' };

  it('is known by the build, wherever the release lies, and not by one with other arguments', () => {
    const key = imageKey(origin('/a/lib/releases/v1.0-1'), plan);
    expect(imageKey(origin('/b/v1.0-2'), plan)).toBe(key);
    expect(imageKey(origin('/b/v1.0-2', { args: { A: '1' } }), plan)).not.toBe(key);
    expect(imageKey({ ...origin('/a'), commit: 'd'.repeat(40) }, plan)).not.toBe(key);
    expect(imageKey(origin('/a'), { ...plan, builtBy: null, ref: 'redis:8' })).not.toBe(key);
  });

  it('belongs to its tag, not to one that begins like it', () => {
    const name = bundledImage('one', `v0.9.1.${'a'.repeat(20)}`);
    expect(isBundled(name, 'one', 'v0.9.1')).toBe(true);
    expect(isBundled(name, 'one', 'v0.9')).toBe(false);
    expect(isBundled(name, 'two', 'v0.9.1')).toBe(false);
  });
});
