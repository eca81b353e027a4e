import { createReadStream, createWriteStream } from 'node:fs';
import { rm } from 'node:fs/promises';
import { PassThrough, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip, createInflate, createZstdDecompress } from 'node:zlib';
import { spawnFilter } from '../../../host/filter.ts';
import { messageOf, systemCode } from '../../../lib/errors.ts';
import { formatBytes } from '../../../lib/units.ts';
import { Refused } from './values.ts';

/** How something is compressed, by its first bytes: those by which joblib decides (`joblib/compressor.py`). */
type Compression = 'zlib' | 'gzip' | 'bzip2' | 'lzma' | 'xz' | 'lz4' | 'zstd';

const beginnings: readonly (readonly [Compression, readonly number[]])[] = [
  ['gzip', [0x1f, 0x8b]],
  ['bzip2', [0x42, 0x5a]],
  ['xz', [0xfd, 0x37, 0x7a, 0x58, 0x5a]],
  ['lzma', [0x5d, 0x00]],
  ['lz4', [0x04, 0x22, 0x4d, 0x18]],
  ['zstd', [0x28, 0xb5, 0x2f, 0xfd]],
  ['zlib', [0x78]],
];

/** @param head the first bytes of a file */
export function compressionOf(head: Buffer): Compression | undefined {
  const found = beginnings.find(([, bytes]) => bytes.every((byte, index) => head[index] === byte))?.[0];
  // A table whose first column is called x is none: the first two bytes of zlib carry a check (RFC 1950).
  return found === 'zlib' && (head.length < 2 || head.readUInt16BE(0) % 31 !== 0) ? undefined : found;
}

/** Programs for what Node.js cannot unpack; each decides by itself whether its input is whole. */
const programs = {
  bzip2: ['bzip2', '-dc'],
  lzma: ['xz', '-dc', '--format=lzma', '--memlimit-decompress=512MiB'],
  xz: ['xz', '-dc', '--format=xz', '--memlimit-decompress=512MiB'],
  lz4: ['lz4', '-dc'],
} as const;

/** Bounds against bombs, in bytes. */
export interface UnpackBounds {
  /** Most that one file may become. */
  readonly bytes: number;
  /** How many times larger than packed it may become, above the first 64 MiB. */
  readonly ratio: number;
}

const harmless = 64 * 2 ** 20;

/**
 * Unpacks one layer.
 * @throws Refused when it is damaged, becomes too large, has something behind its end, or nobody here can unpack it
 */
export async function unpack(
  compression: Compression,
  from: { readonly path: string; readonly bytes: number },
  to: string,
  bounds: UnpackBounds,
  signal: AbortSignal,
): Promise<void> {
  const limit = Math.min(bounds.bytes, Math.max(harmless, from.bytes * bounds.ratio));
  const counted = new Transform({
    transform(this: Transform & { seen?: number }, chunk: Buffer, _, done) {
      this.seen = (this.seen ?? 0) + chunk.length;
      if (this.seen > limit) done(new Refused(`unpacked it is larger than ${formatBytes(limit)}`));
      else done(null, chunk);
    },
  });
  try {
    const target = createWriteStream(to, { flags: 'wx', mode: 0o600 });
    await pipeline([createReadStream(from.path), ...decompressor(compression, from.bytes), counted, target], {
      signal,
    });
  } catch (error) {
    await rm(to, { force: true });
    if (error instanceof Refused || signal.aborted || systemCode(error) === 'ENOSPC') throw error;
    throw new Refused(`it cannot be unpacked as ${compression}: ${messageOf(error)}`);
  }
}

function decompressor(compression: Compression, bytes: number): NodeJS.ReadWriteStream[] {
  if (compression === 'zlib') return whole(createInflate(), bytes);
  if (compression === 'gzip') return [createGunzip()];
  if (compression === 'zstd') return [createZstdDecompress()];
  const [program, ...args] = programs[compression];
  return [spawnFilter(program, args, (why) => new Refused(why))];
}

/** Bytes behind the end of a zlib stream are dropped in silence otherwise; joblib would not read them either. */
function whole(inflate: ReturnType<typeof createInflate>, bytes: number): NodeJS.ReadWriteStream[] {
  const end = new PassThrough({
    flush(done) {
      if (inflate.bytesWritten === bytes) done();
      else done(new Refused('there is something behind its end'));
    },
  });
  return [inflate, end];
}
