import { isIP } from 'node:net';
import { isDomain, isRange } from '../../config/edge-checks.ts';
import type { Config } from '../../config/schema.ts';
import { ApplianceError } from '../../lib/errors.ts';

/** `127.0.0.1:8080`, `8080` or `[::1]:8080` → where a client on this host reaches it. */
export function reachable(listen: string): { host: string; port: number } {
  const at = listen.lastIndexOf(':');
  const host = at < 0 ? '' : listen.slice(0, at).replace(/^\[|\]$/g, '');
  const everywhere = host === '' || host === '0.0.0.0' || host === '::';
  return { host: everywhere ? '127.0.0.1' : host, port: Number(listen.slice(at + 1)) };
}

/** @throws ApplianceError `config_invalid` when a range of `edge.internal` is no address or CIDR range */
export function internalRanges({ edge }: Config): readonly string[] {
  const bad = edge.internal.find((range) => !isRange(range));
  if (bad === undefined) return edge.internal;
  throw new ApplianceError('config_invalid', `edge.internal: "${bad}" is no address range`, {
    left: 'the edge was not touched',
    hint: 'write for example 10.0.0.0/8',
  });
}

/**
 * Names of `edge.domains` as nginx compares them. Addresses are no names: see `addressNames`.
 * @throws ApplianceError `config_invalid` when a domain is no host name
 */
export function domainNames({ edge }: Config): string[] {
  const bad = edge.domains.find((domain) => !isDomain(domain));
  if (bad !== undefined) {
    throw new ApplianceError('config_invalid', `edge.domains: "${bad}" is no host name`, {
      left: 'the edge was not touched',
      hint: 'write for example appliance.example.org or *.example.org',
    });
  }
  const local: readonly string[] = localNames;
  return [...new Set(edge.domains.map((domain) => domain.toLowerCase()))].filter(
    (domain) => isIP(domain) === 0 && !local.includes(domain),
  );
}

/** This host's own names: for its tools, and for Prometheus on the network of the edge. */
const localNames = ['localhost', '127.0.0.1', 'edge'] as const;

/**
 * What clients call the edge that know no name of it: this host's own names, and any literal address. A page of another
 * site that lets its name point here (DNS rebinding) comes with that name, and is refused.
 */
export const addressNames: readonly string[] = [...localNames, '"~^\\d+\\.\\d+\\.\\d+\\.\\d+$"', '"~^\\["'];
