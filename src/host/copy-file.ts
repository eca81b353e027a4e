import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';

/** A file to read once: hashed, and copied where `to` says so. */
export interface CopyJob {
  readonly from: string;
  /** Must not exist; absent: the file is hashed only. */
  readonly to?: string;
  /** Permission bits of the copy. */
  readonly mode?: number;
  /** What the file was when it was looked at, as `identityOf` says; anything else is refused. */
  readonly identity?: string;
  /** Part of the file, where it is not all of it. */
  readonly range?: { readonly offset: number; readonly bytes: number };
}

export interface CopyResult {
  readonly sha256: string;
  readonly bytes: number;
}

/** Bytes read at a time. While a piece is hashed, the next is read and the one before is written. */
const piece = 2 ** 21;

/** What tells one file from another, and from itself before a change. */
export function identityOf(stat: { dev: bigint; ino: bigint; size: bigint; mtimeNs: bigint; ctimeNs: bigint }): string {
  return [stat.dev, stat.ino, stat.size, stat.mtimeNs, stat.ctimeNs].join(' ');
}

/**
 * Reads a file once, with its hash and a durable copy as results. Neither links nor devices nor pipes are followed,
 * whatever was put in the place of the file meanwhile.
 * @throws Error of the system; `ESTALE` when the file is no plain file, or changed since it was looked at
 */
export async function copyFile({ from, to, mode = 0o444, identity, range }: CopyJob): Promise<CopyResult> {
  const source = await open(from, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    const before = await source.stat({ bigint: true });
    if (!before.isFile() || (identity !== undefined && identityOf(before) !== identity)) throw changed(from);
    const target = to === undefined ? undefined : await open(to, 'wx', mode);
    try {
      const result = await pump(source, target, range);
      const after = await source.stat({ bigint: true });
      if (
        identityOf(after) !== identityOf(before) ||
        BigInt(result.bytes) !== (range ? BigInt(range.bytes) : after.size)
      )
        throw changed(from);
      await target?.chmod(mode);
      await target?.sync();
      return result;
    } finally {
      await target?.close();
    }
  } finally {
    await source.close();
  }
}

async function pump(
  source: FileHandle,
  target: FileHandle | undefined,
  { offset, bytes: most } = { offset: 0, bytes: Number.POSITIVE_INFINITY },
): Promise<CopyResult> {
  const hash = createHash('sha256');
  const buffers = [Buffer.allocUnsafe(piece), Buffer.allocUnsafe(piece)] as const;
  let bytes = 0;
  let turn = 0;
  let writing: Promise<void> | undefined;
  const read = (buffer: Buffer, at: number) => source.read(buffer, 0, Math.min(piece, most - at), offset + at);
  let reading = read(buffers[0], 0);
  try {
    for (;;) {
      const { bytesRead } = await reading;
      if (bytesRead === 0) break;
      // The other buffer is free when what it held is written.
      await writing;
      const data = buffers[turn % 2 === 0 ? 0 : 1].subarray(0, bytesRead);
      const at = bytes;
      bytes += bytesRead;
      turn += 1;
      reading = read(buffers[turn % 2 === 0 ? 0 : 1], bytes);
      writing = target ? writeAll(target, data, at) : undefined;
      hash.update(data);
    }
  } finally {
    await Promise.allSettled([reading, writing]);
  }
  await writing;
  return { sha256: hash.digest('hex'), bytes };
}

async function writeAll(target: FileHandle, data: Buffer, position: number): Promise<void> {
  for (let done = 0; done < data.length; ) {
    const { bytesWritten } = await target.write(data, done, data.length - done, position + done);
    done += bytesWritten;
  }
}

function changed(path: string): Error {
  return Object.assign(new Error(`${path} is no plain file, or changed while it was read`), { code: 'ESTALE' });
}
