import type { IncomingMessage } from 'node:http';
import type { Readable } from 'node:stream';
import { formatBytes } from '../lib/units.ts';

/**
 * Reads an answer to its end.
 * @param maxBytes most that is read, after it was unpacked
 * @param unpacked the answer as it passes an unpacker, where it is packed
 * @throws RangeError when it is longer; Error when it was cut off, and those of the connection
 */
export async function readBody(
  incoming: IncomingMessage,
  maxBytes: number,
  unpacked: Readable = incoming,
): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of unpacked) {
    size += chunk.length;
    if (size > maxBytes) {
      incoming.destroy();
      const once = unpacked === incoming ? '' : ' once it is unpacked';
      throw new RangeError(`its answer is larger than ${formatBytes(maxBytes)}${once}`);
    }
    chunks.push(chunk);
  }
  if (!incoming.complete) throw new Error('the connection ended in the middle of its answer');
  return Buffer.concat(chunks).toString('utf8');
}
