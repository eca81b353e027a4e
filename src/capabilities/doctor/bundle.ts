import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import type { Clock } from '../../lib/clock.ts';
import { messageOf } from '../../lib/errors.ts';
import { type KnownForms, Redactor } from '../../lib/redact.ts';
import { tarBlock, tarHeader, tarPadded } from '../../lib/tar.ts';
import { formatDuration } from '../../lib/units.ts';

/** One file of a support bundle. */
export interface BundlePart {
  /** Where it lies in the archive. */
  readonly path: string;
  /** Bytes that it may have; what comes after is left out. */
  readonly most: number;
  /** Milliseconds that it may take; what was there by then is kept. */
  readonly patience: number;
  /** Its text, piece by piece and as it is: it is redacted here. @throws what kept it from being seen */
  text(signal: AbortSignal): AsyncIterable<string> | Iterable<string> | Promise<string>;
}

/** What became of one file. */
interface PackedPart {
  readonly path: string;
  readonly bytes: number;
  readonly seconds: number;
  /** What was taken out: kind → how often. */
  readonly redacted: Readonly<Record<string, number>>;
  /** Why it is not whole, or not there at all; null when it is. */
  readonly missing: string | null;
}

/** The last file of every bundle. */
export interface BundleReport {
  readonly time: string;
  readonly seconds: number;
  readonly files: readonly PackedPart[];
  /** Of all files together: kind → how often. */
  readonly redacted: Readonly<Record<string, number>>;
  /** What else is to be known of it, such as secrets that could not be read and so not be looked for. */
  readonly notes: readonly string[];
}

export interface BundleOptions {
  readonly forms: KnownForms;
  readonly clock: Pick<Clock, 'monotonic' | 'now'>;
  /** RFC 3339. */
  readonly time: string;
  readonly notes: readonly string[];
  readonly signal: AbortSignal;
  /** Bytes of all files together, before they are compressed; default: 40 MiB. */
  readonly most?: number;
  readonly onPart?: (part: PackedPart) => void;
}

/** Bytes of all files together, before they are compressed: a bundle is sent by mail. */
const mostInAll = 40 * 1024 * 1024;
/** Files that are gathered side by side; each holds its own bytes until it is its turn. */
const atOnce = 8;
const folder = 'appliance-support';

interface Gathered extends PackedPart {
  readonly content: Buffer;
}

/**
 * A support bundle as a compressed tar archive, piece by piece. Every text goes through the redactor before anything else
 * sees it, and nothing is written anywhere: whoever reads the pieces gets what is safe.
 * @returns the report, which is also its last file
 * @throws the reason of the signal when it aborts
 */
export async function* packBundle(
  parts: readonly BundlePart[],
  options: BundleOptions,
): AsyncGenerator<Buffer, BundleReport> {
  let report: BundleReport | undefined;
  const source = Readable.from(
    tarOf(parts, options, (made) => {
      report = made;
    }),
  );
  const gzip = createGzip();
  const feeding = pipeline(source, gzip, { signal: options.signal }).catch(() => undefined);
  for await (const chunk of gzip) yield Buffer.from(chunk);
  await feeding;
  options.signal.throwIfAborted();
  if (!report) throw new Error('the support bundle has no report');
  return report;
}

