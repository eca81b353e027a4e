import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { chmod, chown, lstat, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { addVersion } from '../../src/capabilities/models/add.ts';
import { exportVersion } from '../../src/capabilities/models/archive-export.ts';
import { header, type indexSchema, readHeader } from '../../src/capabilities/models/archive-format.ts';
import { importArchive } from '../../src/capabilities/models/archive-import.ts';
import { ArchiveKeys } from '../../src/capabilities/models/archive-keys.ts';
import { modelFiles } from '../../src/capabilities/models/layout.ts';
import { ModelRegistry } from '../../src/capabilities/models/registry.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { asApplianceError } from '../../src/lib/errors.ts';
import { tarBlock, tarPadded } from '../../src/lib/tar.ts';
import { writeModel } from '../support/models.ts';

/** One host: a registry and its keys. */
interface Host {
  readonly registry: ModelRegistry;
  readonly keys: ArchiveKeys;
}

let root: string;
let here: Host;
let there: Host;
let archive: string;
const change = { actor: 'ada' };
const signal = new AbortController().signal;

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'models-archive-'));
  [here, there] = await Promise.all([host('here'), host('there')]);
  archive = join(root, 'version.tar');
});
afterEach(async () => {
  here.registry.close();
  there.registry.close();
  await rm(root, { recursive: true, force: true });
});

async function host(name: string): Promise<Host> {
  const models = join(root, name, 'models');
  await mkdir(models, { recursive: true });
  const registry = new ModelRegistry(models, { clock: systemClock, access: 'write' });
  return { registry, keys: new ArchiveKeys(join(root, name, 'keys')) };
}

async function exported(uid = 0, path = archive): Promise<string> {
  const source = await writeModel(join(root, 'source'), { files: { 'deep/er/words.txt': 'a b', 'empty.txt': '' } });
  const request = { source, requirements: undefined, change, uid: 0, signal };
  const { version } = await addVersion(here.registry, request);
  const { key } = await exportVersion(here.registry, {
    version,
    path,
    keys: here.keys,
    appliance: 'factory',
    change,
    uid,
    now: '2026-01-01T00:00:00Z',
    signal,
  });
  return key;
}

const imported = (trust?: string, uid = 0) =>
  importArchive(there.registry, there.keys, { source: archive, requirements: undefined, change, uid, signal, trust });

async function refusal(trust?: string): Promise<{ code: string; message: string }> {
  const error = await imported(trust).then(
    () => ({ code: 'nothing was refused', message: '' }),
    (thrown: unknown) => asApplianceError(thrown),
  );
  expect(there.registry.page({ limit: 9 })).toEqual([]);
  const { versions, staging } = modelFiles(there.registry.directory);
  expect(existsSync(versions)).toBe(false);
  expect(existsSync(staging) ? await readdir(staging) : []).toEqual([]);
  return { code: error.code, message: error.message };
}

