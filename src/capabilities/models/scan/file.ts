import { randomBytes } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { extname, join } from 'node:path';
import { messageOf } from '../../../lib/errors.ts';
import { isTar, isZip, tarMembers, zipMembers } from './archives.ts';
import { Cursor, type Source, Truncated, withFile } from './bytes.ts';
import { interpret } from './interpret.ts';
import type { Named, Reading } from './machine.ts';
import type { OwnClasses } from './names.ts';
import { compressionOf, type UnpackBounds, unpack } from './unpack.ts';
import { Refused, RefusedCall } from './values.ts';

export interface FileScan {
  /** Path inside of the version; members of archives behind an exclamation mark. */
  readonly path: string;
  readonly kind: 'pickle' | 'array' | 'json' | 'text' | 'empty' | 'unknown';
  readonly verdict: 'pass' | 'fail';
  /** Why it is refused. */
  readonly reason: string | null;
  /** What it imports when it is loaded. */
  readonly globals: readonly string[];
}

export interface ScanOptions {
  /** Classes of the application itself that its models hold, each as `module.Class`. */
  readonly own: OwnClasses;
  /** Where compressed files may be unpacked to for a moment. */
  readonly scratch: string;
  readonly bounds: UnpackBounds;
  readonly signal: AbortSignal;
}

/** Layers of compression and archives inside of each other. */
const deepest = 6;
/** Largest text that is read as a whole, in bytes. */
const largestText = 64 * 2 ** 20;
const textNames = new Set(['.txt', '.md', '.csv', '.tsv', '.yaml', '.yml', '.sha256', '']);

/** Looks into one file, and into what is packed inside of it. Whatever is not known is refused. */
export async function* scanFile(path: string, name: string, options: ScanOptions, depth = 0): AsyncGenerator<FileScan> {
  const found: FileScan[] = [];
  await withFile(path, async (source) => {
    const packed = compressionOf(source.read(0, 8));
    if (packed !== undefined) found.push(...(await scanPacked(path, name, source.size, packed, options, depth)));
    else for await (const one of scanSource(source, name, options, depth)) found.push(one);
  });
  yield* found;
}

async function scanPacked(
  path: string,
  name: string,
  bytes: number,
  compression: NonNullable<ReturnType<typeof compressionOf>>,
  options: ScanOptions,
  depth: number,
): Promise<FileScan[]> {
  if (depth >= deepest) return [refused(name, 'it is packed into itself too often')];
  const unpacked = join(options.scratch, `.scan-${randomBytes(6).toString('hex')}`);
  try {
    await unpack(compression, { path, bytes }, unpacked, options.bounds, options.signal);
    const found: FileScan[] = [];
    for await (const one of scanFile(unpacked, name, options, depth + 1)) found.push(one);
    return found;
  } catch (error) {
    if (error instanceof Refused) return [refused(name, error.message)];
    throw error;
  } finally {
    await rm(unpacked, { force: true });
  }
}

async function* scanSource(
  source: Source,
  name: string,
  options: ScanOptions,
  depth: number,
): AsyncGenerator<FileScan> {
  const head = source.read(0, 512);
  if (isZip(head) || isTar(head)) {
    yield* scanArchive(isZip(head) ? zipMembers(source) : tarMembers(source), name, options, depth);
    return;
  }
  const named: Named = { globals: new Set() };
  let kind: FileScan['kind'] = 'unknown';
  let reason: string | null = null;
  try {
    kind = await look(source, head, name, options, named);
    if (kind === 'unknown') reason = 'it is of no kind that is known to hold data alone';
  } catch (error) {
    if (!(error instanceof Refused) && !(error instanceof Truncated)) throw error;
    kind = 'pickle';
    reason = error.message;
  }
  yield { path: name, kind, verdict: reason === null ? 'pass' : 'fail', reason, globals: [...named.globals].sort() };
}

async function* scanArchive(
  members: Generator<{ readonly name: string; readonly source: Source }>,
  name: string,
  options: ScanOptions,
  depth: number,
): AsyncGenerator<FileScan> {
  if (depth >= deepest) {
    yield refused(name, 'archives are nested too deep');
    return;
  }
  let total = 0;
  try {
    for (const member of members) {
      total += member.source.size;
      if (total > options.bounds.bytes) throw new Refused('unpacked it is larger than may be');
      const inside = `${name}!${member.name}`;
      const packed = compressionOf(member.source.read(0, 8));
      if (packed !== undefined) yield refused(inside, `it is packed as ${packed} inside of an archive`);
      else yield* scanSource(member.source, inside, options, depth + 1);
    }
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    yield refused(name, error.message);
  }
}

async function look(
  source: Source,
  head: Buffer,
  name: string,
  options: ScanOptions,
  named: Named,
): Promise<FileScan['kind']> {
  if (source.size === 0) return 'empty';
  const reading = { own: options.own, joblib: /\.joblib(?:\.[a-z0-9]{1,4})?$/i.test(name), signal: options.signal };
  if (head.subarray(0, 6).equals(Buffer.from([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59]))) {
    await lookAtArray(source, { ...reading, joblib: false }, named);
    return 'array';
  }
  const extension = extname(name).toLowerCase();
  if (extension === '.json') return lookAtJson(source);
  if (textNames.has(extension) && source.size <= largestText && isText(source.read(0, source.size))) {
    // A pickle of protocol 0 is text as well: who names one so hides it.
    await interpret(new Cursor(source), { ...reading, lenient: true }, { globals: new Set() }).catch(
      (error: unknown) => {
        if (error instanceof RefusedCall || !(error instanceof Refused || error instanceof Truncated)) throw error;
      },
    );
    return 'text';
  }
  const cursor = new Cursor(source);
  // Whoever loads a file may load several pickles from it, one behind the other.
  do await interpret(cursor, reading, named);
  while (cursor.left > 0);
  return 'pickle';
}

function lookAtJson(source: Source): 'json' {
  if (source.size > largestText) throw new Refused('it is larger than JSON of a model ever is');
  try {
    JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(source.read(0, source.size)));
  } catch (error) {
    throw new Refused(`it is no JSON: ${messageOf(error)}`);
  }
  return 'json';
}

/** numpy's own format: a header, then raw items, or a pickle of them. */
async function lookAtArray(source: Source, reading: Reading, named: Named): Promise<void> {
  const cursor = new Cursor(source, 6);
  const [major] = [cursor.byte(), cursor.byte()];
  const length = major === 1 ? cursor.take(2).readUInt16LE(0) : cursor.take(4).readUInt32LE(0);
  if (length > 1_000_000) throw new Refused('the header of an array is longer than any');
  const header = cursor.take(length).toString('latin1');
  const [, quoted, records] = /'descr':\s*(?:'([^']*)'|(\[[^\]]*\]))/.exec(header) ?? [];
  if ((quoted ?? records) === undefined) throw new Refused('the header of an array does not say what its items are');
  if (/O/.test(quoted ?? '') || /'[<>|=]?O/.test(records ?? '')) {
    await interpret(cursor, reading, named);
    if (cursor.left > 0) throw new Refused('there is something behind the items of an array');
  }
}

function isText(bytes: Buffer): boolean {
  try {
    return !/[^\P{Cc}\t\r\n\f]/u.test(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch {
    return false;
  }
}

const refused = (path: string, reason: string): FileScan => ({
  path,
  kind: 'unknown',
  verdict: 'fail',
  reason,
  globals: [],
});
