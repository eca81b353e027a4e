import { isIP } from 'node:net';
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
export function internalRanges(config: Config): string[] {
  return config.edge.internal.map((range) => {
    const [address = '', prefix, ...rest] = range.split('/');
    const family = isIP(address);
    const bits = prefix === undefined ? 0 : Number(prefix);
    const valid =
      family !== 0 &&
      rest.length === 0 &&
      (prefix === undefined || /^\d+$/.test(prefix)) &&
      bits <= (family === 4 ? 32 : 128);
    if (!valid) {
      throw new ApplianceError('config_invalid', `edge.internal: "${range}" is no address range`, {
        left: 'the edge was not touched',
        hint: 'write for example 10.0.0.0/8',
      });
    }
    return range;
  });
}

/**
 * Names that the edge answers to: the configured ones, this host's own and any literal address. A page of another
 * site that lets its name point here (DNS rebinding) is refused.
 * @throws ApplianceError `config_invalid` when a domain is no host name
 */
export function serverNames(config: Config): string[] {
  for (const domain of config.edge.domains) {
    if (!/^(?:\*\.)?[a-zA-Z0-9](?:[a-zA-Z0-9.-]{0,251}[a-zA-Z0-9])?$/.test(domain)) {
      throw new ApplianceError('config_invalid', `edge.domains: "${domain}" is no host name`, {
        left: 'the edge was not touched',
        hint: 'write for example appliance.example.org or *.example.org',
      });
    }
  }
  const names = new Set([
    ...config.edge.domains.map((domain) => domain.toLowerCase()),
    'localhost',
    '127.0.0.1',
    'edge',
  ]);
  return [...names, '"~^\\d+\\.\\d+\\.\\d+\\.\\d+$"', '"~^\\["'];
}