describe('a version as a signed archive', () => {
  it('goes to another host with all that was registered', async () => {
    const key = await exported();
    const listed = execFileSync('tar', ['-tf', archive], { encoding: 'utf8' }).trim().split('\n');
    expect(listed.slice(0, 2)).toEqual(['appliance-model.json', 'appliance-model.sig']);
    expect(listed).toContain('files/deep/er/words.txt');
    const { version, added, key: by } = await imported(key);
    expect([added, by]).toEqual([true, key]);
    const [original] = here.registry.page({ limit: 1 });
    expect(version).toMatchObject({ content: original?.content, sha256: original?.sha256, metrics: original?.metrics });
    expect(version.source).toContain('of factory');
    expect(await readFile(join(version.directory, 'deep/er/words.txt'), 'utf8')).toBe('a b');
    // Trusted once, trusted from then on; and the same bytes again change nothing.
    expect(await imported()).toMatchObject({ added: false });
    expect(there.registry.history({ limit: 9 }).map(({ event }) => event)).toEqual(['imported']);
    expect(here.registry.history({ limit: 1 }).map(({ event }) => event)).toEqual(['exported']);
  });

  it('is taken by the host that made it without a question', async () => {
    await exported();
    const again = { source: archive, requirements: undefined, change, uid: 0, signal, trust: undefined };
    expect(await importArchive(here.registry, here.keys, again)).toMatchObject({ added: false });
  });

  it('is refused while nobody trusts its key, and when another key was expected', async () => {
    const key = await exported();
    expect(await refusal()).toEqual({ code: 'model_untrusted', message: expect.stringContaining(key) });
    expect(await refusal(`${key}x`)).toMatchObject({ code: 'model_untrusted' });
    expect(await refusal()).toMatchObject({ code: 'model_untrusted' });
  });

  it('keeps the signing key to itself', async () => {
    await exported();
    const keys = join(root, 'here/keys');
    expect((await lstat(keys)).mode & 0o777).toBe(0o700);
    expect((await lstat(join(keys, 'signing.pem'))).mode & 0o777).toBe(0o600);
    expect(await readFile(archive, 'latin1')).not.toContain('PRIVATE');
  });

  it('never replaces a file, and leaves none behind that is not complete', async () => {
    await writeFile(archive, 'mine');
    await expect(exported()).rejects.toMatchObject({ code: 'usage' });
    expect(await readFile(archive, 'utf8')).toBe('mine');
    await rm(archive);
    const [version] = here.registry.page({ limit: 1 });
    await chmod(join(version?.directory ?? '', 'model.joblib'), 0o644);
    await writeFile(join(version?.directory ?? '', 'model.joblib'), 'weights of X');
    await expect(exported()).rejects.toMatchObject({ code: 'model_invalid' });
    expect((await readdir(root)).sort()).toEqual(['here', 'source', 'there']);
  });

  it.runIf(process.getuid?.() === 0)('is written for its caller, and only where the caller is at home', async () => {
    await mkdir(join(root, 'home'));
    await expect(exported(4_242, join(root, 'home/v.tar'))).rejects.toMatchObject({ code: 'not_permitted' });
    await chown(join(root, 'home'), 4_242, 4_242);
    await exported(4_242, join(root, 'home/v.tar'));
    expect((await lstat(join(root, 'home/v.tar'))).uid).toBe(4_242);
  });
});

