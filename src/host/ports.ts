import { readdir, readFile, readlink } from 'node:fs/promises';

/** A TCP socket that waits for connections. */
export interface Listener {
  /** As in the kernel's table: `0.0.0.0`, `127.0.0.1`, `::`. */
  readonly address: string;
  readonly port: number;
  readonly inode: string;
}

/** State LISTEN in /proc/net/tcp (include/net/tcp_states.h). */
const listening = '0A';

/** Every port that somebody on this host listens on. */
export async function listeners(): Promise<Listener[]> {
  const texts = await Promise.all(['tcp', 'tcp6'].map((name) => readFile(`/proc/net/${name}`, 'utf8').catch(() => '')));
  return texts.flatMap(parseListeners);
}

/** Reads the kernel's table of TCP sockets. Pure. @param text content of /proc/net/tcp or tcp6 (proc(5)) */
export function parseListeners(text: string): Listener[] {
  return text
    .split('\n')
    .slice(1)
    .flatMap((line) => {
      const [, local = '', , state, , , , , , inode = ''] = line.trim().split(/\s+/);
      const [address = '', port = ''] = local.split(':');
      if (state !== listening || port === '') return [];
      return [{ address: addressOf(address), port: Number.parseInt(port, 16), inode }];
    });
}

/** Words of 32 bits in the order of the processor; of IPv6 only what a listener usually has is told apart. */
function addressOf(hexadecimal: string): string {
  const octets = (hexadecimal.match(/../g) ?? []).map((pair) => Number.parseInt(pair, 16));
  if (octets.length === 4) return octets.reverse().join('.');
  if (octets.every((octet) => octet === 0)) return '::';
  const loopback = octets.slice(0, 12).every((octet) => octet === 0) && octets[12] === 1;
  if (loopback) return '::1';
  const mapped = hexadecimal.startsWith('0000000000000000FFFF0000');
  return mapped ? octets.slice(12).reverse().join('.') : `[${hexadecimal}]`;
}

/**
 * The program that holds a socket, as `nginx (pid 812)`; undefined where this user may not see it.
 * @param inode of the socket, from `listeners`
 */
export async function holderOf(inode: string): Promise<string | undefined> {
  const wanted = `socket:[${inode}]`;
  for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
    const files = await readdir(`/proc/${pid}/fd`).catch(() => []);
    const links = await Promise.all(files.map((file) => readlink(`/proc/${pid}/fd/${file}`).catch(() => '')));
    if (links.includes(wanted))
      return `${(await readFile(`/proc/${pid}/comm`, 'utf8').catch(() => 'process')).trim()} (pid ${pid})`;
  }
  return undefined;
}
