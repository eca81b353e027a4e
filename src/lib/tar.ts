/** Bytes of a header, and what entries are filled up to. */
export const tarBlock = 512;

/**
 * The header of a plain file in a tar archive (POSIX.1-1988 ustar; sizes from 8 GiB on in base 256, as GNU tar writes and
 * reads them).
 * @param seconds since 1970
 * @returns undefined for a path that ustar cannot hold
 */
export function tarHeader(path: string, bytes: number, seconds = 0): Buffer | undefined {
  const parts = split(path);
  if (!parts) return undefined;
  const [prefix, name] = parts;
  const data = Buffer.alloc(tarBlock);
  data.write(name, 0);
  data.write('0000444\0', 100);
  data.write('0000000\0', 108);
  data.write('0000000\0', 116);
  if (bytes < 8 ** 11) data.write(`${bytes.toString(8).padStart(11, '0')}\0`, 124);
  else {
    data.writeUInt8(0x80, 124);
    data.writeBigUInt64BE(BigInt(bytes), 128);
  }
  data.write(`${Math.floor(seconds).toString(8).padStart(11, '0')}\0`, 136);
  data.write('        ', 148);
  data.write('0', 156);
  data.write('ustar\0' + '00', 257);
  data.write(prefix, 345);
  data.write(`${tarChecksum(data).toString(8).padStart(6, '0')}\0 `, 148);
  return data;
}

/** What a header says. */
export interface TarEntry {
  readonly path: string;
  /** Of its data, which follow the header. */
  readonly bytes: number;
  /** The letter of POSIX: `0` for a plain file, `5` for a directory, `2` for a link. */
  readonly kind: string;
}

/**
 * Reads a header of `tarHeader`, or of GNU tar.
 * @throws RangeError with what is wrong
 */
export function readTarHeader(data: Buffer): TarEntry {
  const text = (from: number, to: number) => data.toString('utf8', from, to).replace(/\0.*$/s, '');
  const sum = Number.parseInt(text(148, 156), 8);
  const blanked = Buffer.from(data);
  if (data.length === tarBlock) blanked.write('        ', 148);
  if (data.length !== tarBlock || sum !== tarChecksum(blanked)) throw new RangeError('an entry has no whole header');
  if (data.toString('latin1', 257, 262) !== 'ustar') throw new RangeError('it is no ustar archive');
  const prefix = text(345, 500);
  const path = prefix === '' ? text(0, 100) : `${prefix}/${text(0, 100)}`;
  const kind = data.toString('latin1', 156, 157).replace('\0', '0');
  const large = data.readUInt8(124) === 0x80;
  const bytes = large ? Number(data.readBigUInt64BE(128)) : Number.parseInt(text(124, 136), 8);
  if (!Number.isSafeInteger(bytes) || bytes < 0) throw new RangeError(`${JSON.stringify(path)} has no size`);
  return { path, bytes, kind };
}

/** Bytes that an entry of a size takes in the archive, without its header. */
export const tarPadded = (bytes: number): number => Math.ceil(bytes / tarBlock) * tarBlock;

/** The sum of a header whose own field for it is blank. */
function tarChecksum(data: Buffer): number {
  return data.reduce((sum, byte) => sum + byte, 0);
}

function split(path: string): [prefix: string, name: string] | undefined {
  if (Buffer.byteLength(path) <= 100) return ['', path];
  for (let at = path.indexOf('/'); at !== -1; at = path.indexOf('/', at + 1)) {
    const [prefix, name] = [path.slice(0, at), path.slice(at + 1)];
    if (Buffer.byteLength(prefix) <= 155 && Buffer.byteLength(name) <= 100) return [prefix, name];
  }
  return undefined;
}
