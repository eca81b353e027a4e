import { basename, dirname } from 'node:path';
import { finished } from 'node:stream/promises';
import { type Logger, pino } from 'pino';
import { createStream } from 'rotating-file-stream';

/** The agent's log: JSON lines, never more than five files of 10 MB (a log once grew to 329 GB: umbrel#2082). */
export type Log = Logger & { flush(): Promise<void> };

/**
 * Opens a log file that rotates by itself.
 * @param path of the current file; older ones get a number
 */
export async function createLog(path: string): Promise<Log> {
  const stream = createStream(basename(path), {
    path: dirname(path),
    size: '10M',
    maxFiles: 5,
    history: `.${basename(path)}.history`,
  });
  stream.on('error', (error) => process.stderr.write(`the log cannot be written: ${error.message}\n`));
  const log = pino({ timestamp: pino.stdTimeFunctions.isoTime, base: null }, stream);
  return Object.assign(log, {
    flush: async () => {
      stream.end();
      await finished(stream).catch(() => undefined);
    },
  });
}
