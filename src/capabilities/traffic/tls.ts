import { isIP } from 'node:net';
import { type CertificateSet, certificateSets } from '../../config/certificates.ts';
import type { Config } from '../../config/schema.ts';
import { currentLink } from '../../lib/certificates.ts';
import { addressNames, domainNames } from './addresses.ts';

/**
 * Forward secrecy and authenticated encryption alone (RFC 9325 §4.2), AES-128 first: it is as safe and cheaper. Those of TLS
 * 1.3 are all of that kind. `PrioritizeChaCha` lets a client without AES in hardware have its way.
 */
const ciphers = [
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-RSA-AES128-GCM-SHA256',
  'ECDHE-ECDSA-CHACHA20-POLY1305',
  'ECDHE-RSA-CHACHA20-POLY1305',
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-RSA-AES256-GCM-SHA384',
].join(':');

/**
 * How TLS is spoken, for the http block. The curves stand in features.conf, because what is known depends on OpenSSL. There
 * are no tickets: a key for them that is never changed would undo forward secrecy; sessions are resumed from memory.
 */
export function tlsLines({ edge }: Pick<Config, 'edge'>): string[] {
  const modern = edge.tls.minVersion === '1.3';
  return [
    `ssl_protocols ${modern ? '' : 'TLSv1.2 '}TLSv1.3;`,
    ...(modern ? [] : [`ssl_ciphers ${ciphers};`]),
    'ssl_prefer_server_ciphers on;',
    'ssl_conf_command Options PrioritizeChaCha;',
    'ssl_session_cache shared:appliance_tls:4m;',
    'ssl_session_timeout 1h;',
    'ssl_session_tickets off;',
  ];
}

/** A certificate and the names that are answered with it. */
export interface ServedSet {
  readonly name: string;
  /** As nginx compares them. */
  readonly names: readonly string[];
  /** Whether clients are led from HTTP to HTTPS: never to a certificate that browsers warn of, unless asked for. */
  readonly redirect: boolean;
}

/**
 * Which names get which certificate (S1-49). Those that no set lists, and whoever asks for an address, get that of the set
 * with an address among its domains, else the first. @returns that set first
 */
export function servedSets(config: Config): readonly [ServedSet, ...ServedSet[]] {
  const { redirect } = config.edge;
  const sets = certificateSets(config);
  const main = sets.find(({ domains }) => domains.some((domain) => isIP(domain) !== 0)) ?? sets[0];
  const known = [...domainNames(config), ...addressNames];
  const served = ({ name, issuer }: CertificateSet, names: readonly string[]): ServedSet => ({
    name,
    names,
    redirect: redirect === 'always' || (redirect === 'auto' && issuer !== 'self-signed'),
  });
  const others = sets
    .filter((set) => set !== main)
    .map((set) => {
      const listed = new Set(set.domains.map((domain) => domain.toLowerCase()));
      return served(
        set,
        known.filter((one) => listed.has(one)),
      );
    })
    .filter(({ names }) => names.length > 0);
  const taken = new Set(others.flatMap(({ names }) => names));
  return [
    served(
      main,
      known.filter((one) => !taken.has(one)),
    ),
    ...others,
  ];
}

/** Where the edge finds a certificate. @param version one of the set; by default the one in force */
export function certificatePath(set: string, version: string = currentLink): string {
  return `/edge/certs/${set}/${version}`;
}

/** Key and chain change together: both lie behind one link. */
export function certificateLines(set: string): string[] {
  const directory = certificatePath(set);
  return [`ssl_certificate ${directory}/chain.pem;`, `ssl_certificate_key ${directory}/key.pem;`];
}
