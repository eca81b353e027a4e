import { createHash, randomBytes } from 'node:crypto';
import { constants, createReadStream } from 'node:fs';
import { type FileHandle, link, open, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { ApplianceError, systemCode } from '../../lib/errors.ts';
import { type ArchiveIndex, block, filesPrefix, header, indexName, padded, signatureName } from './archive-format.ts';
import { type ArchiveKeys, fingerprintOf } from './archive-keys.ts';
import { versionDirectory } from './layout.ts';
import type { ModelRegistry } from './registry.ts';
import type { Change, ModelVersion } from './registry-types.ts';
import { invalid, realDirectory } from './survey.ts';

export interface ExportRequest {
  readonly version: ModelVersion;
  /** File to write; it must not exist. */
  readonly path: string;
  readonly keys: ArchiveKeys;
  /** Name of this appliance. */
  readonly appliance: string;
  readonly change: Change;
  /** User id of who asks: the file is theirs, and lies in a directory of theirs. */
  readonly uid: number;
  /** RFC 3339. */
  readonly now: string;
  readonly signal: AbortSignal;
}

/**
 * Writes one version as a signed archive, for hosts without internet. It appears when it is complete.
 * @returns its size in bytes, and the fingerprint of the key that signed it
 * @throws ApplianceError `model_invalid` when a file is not what was registered; `usage` when the file exists;
 *   `not_permitted`, `disk_full`
 */
export async function exportVersion(
  registry: ModelRegistry,
  request: ExportRequest,
): Promise<{ readonly bytes: number; readonly key: string }> {
  const { version, uid } = request;
  const { publicKey, sign } = await request.keys.signer();
  const index: ArchiveIndex = {
    format: 1,
    name: version.name,
    version: version.version,
    artefacts: registry.artefacts(version),
    exportedAt: request.now,
    exportedBy: request.appliance,
    publicKey,
  };
  const said = Buffer.from(`${JSON.stringify(index, null, 2)}\n`);
  const parent = await open(await realDirectory(dirname(request.path)), constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    const { uid: owner } = await parent.stat();
    if (uid !== 0 && uid !== process.getuid?.() && uid !== owner) throw notYours(dirname(request.path));
    // Through the open directory: nobody can put another one in its place meanwhile.
    const inParent = (name: string) => join('/proc/self/fd', String(parent.fd), name);
    const partial = inParent(`.${randomBytes(6).toString('hex')}.tmp`);
    try {
      const bytes = await write(partial, request, [
        [indexName, said],
        [signatureName, Buffer.from(`${sign(said)}\n`)],
      ]);
      await publish(partial, inParent(basename(request.path)), request.path);
      await parent.sync();
      registry.note(version, 'exported', request.change);
      return { bytes, key: fingerprintOf(publicKey) };
    } finally {
      await rm(partial, { force: true });
    }
  } finally {
    await parent.close();
  }

  async function write(path: string, { signal }: ExportRequest, first: [string, Buffer][]): Promise<number> {
    const file = await open(path, 'wx', 0o600);
    try {
      let bytes = 0;
      for (const [name, data] of first) bytes += await entry(file, name, data.length, [data]);
      for (const { path: inner, bytes: size, sha256 } of index.artefacts) {
        const from = join(versionDirectory(registry.directory, version.name, version.version), inner);
        const hash = createHash('sha256');
        bytes += await entry(
          file,
          filesPrefix + inner,
          size,
          hashed(createReadStream(from, { highWaterMark: 2 ** 20, signal }), hash),
        );
        if (hash.digest('hex') !== sha256) throw invalidCopy(inner);
      }
      await file.write(Buffer.alloc(2 * block));
      await file.chmod(0o644);
      if (process.getuid?.() === 0) await file.chown(uid, uid === 0 ? 0 : (await parent.stat()).gid);
      await file.sync();
      return bytes + 2 * block;
    } finally {
      await file.close();
    }
  }
}

async function* hashed(pieces: AsyncIterable<Buffer>, hash: { update(data: Buffer): unknown }): AsyncGenerator<Buffer> {
  for await (const data of pieces) {
    hash.update(data);
    yield data;
  }
}

/** @returns bytes that it takes in the archive */
async function entry(
  file: FileHandle,
  path: string,
  size: number,
  pieces: AsyncIterable<Buffer> | Iterable<Buffer>,
): Promise<number> {
  await file.writeFile(header(path, size));
  let seen = 0;
  for await (const data of pieces) {
    seen += data.length;
    await file.writeFile(data);
  }
  if (seen !== size) throw invalidCopy(path);
  await file.writeFile(Buffer.alloc(padded(size) - size));
  return block + padded(size);
}

async function publish(partial: string, final: string, path: string): Promise<void> {
  try {
    await link(partial, final);
  } catch (error) {
    if (systemCode(error) !== 'EEXIST') throw error;
    throw new ApplianceError('usage', `${path} exists`, { left: 'it is untouched', hint: 'name another file' });
  }
}

function invalidCopy(path: string): Error {
  return invalid(`${path} is not what was registered; appliance models verify says more`);
}

function notYours(directory: string): ApplianceError {
  return new ApplianceError('not_permitted', `${directory} is not your directory`, {
    left: 'nothing was written',
    hint: 'export into a directory of your own, or use sudo',
  });
}
