import { closeSync, fstatSync, openSync, readSync } from 'node:fs';

/** What may be read: a file, or a part of one that is in memory. */
export interface Source {
  readonly size: number;
  /** @returns the bytes from `start`, fewer at the end */
  read(start: number, length: number): Buffer;
}

/** A file that somebody else may be writing is refused by whoever compares its size before and after. */
export function withFile<T>(path: string, use: (source: Source) => Promise<T>): Promise<T> {
  const descriptor = openSync(path, 'r');
  const { size } = fstatSync(descriptor);
  const read = (start: number, length: number): Buffer => {
    const buffer = Buffer.alloc(Math.max(0, Math.min(length, size - start)));
    let done = 0;
    while (done < buffer.length) {
      const count = readSync(descriptor, buffer, done, buffer.length - done, start + done);
      if (count === 0) break;
      done += count;
    }
    return buffer.subarray(0, done);
  };
  return use({ size, read }).finally(() => closeSync(descriptor));
}

export function bufferSource(buffer: Buffer): Source {
  return { size: buffer.length, read: (start, length) => buffer.subarray(start, start + length) };
}

const block = 65_536;
/** Longest line of a text opcode. */
const longestLine = 65_536;

/** The input ended where the format needs more. */
export class Truncated extends Error {
  override readonly name = 'Truncated';
}

/** Reads a source from front to back. */
export class Cursor {
  readonly #source: Source;
  #at: number;
  #window: Buffer = Buffer.alloc(0);
  #windowAt = 0;

  constructor(source: Source, at = 0) {
    this.#source = source;
    this.#at = at;
  }

  get position(): number {
    return this.#at;
  }

  get left(): number {
    return this.#source.size - this.#at;
  }

  byte(): number {
    return this.take(1).readUInt8(0);
  }

  /** @throws Truncated */
  take(length: number): Buffer {
    const bytes = this.#peek(length);
    if (bytes.length < length) throw new Truncated(`it ends at byte ${this.#source.size}, inside of something`);
    this.#at += length;
    return bytes;
  }

  /** @throws Truncated */
  skip(length: number): void {
    if (!Number.isSafeInteger(length) || length < 0 || length > this.left)
      throw new Truncated(`${length} bytes are announced at ${this.#at}, and ${this.left} are there`);
    this.#at += length;
  }

  /** A line without its end. @throws Truncated */
  line(): Buffer {
    const bytes = this.#peek(longestLine);
    const end = bytes.indexOf(0x0a);
    if (end < 0) throw new Truncated(`a line that begins at byte ${this.#at} does not end`);
    this.#at += end + 1;
    return bytes.subarray(0, end);
  }

  #peek(length: number): Buffer {
    const offset = this.#at - this.#windowAt;
    if (offset < 0 || offset + length > this.#window.length) {
      this.#window = this.#source.read(this.#at, Math.max(block, length));
      this.#windowAt = this.#at;
      return this.#window.subarray(0, length);
    }
    return this.#window.subarray(offset, offset + length);
  }
}
