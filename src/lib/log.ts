import { basename, dirname } from 'node:path';
import { finished } from 'node:stream/promises';
import { type Logger, pino } from 'pino';
import { createStream, type RotatingFileStream } from 'rotating-file-stream';

/** The agent's log: JSON lines, never more than five files of 10 MB (a log once grew to 329 GB: umbrel#2082). */
export type Log = Logger & { flush(): Promise<void> };

/** Milliseconds after a failure before the file is tried again. */
const retryAfter = 1_000;

/**
 * Opens a log file that rotates by itself, and that goes on after a time in which it could not be written.
 * @param path of the current file; older ones get a number
 * @param copy gets every line as well
 */
export async function createLog(path: string, copy?: Pick<NodeJS.WritableStream, 'write'>): Promise<Log> {
  const destination = new Destination(path, copy);
  const log = pino({ timestamp: pino.stdTimeFunctions.isoTime, base: null }, destination);
  return Object.assign(log, { flush: () => destination.end() });
}

/** A stream that has failed once, on a full disk above all, takes nothing more: it is replaced. */
class Destination {
  readonly #path: string;
  readonly #copy: Pick<NodeJS.WritableStream, 'write'> | undefined;
  #stream: RotatingFileStream | undefined;
  #failedAt: number | undefined;
  #lost = 0;

  constructor(path: string, copy: Pick<NodeJS.WritableStream, 'write'> | undefined) {
    this.#path = path;
    this.#copy = copy;
    this.#stream = this.#open();
  }

  write(line: string): void {
    this.#copy?.write(line);
    if (!this.#stream && performance.now() - (this.#failedAt ?? 0) >= retryAfter) {
      this.#stream = this.#open();
      const lost = JSON.stringify({
        level: 40,
        time: new Date().toISOString(),
        lost: this.#lost,
        msg: 'lines were lost',
      });
      // The last line before may have been cut.
      this.#stream.write(`\n${lost}\n`);
    }
    if (this.#stream) this.#stream.write(line);
    else this.#lost += 1;
  }

  async end(): Promise<void> {
    if (!this.#stream) return;
    this.#stream.end();
    await finished(this.#stream).catch(() => undefined);
  }

  #open(): RotatingFileStream {
    const stream = createStream(basename(this.#path), {
      path: dirname(this.#path),
      size: '10M',
      maxFiles: 5,
      history: `.${basename(this.#path)}.history`,
    });
    stream.on('error', (error) => {
      if (this.#failedAt === undefined) process.stderr.write(`the log cannot be written: ${error.message}\n`);
      this.#failedAt = performance.now();
      this.#lost += 1;
      this.#stream = undefined;
    });
    return stream;
  }
}