async function* tarOf(
  parts: readonly BundlePart[],
  options: BundleOptions,
  onReport: (report: BundleReport) => void,
): AsyncGenerator<Buffer> {
  const { clock, time, notes, signal, most = mostInAll } = options;
  const began = clock.monotonic();
  const seconds = clock.now() / 1_000;
  const files: PackedPart[] = [];
  let left = most;
  const waiting = [...parts];
  const ahead: Promise<Gathered>[] = [];
  const more = (): void => {
    const next = waiting.shift();
    if (next) ahead.push(gathered(next, options));
  };
  for (let index = 0; index < atOnce; index += 1) more();
  for (let next = ahead.shift(); next; next = ahead.shift()) {
    const { content, ...part } = await next;
    signal.throwIfAborted();
    more();
    const fits = content.length <= left;
    const packed = fits ? part : { ...part, bytes: 0, missing: 'the bundle is as large as it may be' };
    files.push(packed);
    options.onPart?.(packed);
    if (!fits || (content.length === 0 && packed.missing !== null)) continue;
    left -= content.length;
    yield* entry(`${folder}/${part.path}`, content, seconds);
  }
  const report: BundleReport = {
    time,
    seconds: Math.round(clock.monotonic() - began) / 1_000,
    files,
    redacted: sumOf(files.map(({ redacted }) => redacted)),
    notes,
  };
  onReport(report);
  yield* entry(`${folder}/report.json`, Buffer.from(`${JSON.stringify(report, null, 2)}\n`), seconds);
  yield Buffer.alloc(2 * tarBlock);
}

function* entry(path: string, content: Buffer, seconds: number): Generator<Buffer> {
  const header = tarHeader(path, content.length, seconds);
  if (!header) throw new RangeError(`${path} is too long a path for an archive`);
  yield header;
  yield content;
  yield Buffer.alloc(tarPadded(content.length) - content.length);
}

/** One file, redacted and within its bounds. Never throws: what is not there says why. */
async function gathered(part: BundlePart, { forms, clock, signal }: BundleOptions): Promise<Gathered> {
  const began = clock.monotonic();
  const redactor = new Redactor(forms);
  const lines = redactor.lines();
  const chunks: Buffer[] = [];
  let bytes = 0;
  let missing: string | null = null;
  const keep = (text: string): boolean => {
    const chunk = Buffer.from(text);
    const room = part.most - bytes;
    if (chunk.length > room) missing = `cut after ${part.most} bytes`;
    chunks.push(chunk.subarray(0, room));
    bytes += Math.min(chunk.length, room);
    return missing === null;
  };
  const late = new AbortController();
  const timer = setTimeout(
    () => late.abort(new Error(`no end within ${formatDuration(part.patience)}`)),
    part.patience,
  );
  const both = AbortSignal.any([signal, late.signal]);
  try {
    for await (const piece of within(part, both)) if (!keep(lines.take(piece))) break;
    if (missing === null) keep(lines.end());
  } catch (error) {
    missing = redactor.text(messageOf(error)).split('\n', 1)[0] ?? 'it cannot be seen';
    if (bytes > 0) keep(lines.end());
  } finally {
    clearTimeout(timer);
  }
  const content = Buffer.concat(chunks);
  const { path } = part;
  return {
    path,
    content,
    bytes: content.length,
    seconds: Math.round(clock.monotonic() - began) / 1_000,
    redacted: redactor.counts,
    missing,
  };
}

/** The pieces of a text, until it is its end or its time is up, whatever its source does. */
async function* within(part: BundlePart, signal: AbortSignal): AsyncGenerator<string> {
  const over = new Promise<never>((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
  });
  over.catch(() => undefined);
  signal.throwIfAborted();
  const text = part.text(signal);
  if (text instanceof Promise) {
    yield await Promise.race([text, over]);
    return;
  }
  const pieces = Symbol.asyncIterator in text ? text[Symbol.asyncIterator]() : text[Symbol.iterator]();
  try {
    for (;;) {
      const { done, value } = await Promise.race([Promise.resolve(pieces.next()), over]);
      if (done) return;
      yield value;
    }
  } finally {
    // One that hangs is not waited for.
    Promise.resolve(pieces.return?.(undefined)).catch(() => undefined);
  }
}

function sumOf(all: readonly Readonly<Record<string, number>>[]): Record<string, number> {
  const total: Record<string, number> = {};
  for (const counts of all)
    for (const [kind, count] of Object.entries(counts)) total[kind] = (total[kind] ?? 0) + count;
  return total;
}
