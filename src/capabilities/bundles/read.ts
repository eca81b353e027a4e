import { createHash } from 'node:crypto';
import type { FileHandle } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { z } from 'zod';
import { messageOf } from '../../lib/errors.ts';
import { readTarHeader, type TarEntry, tarBlock, tarPadded } from '../../lib/tar.ts';
import {
  type BundleIndex,
  broken,
  imagesName,
  indexName,
  largestIndex,
  parseIndex,
  sourceName,
  sumName,
  sumOf,
} from './format.ts';

/** Bytes of a file. */
export interface Range {
  readonly offset: number;
  readonly bytes: number;
}

/** A bundle whose outline is as it must be. */
export interface Bundle {
  readonly index: BundleIndex;
  readonly source: Range;
  readonly images: Range;
  readonly bytes: number;
}

/**
 * Reads the outline of a bundle: names, order and sizes of its entries, and its index. Nothing is unpacked.
 * @param size of the file, in bytes
 * @throws ApplianceError `bundle_invalid`, `bundle_newer`
 */
export async function readBundle(file: FileHandle, size: number): Promise<Bundle> {
  const source = await entryAt(file, size, 0, sourceName);
  const images = await entryAt(file, size, endOf(source), imagesName);
  const said = await entryAt(file, size, endOf(images), indexName);
  if (said.bytes > largestIndex) throw broken(`${indexName} has ${said.bytes} bytes`);
  const text = await readAt(file, said.offset, said.bytes);
  const sum = await entryAt(file, size, endOf(said), sumName);
  if (!sumOf(text).equals(await readAt(file, sum.offset, Math.min(sum.bytes, tarBlock))))
    throw broken(`${indexName} does not have its hash`);
  const index = parseIndex(text);
  for (const [name, { bytes }] of [[sourceName, source] as const, [imagesName, images] as const])
    if (index.members[name].bytes !== bytes)
      throw broken(`${name} has ${bytes} bytes, not ${index.members[name].bytes}`);
  const rest = await readAt(file, endOf(sum), 2 * tarBlock);
  if (rest.some((byte) => byte !== 0) || size !== endOf(sum) + 2 * tarBlock)
    throw broken('something follows the last entry');
  return { index, source, images, bytes: size };
}

/**
 * Proves that the members of a bundle are what its index says, and that what is in its images are these images, which nobody
 * has given a name to: an archive of images may move any name of the engine.
 * @throws ApplianceError `bundle_invalid`
 */
export async function proveBundle(file: FileHandle, bundle: Bundle, signal: AbortSignal): Promise<void> {
  const { index, source, images } = bundle;
  for (const [name, range] of [[sourceName, source] as const, [imagesName, images] as const]) {
    const hash = createHash('sha256');
    for await (const piece of streamOf(file, range)) {
      signal.throwIfAborted();
      hash.update(piece);
    }
    if (hash.digest('hex') !== index.members[name].sha256) throw broken(`${name} does not have its hash`);
  }
  await proveImages(file, images, new Set(index.images.map(({ id }) => id.replace('sha256:', ''))));
}

/** Bytes of a file as a stream; the file stays open. */
export function streamOf(file: FileHandle, { offset, bytes }: Range): Readable {
  if (bytes === 0) return Readable.from([]);
  return file.createReadStream({ start: offset, end: offset + bytes - 1, autoClose: false, highWaterMark: 2 ** 20 });
}

// What `docker save` writes: as it always has, and in the layout of OCI since Docker 25.
const savedNames = [
  /^[0-9a-f]{64}\/(?:VERSION|json|layer\.tar)?$/,
  /^[0-9a-f]{64}\.json$/,
  /^(?:manifest\.json|index\.json|oci-layout|repositories)$/,
  /^blobs\/(?:sha256\/(?:[0-9a-f]{64})?)?$/,
];
const listSchema = z.array(z.object({ Config: z.string(), RepoTags: z.array(z.string()).nullish() }));
const layoutSchema = z.object({
  manifests: z.array(z.object({ digest: z.string(), annotations: z.record(z.string(), z.string()).nullish() })),
});
/** Largest list of images that is read, in bytes. */
const largestList = 2 ** 22;

