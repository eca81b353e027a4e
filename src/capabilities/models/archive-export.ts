import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { writeNewFile } from '../../host/new-file.ts';
import { tarBlock, tarPadded } from '../../lib/tar.ts';
import { type ArchiveIndex, filesPrefix, header, indexName, signatureName } from './archive-format.ts';
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
  const first: [string, Buffer][] = [
    [indexName, said],
    [signatureName, Buffer.from(`${sign(said)}\n`)],
  ];
  const path = join(await realDirectory(dirname(request.path)), basename(request.path));
  const bytes = await writeNewFile({ path, uid }, (file) => write(file, registry, request, index, first));
  registry.note(version, 'exported', request.change);
  return { bytes, key: fingerprintOf(publicKey) };
}

/** @returns bytes of the archive */
async function write(
  file: FileHandle,
  registry: ModelRegistry,
  { version, signal }: ExportRequest,
  { artefacts }: ArchiveIndex,
  first: readonly [string, Buffer][],
): Promise<number> {
  let bytes = 0;
  for (const [name, data] of first) bytes += await entry(file, name, data.length, [data]);
  for (const { path: inner, bytes: size, sha256 } of artefacts) {
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
  await file.write(Buffer.alloc(2 * tarBlock));
  return bytes + 2 * tarBlock;
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
  await file.writeFile(Buffer.alloc(tarPadded(size) - size));
  return tarBlock + tarPadded(size);
}

function invalidCopy(path: string): Error {
  return invalid(`${path} is not what was registered; appliance models verify says more`);
}
