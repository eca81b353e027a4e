import { crc32, inflateRawSync } from 'node:zlib';
import { bufferSource, type Source } from './bytes.ts';
import { Refused } from './values.ts';

/** One file inside of an archive. */
export interface Member {
  readonly name: string;
  readonly source: Source;
}

/** Most members of an archive, and most bytes of one that is packed and unpacked in memory. */
const bounds = { members: 10_000, inMemory: 256 * 2 ** 20 } as const;

const part = (source: Source, start: number, size: number): Source => {
  if (start < 0 || size < 0 || start + size > source.size) throw new Refused('a member lies outside of its archive');
  return {
    size,
    read: (from, length) => source.read(start + from, Math.max(0, Math.min(length, size - from))),
  };
};

/** @param head the first bytes of a file */
export const isZip = (head: Buffer): boolean => head.subarray(0, 2).toString('latin1') === 'PK';
/** @param head the first 512 bytes of a file */
export const isTar = (head: Buffer): boolean => head.length >= 512 && head.subarray(257, 262).toString() === 'ustar';

const zip = { end: 0x06054b50, central: 0x02014b50, local: 0x04034b50, endBytes: 22, longestComment: 65_535 } as const;

/**
 * Members of a ZIP archive. Strict, because lenient readers disagree with each other, and what one does not see another
 * loads: both lists of members must say the same, without gaps, and every sum must be right.
 * @throws Refused
 */
export function* zipMembers(source: Source): Generator<Member> {
  const tailAt = Math.max(0, source.size - zip.endBytes - zip.longestComment);
  const tail = source.read(tailAt, source.size - tailAt);
  const at = tail.lastIndexOf(Buffer.from([0x50, 0x4b, 0x05, 0x06]));
  if (at < 0 || tail.length - at < zip.endBytes) throw new Refused('the archive has no end');
  const [count, size, start] = [tail.readUInt16LE(at + 10), tail.readUInt32LE(at + 12), tail.readUInt32LE(at + 16)];
  if (tail.readUInt16LE(at + 20) !== tail.length - at - zip.endBytes || tail.length - at !== zip.endBytes)
    throw new Refused('there is something behind the end of the archive');
  if (count > bounds.members || count === 0xffff) throw new Refused('the archive has too many members');
  if (start + size !== tailAt + at) throw new Refused('there is something between the list of members and the end');
  const list = source.read(start, size);
  let [position, expected] = [0, 0];
  const seen = new Set<string>();
  for (let index = 0; index < count; index += 1) {
    if (position + 46 > list.length || list.readUInt32LE(position) !== zip.central)
      throw new Refused('the list of members is damaged');
    const entry = {
      flags: list.readUInt16LE(position + 8),
      method: list.readUInt16LE(position + 10),
      crc: list.readUInt32LE(position + 16),
      packed: list.readUInt32LE(position + 20),
      bytes: list.readUInt32LE(position + 24),
      name: list.subarray(position + 46, position + 46 + list.readUInt16LE(position + 28)),
      local: list.readUInt32LE(position + 42),
    };
    position += 46 + entry.name.length + list.readUInt16LE(position + 30) + list.readUInt16LE(position + 32);
    const name = entry.name.toString('utf8');
    if (seen.has(name)) throw new Refused(`the archive has two members ${name}`);
    seen.add(name);
    if ((entry.flags & ~0x0806) !== 0) throw new Refused(`${name} is encrypted or streamed`);
    if (entry.local !== expected) throw new Refused(`there is something before ${name} that is in no list`);
    const header = source.read(entry.local, 30);
    if (header.length < 30 || header.readUInt32LE(0) !== zip.local) throw new Refused(`${name} has no header`);
    const nameBytes = header.readUInt16LE(26);
    const same =
      source.read(entry.local + 30, nameBytes).equals(entry.name) &&
      header.readUInt16LE(8) === entry.method &&
      header.readUInt16LE(6) === entry.flags &&
      header.readUInt32LE(14) === entry.crc;
    if (!same) throw new Refused(`the two headers of ${name} say different things`);
    const dataAt = entry.local + 30 + nameBytes + header.readUInt16LE(28);
    expected = dataAt + entry.packed;
    yield { name, source: content(part(source, dataAt, entry.packed), entry, name) };
  }
  if (position !== size || expected !== start)
    throw new Refused('there is something in the archive that is in no list');
}

function content(packed: Source, entry: { method: number; crc: number; bytes: number }, name: string): Source {
  if (entry.method === 0 && packed.size === entry.bytes) {
    checkSum(packed, entry.crc, name);
    return packed;
  }
  if (entry.method !== 8) throw new Refused(`${name} is packed in a way that is not known`);
  if (entry.bytes > bounds.inMemory || packed.size > bounds.inMemory)
    throw new Refused(`${name} is too large to be looked at`);
  const raw = packed.read(0, packed.size);
  let bytes: Buffer;
  try {
    bytes = inflateRawSync(raw, { maxOutputLength: entry.bytes + 1 });
  } catch (error) {
    throw new Refused(`${name} cannot be unpacked: ${error instanceof Error ? error.message : 'damaged'}`);
  }
  if (bytes.length !== entry.bytes) throw new Refused(`${name} has another size than its header says`);
  const source = bufferSource(bytes);
  checkSum(source, entry.crc, name);
  return source;
}

function checkSum(source: Source, expected: number, name: string): void {
  let [sum, at] = [0, 0];
  while (at < source.size) {
    const chunk = source.read(at, 1 << 20);
    if (chunk.length === 0) break;
    sum = crc32(chunk, sum);
    at += chunk.length;
  }
  if (sum !== expected) throw new Refused(`${name} does not have the sum that its header says`);
}

/** Members of a tar archive: plain files alone, others are refused. @throws Refused */
export function* tarMembers(source: Source): Generator<Member> {
  let at = 0;
  for (let count = 0; at < source.size; count += 1) {
    if (count > bounds.members) throw new Refused('the archive has too many members');
    const header = source.read(at, 512);
    if (header.length < 512) throw new Refused('the archive ends inside of a header');
    if (header.every((byte) => byte === 0)) {
      assertEmpty(source, at);
      return;
    }
    const field = (from: number, length: number): string =>
      (
        header
          .subarray(from, from + length)
          .toString('utf8')
          .split('\0', 1)[0] ?? ''
      ).trim();
    const octal = (from: number, length: number): number => {
      const written = field(from, length);
      if (!/^[0-7]{1,11}$/.test(written))
        throw new Refused('a header of the archive holds no number where one belongs');
      return Number.parseInt(written, 8);
    };
    const sum = header.reduce((total, byte, index) => total + (index >= 148 && index < 156 ? 0x20 : byte), 0);
    if (octal(148, 8) !== sum) throw new Refused('a header of the archive does not have its sum');
    const [name, size, type] = [field(0, 100), octal(124, 12), String.fromCharCode(header[156] ?? 0)];
    if (!['0', '\0', '5'].includes(type)) throw new Refused(`${name} is no plain file`);
    if (type !== '5') yield { name, source: part(source, at + 512, size) };
    at += 512 + Math.ceil(size / 512) * 512;
  }
  throw new Refused('the archive has no end');
}

function assertEmpty(source: Source, from: number): void {
  for (let at = from; at < source.size; at += 65_536)
    if (source.read(at, 65_536).some((byte) => byte !== 0))
      throw new Refused('there is something behind the end of the archive');
}
