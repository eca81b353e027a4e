import type { LogChunk } from './docker-shapes.ts';

/** Splits the engine's multiplexed log format: 1 byte stream, 3 bytes nothing, 4 bytes length, then the text. */
export function readFrames(buffer: Buffer): { frames: LogChunk[]; consumed: number } {
  const frames: LogChunk[] = [];
  let offset = 0;
  while (offset + 8 <= buffer.length) {
    const length = buffer.readUInt32BE(offset + 4);
    if (offset + 8 + length > buffer.length) break;
    frames.push({
      stream: buffer[offset] === 2 ? 'stderr' : 'stdout',
      text: buffer.toString('utf8', offset + 8, offset + 8 + length),
    });
    offset += 8 + length;
  }
  return { frames, consumed: offset };
}