describe('an archive that was tampered with is refused before anything is unpacked', () => {
  type Entry = [path: string, data: Buffer];

  /** Takes the archive apart. */
  async function entries(): Promise<Entry[]> {
    const data = await readFile(archive);
    const found: Entry[] = [];
    for (let at = 0; data.readUInt8(at) !== 0; ) {
      const { path, bytes } = readHeader(data.subarray(at, at + tarBlock));
      found.push([path, data.subarray(at + tarBlock, at + tarBlock + bytes)]);
      at += tarBlock + tarPadded(bytes);
    }
    return found;
  }
  /** Puts it together again, whatever its entries are. */
  async function write(all: readonly Entry[], tail = Buffer.alloc(2 * tarBlock)): Promise<void> {
    const parts = all.flatMap(([path, data]) => [
      header(path, data.length),
      data,
      Buffer.alloc(tarPadded(data.length) - data.length),
    ]);
    await writeFile(archive, Buffer.concat([...parts, tail]));
  }
  type Index = Parameters<typeof indexSchema.parse>[0] & { artefacts: { path: string; sha256: string }[] };
  /** Changes the index and signs it with a key of one's own. */
  async function resigned(edit: (index: Index) => void): Promise<string> {
    const all = await entries();
    const index = JSON.parse(all[0]?.[1].toString() ?? '') as Index;
    const { publicKey, sign } = await new ArchiveKeys(join(root, 'mallory')).signer();
    edit(index);
    const said = Buffer.from(JSON.stringify({ ...index, publicKey }));
    await write([['appliance-model.json', said], ['appliance-model.sig', Buffer.from(sign(said))], ...all.slice(2)]);
    const { fingerprintOf } = await import('../../src/capabilities/models/archive-keys.ts');
    return fingerprintOf(publicKey);
  }

  it.each<[string, (all: Entry[]) => Promise<void> | Entry[], RegExp]>([
    [
      'a byte of a file',
      (all) => all.map(([path, data]) => [path, path.endsWith('model.joblib') ? flipped(data) : data]),
      /model\.joblib does not have the hash/,
    ],
    [
      'a byte of the index',
      (all) =>
        all.map(([path, data], at) => [
          path,
          at === 0 ? Buffer.from(data.toString().replace('factory', 'factorY')) : data,
        ]),
      /signature is not right/,
    ],
    [
      'a signature of something else',
      (all) => all.map(([path, data], at) => [path, at === 1 ? flipped(data) : data]),
      /signature is not right/,
    ],
    [
      'another name',
      (all) => all.map(([path, data]) => [path.replace('words.txt', 'swords.txt'), data]),
      /where files\/deep\/er\/words\.txt should be/,
    ],
    [
      'a path out of the directory',
      (all) => all.map(([path, data]) => [path.replace('files/model', '../../model'), data]),
      /stands "\.\.\/\.\.\/model/,
    ],
    [
      'an absolute path',
      (all) => all.map(([path, data]) => [path.replace('files/model', '/etc/model'), data]),
      /stands "\/etc\/model/,
    ],
    ['a file more', (all) => [...all, ['files/extra', Buffer.from('x')]], /something follows/],
    ['a file less', (all) => all.slice(0, -1), /ends too early|no whole header|no ustar/],
    ['a file twice', (all) => [...all.slice(0, 3), ...all.slice(2)], /should be stands/],
    [
      'another order',
      (all) => [all[0], all[1], ...all.slice(2).reverse()].filter((one) => one !== undefined),
      /should be stands/,
    ],
    ['no index', (all) => all.slice(1), /where appliance-model\.json should be/],
    ['an end that is missing', async (all) => write(all, Buffer.alloc(tarBlock)), /ends too early/],
    [
      'something behind its end',
      async (all) => write(all, Buffer.concat([Buffer.alloc(2 * tarBlock), Buffer.from('x')])),
      /something follows/,
    ],
    ['nothing but noise', async () => writeFile(archive, Buffer.alloc(4_096, 0x5a)), /no whole header/],
    ['nothing', async () => writeFile(archive, ''), /ends too early/],
  ])('%s', async (_, harm, message) => {
    const key = await exported();
    const changed = await harm(await entries());
    if (changed) await write(changed);
    expect(await refusal(key)).toEqual({ code: 'model_invalid', message: expect.stringMatching(message) });
  });

  it('cut off at any length', async () => {
    const key = await exported();
    const whole = await readFile(archive);
    for (let length = 0; length < whole.length; length += 397) {
      await writeFile(archive, whole.subarray(0, length));
      expect(await refusal(key)).toMatchObject({ code: 'model_invalid' });
    }
  });

  it('entries that are links or devices, whatever their names', async () => {
    const key = await exported();
    const whole = await readFile(archive);
    for (const kind of ['1', '2', '3', '5', '6', 'x', 'L']) {
      const data = Buffer.from(whole);
      data.write(kind, 156);
      data.write('        ', 148);
      const sum = data.subarray(0, tarBlock).reduce((total, byte) => total + byte, 0);
      data.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
      await writeFile(archive, data);
      expect(await refusal(key)).toMatchObject({ message: expect.stringContaining('is no plain file') });
    }
  });

  it.each<[string, (index: Index) => void, RegExp]>([
    [
      'a path out of the directory',
      ({ artefacts }) => Object.assign(artefacts[0] ?? {}, { path: '../../etc/passwd' }),
      /path below the directory/,
    ],
    ['a file twice', ({ artefacts }) => artefacts.push(...artefacts.slice(0, 1)), /names a file twice/],
    [
      'another hash',
      ({ artefacts }) => Object.assign(artefacts[0] ?? {}, { sha256: '0'.repeat(64) }),
      /hash that was signed/,
    ],
  ])('by somebody who is trusted: %s', async (_, edit, message) => {
    await exported();
    const key = await resigned(edit);
    expect(await refusal(key)).toEqual({ code: 'model_invalid', message: expect.stringMatching(message) });
  });

  it('a name that the manifest in it does not have is not what counts', async () => {
    await exported();
    const key = await resigned((index) => Object.assign(index, { name: 'other' }));
    expect(await refusal(key)).toEqual({ code: 'model_invalid', message: expect.stringContaining('routing@1') });
  });
});

it('writes headers that tar understands, also for 10 GB', () => {
  for (const bytes of [0, 511, 8 ** 11 - 1, 8 ** 11, 10e9]) {
    expect(readHeader(header(`files/${'d'.repeat(90)}/${'n'.repeat(90)}`, bytes))).toMatchObject({ bytes });
  }
  const large = header('files/large', 10e9);
  // What follows is not there: tar says so, after it has shown the entry.
  const { stdout: listed } = spawnSync('tar', ['-tvf', '-'], {
    input: Buffer.concat([large, Buffer.alloc(tarBlock)]),
    encoding: 'utf8',
  });
  expect(listed).toContain(' 10000000000 ');
});

function flipped(data: Buffer): Buffer {
  const copy = Buffer.from(data);
  copy.writeUInt8(copy.readUInt8(3) ^ 1, 3);
  return copy;
}
