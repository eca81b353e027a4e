import { type FileHandle, open } from 'node:fs/promises';
import { systemCode } from '../../lib/errors.ts';

/** Bytes that are read at once. */
const chunkSize = 1024 * 1024;
/** A line that is longer than this is none; bytes. */
const longestLine = 64 * 1024;
/** Of what was written before we came, the most that is read; bytes. */
const mostHistory = 256 * 1024 * 1024;
/** How long a file that was renamed is still read: each worker of nginx opens the new one in its own time. Milliseconds. */
const farewell = 10_000;
const nothing = new Uint8Array();

interface Tail {
  readonly handle: FileHandle;
  /** Device and inode: who the file is, whatever its name. */
  readonly identity: string;
  offset: number;
  /** The beginning of a line whose end is not written yet. */
  rest: Uint8Array;
  /** When it last grew, after it lost its name; null while it has it. */
  retired: number | null;
}

/**
 * Follows a log that is appended to, through rotation by rename (both files are read until the old one is quiet) and
 * truncation. Nothing is watched: each call reads what came since the one before.
 */
export class LogFollower {
  readonly #path: string;
  #history: number;
  /** Made when there is something to read. */
  #buffer: Buffer | null = null;
  #tails: Tail[] = [];
  #begun = false;

  /** @param history bytes of what was written before the first call that are read; 0: only what comes after it */
  constructor(path: string, history = mostHistory) {
    this.#path = path;
    this.#history = history;
  }

  /**
   * Reads everything that came since the last call; the first one also reads what was there, the youngest rotated file
   * included.
   * @param lines gets whole lines and answers where the first line without an end begins
   * @param now milliseconds of a clock that is never set back
   * @throws what the file system throws, but for a file that is not there yet
   */
  async poll(lines: (text: string) => number, now: number, signal?: AbortSignal): Promise<void> {
    if (!this.#begun) {
      this.#begun = true;
      await this.#open(`${this.#path}.1`, now, now);
    }
    // What has the name now is opened before the old one is read to its end, so that no line falls between.
    await this.#open(this.#path, now, null);
    this.#history = mostHistory;
    for (const tail of [...this.#tails]) {
      const grew = await this.#drain(tail, lines, signal);
      if (tail.retired === null) continue;
      if (grew) tail.retired = now;
      // Until there is a new one, nginx goes on in the old one, however slowly.
      else if (now - tail.retired >= farewell && this.#tails.some(({ retired }) => retired === null))
        await this.#drop(tail);
    }
  }

  /** Whether there is a log to read. */
  get reading(): boolean {
    return this.#tails.length > 0;
  }

  async close(): Promise<void> {
    for (const tail of [...this.#tails]) await this.#drop(tail);
  }

  /** Opens what has a name now, unless it is read already. */
  async #open(path: string, now: number, retired: number | null): Promise<void> {
    let handle: FileHandle;
    try {
      handle = await open(path, 'r');
    } catch (error) {
      if (systemCode(error) === 'ENOENT') return;
      throw error;
    }
    const { dev, ino, size } = await handle.stat();
    const identity = `${dev}:${ino}`;
    const known = this.#tails.find((tail) => tail.identity === identity);
    if (known) {
      known.retired = retired;
      await handle.close();
      return;
    }
    for (const tail of this.#tails) tail.retired ??= now;
    this.#tails.push({ handle, identity, offset: Math.max(0, size - this.#history), rest: nothing, retired });
  }

  /** @returns whether there was anything to read */
  async #drain(tail: Tail, lines: (text: string) => number, signal: AbortSignal | undefined): Promise<boolean> {
    const { size } = await tail.handle.stat();
    if (size < tail.offset) {
      // Truncated: what comes now begins at the beginning.
      tail.offset = 0;
      tail.rest = nothing;
    }
    if (size === tail.offset) return false;
    this.#buffer ??= Buffer.allocUnsafe(longestLine + chunkSize);
    for (let grew = false; ; grew = true) {
      signal?.throwIfAborted();
      const held = tail.rest.length;
      this.#buffer.set(tail.rest);
      const { bytesRead } = await tail.handle.read(this.#buffer, held, chunkSize, tail.offset);
      if (bytesRead === 0) return grew;
      tail.offset += bytesRead;
      const end = held + bytesRead;
      // One byte, one character: what is counted is ASCII, and nothing can be cut in two.
      const read = lines(this.#buffer.toString('latin1', 0, end));
      // Of what is too long for a line only the end is kept; it is told to be unreadable.
      tail.rest = Uint8Array.from(this.#buffer.subarray(Math.max(read, end - longestLine), end));
    }
  }

  async #drop(tail: Tail): Promise<void> {
    this.#tails = this.#tails.filter((other) => other !== tail);
    await tail.handle.close();
  }
}
