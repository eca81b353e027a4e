import { ApplianceError } from '../../lib/errors.ts';
import type { TrafficDeps } from './deps.ts';

/** Milliseconds within which the kernel's table is read. */
const timeout = 10_000;
/** TCP_ESTABLISHED and TCP_LISTEN (linux/include/net/tcp_states.h). */
const established = '01';
const listening = '0A';

/**
 * Connections that the edge holds to some addresses, as the kernel shows them in the network of its container. nginx
 * itself cannot say which of its connections lead where.
 * @throws ApplianceError `edge_unreachable` when the table cannot be read
 */
export async function openConnections(
  exec: TrafficDeps['exec'],
  addresses: readonly string[],
  signal: AbortSignal,
): Promise<number> {
  const { exitCode, stdout, stderr } = await exec(['cat', '/proc/net/tcp'], { signal, timeout });
  if (exitCode !== 0)
    throw new ApplianceError('edge_unreachable', `the connections of the edge cannot be read: ${stderr.trim()}`);
  return countConnections(stdout, addresses);
}

/**
 * Established connections to any of the addresses in the text of `/proc/net/tcp` (proc(5)). Those that came in, on a port
 * that is listened on, are not counted: a container may well be a client of the edge. Pure.
 */
export function countConnections(table: string, addresses: readonly string[]): number {
  const wanted = new Set(addresses.map(kernelAddress));
  const sockets = table
    .split('\n')
    .slice(1)
    .map((line) => {
      const [, local = '', remote = '', state] = line.trim().split(/\s+/);
      return { port: local.split(':')[1], peer: remote.split(':')[0] ?? '', state };
    });
  const served = new Set(sockets.filter(({ state }) => state === listening).map(({ port }) => port));
  return sockets.filter(({ port, peer, state }) => state === established && wanted.has(peer) && !served.has(port))
    .length;
}

/** `10.213.0.10` as the kernel writes it on a little-endian machine: `0A00D50A`. */
function kernelAddress(address: string): string {
  const octets = address.split('.').map((octet) => Number(octet).toString(16).padStart(2, '0'));
  return octets.reverse().join('').toUpperCase();
}
