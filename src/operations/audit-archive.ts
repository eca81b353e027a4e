import { createHash, randomBytes } from 'node:crypto';
import {
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import { systemCode } from '../lib/errors.ts';

/** A part of the audit log that was moved to a file, as state.db knows it. */
export const segmentSchema = z.object({
  first: z.number(),
  last: z.number(),
  /** Hash of the entry before it, and of its last one. */
  previous: z.string(),
  head: z.string(),
  sha256: z.string(),
  file: z.string(),
});
export type Segment = z.output<typeof segmentSchema>;

const headSchema = z.object({ seq: z.number().int().positive(), hash: z.string().regex(/^[0-9a-f]{64}$/) });
/** The last entry of the chain at some time. */
export type AuditHead = z.output<typeof headSchema>;

/** Replaces a file in one piece, also when the process dies in the middle; synchronously, because appending is. */
function replaceFile(path: string, text: string): void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o755 });
  const temporary = join(dirname(path), `.${randomBytes(6).toString('hex')}.tmp`); // removeTemporaryFiles knows it
  try {
    const file = openSync(temporary, 'wx', 0o600);
    try {
      const bytes = Buffer.from(text);
      for (let at = 0; at < bytes.length; ) at += writeSync(file, bytes, at);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
  const directory = openSync(dirname(path), 'r');
  try {
    fsyncSync(directory);
  } finally {
    closeSync(directory);
  }
}

/** Name of the file of a segment. */
export function segmentFile(first: number, last: number): string {
  return `audit-${String(first).padStart(12, '0')}-${String(last).padStart(12, '0')}.jsonl`;
}

/** Writes entries into the file of a segment; again with the same entries it is the same file. @returns its hash */
export function writeSegment(path: string, entries: readonly unknown[]): string {
  const text = entries.map((entry) => `${JSON.stringify(entry)}\n`).join('');
  replaceFile(path, text);
  return hashOf(text);
}

/** Removes the files of entries before one. */
export function removeSegments(directory: string, before: number): void {
  for (const name of readdirSync(directory)) {
    const [, first] = /^audit-(\d{12})-\d{12}\.jsonl$/.exec(name) ?? [];
    if (first !== undefined && Number(first) < before) rmSync(join(directory, name), { force: true });
  }
}

/** @returns the lines of a segment and their hash; undefined where the file is gone */
export function readSegment(path: string): { readonly lines: string[]; readonly sha256: string } | undefined {
  try {
    const text = readFileSync(path, 'utf8');
    return { lines: text.split('\n').filter((line) => line !== ''), sha256: hashOf(text) };
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}

/** @returns the head that is kept apart from the log; `damaged` where it cannot be read, undefined where there is none */
export function readHead(path: string): AuditHead | 'damaged' | undefined {
  try {
    return headSchema.parse(JSON.parse(readFileSync(path, 'utf8')));
  } catch (error) {
    return systemCode(error) === 'ENOENT' ? undefined : 'damaged';
  }
}

export function writeHead(path: string, { seq, hash }: AuditHead): void {
  replaceFile(path, `${JSON.stringify({ seq, hash })}\n`);
}

function hashOf(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
