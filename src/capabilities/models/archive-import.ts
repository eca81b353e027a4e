import { constants } from 'node:fs';
import { type FileHandle, open, realpath } from 'node:fs/promises';
import { identityOf } from '../../host/copy-file.ts';
import { copyFiles } from '../../host/copy-files.ts';
import { messageOf } from '../../lib/errors.ts';
import { tarBlock, tarPadded } from '../../lib/tar.ts';
import { type Added, type AddRequest, addFiles } from './add.ts';
import {
  type ArchiveIndex,
  broken,
  filesPrefix,
  indexName,
  indexSchema,
  largestIndex,
  readHeader,
  signatureName,
} from './archive-format.ts';
import type { ArchiveKeys } from './archive-keys.ts';
import { parseManifest } from './manifest.ts';
import type { ModelRegistry } from './registry.ts';
import { assertReadableFile, readManifestOf, type SourceFile } from './survey.ts';

/**
 * Registers the version that an archive holds. Signature, names, order, sizes and the hash of every byte are proven
 * before anything is unpacked; names come from the signed index alone, so no entry can lead anywhere else.
 * @param trust fingerprint of a key to trust from now on
 * @throws ApplianceError `model_invalid`, `model_untrusted`, and those of `addVersion`
 */
export async function importArchive(
  registry: ModelRegistry,
  keys: ArchiveKeys,
  request: AddRequest & { readonly trust: string | undefined },
): Promise<Added & { readonly key: string }> {
  const path = await realpath(request.source);
  await assertReadableFile(path, request.uid);
  const archive = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    const stat = await archive.stat({ bigint: true });
    const reader = new ArchiveReader(archive, Number(stat.size));
    const said = await reader.small(indexName, largestIndex);
    const index = parseIndex(said);
    const signature = (await reader.small(signatureName, tarBlock)).toString('latin1').trim();
    const key = await keys.prove(said, signature, index.publicKey, request.trust);
    const files: SourceFile[] = [];
    for (const { path: inner, bytes } of index.artefacts) {
      const offset = await reader.skip(filesPrefix + inner, bytes);
      files.push({ path: inner, from: path, identity: identityOf(stat), bytes, offset });
    }
    await reader.end();
    await proveHashes(files, index, request.signal);
    await proveName(files, index);
    const from = `${path} of ${index.exportedBy}`;
    const added = await addFiles(registry, files, { ...request, source: from, event: 'imported' });
    return { ...added, key };
  } finally {
    await archive.close();
  }
}

function parseIndex(bytes: Buffer): ArchiveIndex {
  try {
    const index = indexSchema.parse(JSON.parse(bytes.toString('utf8')));
    if (new Set(index.artefacts.map(({ path }) => path)).size === index.artefacts.length) return index;
  } catch (error) {
    throw broken(`${indexName}: ${messageOf(error).replaceAll('\n', ' ').slice(0, 300)}`);
  }
  throw broken(`${indexName} names a file twice`);
}

async function proveHashes(files: readonly SourceFile[], index: ArchiveIndex, signal: AbortSignal): Promise<void> {
  const jobs = files.map(({ from, identity, bytes, offset = 0 }) => ({
    from,
    identity,
    size: bytes,
    range: { offset, bytes },
  }));
  const results = await copyFiles(jobs, signal);
  index.artefacts.forEach(({ path, sha256 }, at) => {
    if (results[at]?.sha256 !== sha256) throw broken(`${path} does not have the hash that was signed`);
  });
}

/** What a person reads in the index must be what is registered, and that stands in the manifest. */
async function proveName(files: readonly SourceFile[], index: ArchiveIndex): Promise<void> {
  const { name, version } = parseManifest(await readManifestOf(files));
  if (name !== index.name || version !== index.version)
    throw broken(`it says that it holds ${index.name}@${index.version}; its manifest says ${name}@${version}`);
}

/** Walks the entries of an archive, each of which must be the one that is expected. */
class ArchiveReader {
  readonly #file: FileHandle;
  readonly #size: number;
  #at = 0;

  constructor(file: FileHandle, size: number) {
    this.#file = file;
    this.#size = size;
  }

  async small(path: string, largest: number): Promise<Buffer> {
    const { bytes, offset } = await this.#next(path);
    if (bytes > largest) throw broken(`${path} has ${bytes} bytes`);
    return this.#read(offset, bytes);
  }

  /** @returns where the bytes of the entry begin */
  async skip(path: string, bytes: number): Promise<number> {
    const found = await this.#next(path);
    if (found.bytes !== bytes) throw broken(`${path} has ${found.bytes} bytes, not ${bytes}`);
    return found.offset;
  }

  async end(): Promise<void> {
    const rest = await this.#read(this.#at, 2 * tarBlock);
    if (rest.some((byte) => byte !== 0) || this.#size !== this.#at + 2 * tarBlock)
      throw broken('something follows the last file');
  }

  async #next(path: string): Promise<{ bytes: number; offset: number }> {
    const found = readHeader(await this.#read(this.#at, tarBlock));
    if (found.path !== path) throw broken(`where ${path} should be stands ${JSON.stringify(found.path.slice(0, 200))}`);
    const offset = this.#at + tarBlock;
    this.#at = offset + tarPadded(found.bytes);
    if (this.#at > this.#size) throw broken(`it ends in the middle of ${path}`);
    return { bytes: found.bytes, offset };
  }

  async #read(offset: number, bytes: number): Promise<Buffer> {
    const data = Buffer.alloc(bytes);
    const { bytesRead } = await this.#file.read(data, 0, bytes, offset);
    if (bytesRead !== bytes) throw broken('it ends too early');
    return data;
  }
}
