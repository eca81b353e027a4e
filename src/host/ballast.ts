import { randomBytes } from 'node:crypto';
import { rmSync, statfsSync, statSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';

/** Bytes kept back: a rollback writes some 100 kB, most of it the journal's write-ahead log. */
const size = 32 * 1024 * 1024;
/** Bytes below which a file system counts as full. */
const low = 8 * 1024 * 1024;
/** Bytes written at a time. */
const piece = 1024 * 1024;

/**
 * Space that is kept back for the day on which the disk is full: a file that is given up so that what must be written, a
 * rollback above all, can be written, and made again when there is room.
 */
export class Ballast {
  readonly #directory: string;
  readonly #path: string;

  /** @param directory where it lies; its file system is meant */
  constructor(directory: string) {
    this.#directory = directory;
    this.#path = join(directory, 'ballast');
  }

  /** Whether something small can be written. */
  get roomy(): boolean {
    return this.#free() >= low;
  }

  /**
   * Gives the ballast up when the file system is full.
   * @returns whether it was given up just now
   */
  secure(): boolean {
    if (this.roomy || this.#held() === 0) return false;
    rmSync(this.#path, { force: true });
    return true;
  }

  /**
   * Makes the ballast where it is missing and as much again stays free.
   * @returns whether it was made just now
   */
  async restore(): Promise<boolean> {
    const held = this.#held();
    if (held === size || this.#free() + held < 2 * size) return false;
    const file = await open(this.#path, 'w', 0o600);
    try {
      // No zeros: a file system that compresses would keep no space for them.
      for (let written = 0; written < size; written += piece)
        await file.write(randomBytes(Math.min(piece, size - written)));
      await file.sync();
      return true;
    } finally {
      await file.close();
    }
  }

  #held(): number {
    return statSync(this.#path, { throwIfNoEntry: false })?.size ?? 0;
  }

  #free(): number {
    const { bavail, bsize } = statfsSync(this.#directory);
    return bavail * bsize;
  }
}