async function proveImages(file: FileHandle, { offset, bytes }: Range, wanted: ReadonlySet<string>): Promise<void> {
  const lists = new Map<string, string>();
  for (let at = 0; ; ) {
    const header = await readAt(file, offset + at, tarBlock);
    if (header.every((byte) => byte === 0)) break;
    const entry = headerOf(header);
    const { path } = entry;
    // What says more of the entry after it may say another name or size, too.
    if (entry.kind === 'x' || entry.kind === 'g')
      assertHarmless(await readAt(file, offset + at + tarBlock, Math.min(entry.bytes, 2 ** 16)));
    else {
      if (!savedNames.some((known) => known.test(path)) || !['0', '2', '5'].includes(entry.kind))
        throw broken(`in ${imagesName} stands ${JSON.stringify(path.slice(0, 200))}`);
      if (['manifest.json', 'index.json', 'repositories'].includes(path)) {
        if (entry.kind !== '0' || entry.bytes > largestList || lists.has(path))
          throw broken(`${path} is no list of images`);
        lists.set(path, (await readAt(file, offset + at + tarBlock, entry.bytes)).toString('utf8'));
      }
    }
    at += tarBlock + tarPadded(entry.bytes);
    if (at + tarBlock > bytes) throw broken(`${imagesName} ends too early`);
  }
  assertImages(lists, wanted);
}

function assertHarmless(extended: Buffer): void {
  if (/(?:^|\n)\d+ (?:path|linkpath|size|GNU\.[^=]*)=/.test(extended.toString('latin1')))
    throw broken(`${imagesName} has entries with two names`);
}

/** Ids as the two kinds of image stores of Docker have them: of configurations, or of manifests. */
function assertImages(lists: ReadonlyMap<string, string>, wanted: ReadonlySet<string>): void {
  const manifest = lists.get('manifest.json');
  if (manifest === undefined) throw broken(`${imagesName} has no list of its images`);
  if (![undefined, '{}'].includes(lists.get('repositories')?.trim())) throw broken(`${imagesName} gives names`);
  const found = new Set<string>();
  const read = (text: string): unknown => {
    try {
      return JSON.parse(text);
    } catch (error) {
      throw broken(`${imagesName}: ${messageOf(error).slice(0, 200)}`);
    }
  };
  const images = listSchema.safeParse(read(manifest));
  const layout = layoutSchema.safeParse(read(lists.get('index.json') ?? '{"manifests":[]}'));
  if (!images.success || !layout.success) throw broken(`${imagesName} has no list of its images that can be read`);
  if (images.data.some(({ RepoTags }) => (RepoTags ?? []).length > 0)) throw broken(`${imagesName} gives names`);
  for (const { Config } of images.data) found.add(Config.replace(/^blobs\/sha256\//, '').replace(/\.json$/, ''));
  for (const { digest, annotations } of layout.data.manifests) {
    if (Object.keys(annotations ?? {}).some((key) => /image\.name$|ref\.name$/.test(key)))
      throw broken(`${imagesName} gives names`);
    found.add(digest.replace(/^sha256:/, ''));
  }
  if (images.data.length !== wanted.size || [...wanted].some((id) => !found.has(id)))
    throw broken(`${imagesName} holds other images than ${indexName} says`);
}

function endOf({ offset, bytes }: Range): number {
  return offset + tarPadded(bytes);
}

async function entryAt(file: FileHandle, size: number, at: number, path: string): Promise<Range> {
  const entry = headerOf(await readAt(file, at, tarBlock));
  if (entry.path !== path || entry.kind !== '0')
    throw broken(`where ${path} should be stands ${JSON.stringify(entry.path.slice(0, 200))}`);
  const range = { offset: at + tarBlock, bytes: entry.bytes };
  if (endOf(range) > size) throw broken(`it ends in the middle of ${path}`);
  const filled = await readAt(file, range.offset + range.bytes, tarPadded(range.bytes) - range.bytes);
  if (filled.some((byte) => byte !== 0)) throw broken(`something follows ${path}`);
  return range;
}

function headerOf(data: Buffer): TarEntry {
  try {
    return readTarHeader(data);
  } catch (error) {
    throw broken(messageOf(error));
  }
}

async function readAt(file: FileHandle, offset: number, bytes: number): Promise<Buffer> {
  const data = Buffer.alloc(bytes);
  const { bytesRead } = await file.read(data, 0, bytes, offset);
  if (bytesRead !== bytes) throw broken('it ends too early');
  return data;
}
