import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import type { Engine } from '../../host/docker.ts';
import { tarBlock, tarHeader, tarPadded } from '../../lib/tar.ts';
import { formatBytes } from '../../lib/units.ts';
import { type BundleIndex, imagesName, indexName, sourceName, sumName, sumOf } from './format.ts';

export interface WriteRequest {
  readonly engine: Pick<Engine, 'saveImages'>;
  /** All of the index but what is known when it is written. */
  readonly index: Omit<BundleIndex, 'members'>;
  /** File with the packed source. */
  readonly source: string;
  /** Told of how far it is, for people. */
  readonly progress: (text: string) => void;
  readonly signal: AbortSignal;
}

/** What was written. */
export interface Written {
  /** Of the whole file. */
  readonly bytes: number;
  /** Of the whole file, as `sha256sum` prints it. */
  readonly sha256: string;
}

/** Bytes between two reports. */
const stride = 256 * 2 ** 20;

/** Writes a bundle into an empty file that can be read as well. @throws ApplianceError `disk_full`, `engine_unreachable` */
export async function writeBundle(file: FileHandle, request: WriteRequest): Promise<Written> {
  const { engine, index, source, progress, signal } = request;
  const writer = new TarWriter(file, signal);
  const packed = await writer.entry(sourceName, createReadStream(source, { signal }));
  const ids = [...new Set(index.images.map(({ id }) => id))];
  const images = await writer.entry(imagesName, await engine.saveImages(ids, signal), (bytes) =>
    progress(`${formatBytes(bytes)} of images are written`),
  );
  const whole: BundleIndex = { ...index, members: { [sourceName]: packed, [imagesName]: images } };
  const said = Buffer.from(`${JSON.stringify(whole, null, 2)}\n`);
  await writer.entry(indexName, [said]);
  await writer.entry(sumName, [sumOf(said)]);
  const bytes = await writer.end();
  progress('reading it back');
  const hash = createHash('sha256');
  for await (const piece of file.createReadStream({ start: 0, autoClose: false, highWaterMark: 2 ** 20 })) {
    signal.throwIfAborted();
    hash.update(piece);
  }
  return { bytes, sha256: hash.digest('hex') };
}

/** Writes entries one after the other; the header of each when its size is known. */
class TarWriter {
  readonly #file: FileHandle;
  readonly #signal: AbortSignal;
  #at = 0;

  constructor(file: FileHandle, signal: AbortSignal) {
    this.#file = file;
    this.#signal = signal;
  }

  async entry(
    path: string,
    pieces: AsyncIterable<Buffer> | Iterable<Buffer>,
    progress: (bytes: number) => void = () => undefined,
  ): Promise<{ bytes: number; sha256: string }> {
    const start = this.#at;
    const hash = createHash('sha256');
    let bytes = 0;
    let told = 0;
    for await (const piece of pieces) {
      this.#signal.throwIfAborted();
      hash.update(piece);
      await this.#write(piece, start + tarBlock + bytes);
      bytes += piece.length;
      if (bytes - told < stride) continue;
      told = bytes;
      progress(bytes);
    }
    const header = tarHeader(path, bytes);
    if (!header) throw new RangeError(`${path} is too long a path for an archive`);
    await this.#write(header, start);
    await this.#write(Buffer.alloc(tarPadded(bytes) - bytes), start + tarBlock + bytes);
    this.#at = start + tarBlock + tarPadded(bytes);
    return { bytes, sha256: hash.digest('hex') };
  }

  /** @returns bytes of the archive */
  async end(): Promise<number> {
    await this.#write(Buffer.alloc(2 * tarBlock), this.#at);
    return this.#at + 2 * tarBlock;
  }

  /** A disk that fills up may take less than all of it. */
  async #write(data: Buffer, at: number): Promise<void> {
    for (let done = 0; done < data.length; )
      done += (await this.#file.write(data, done, data.length - done, at + done)).bytesWritten;
  }
}
