import type { Config } from '../../config/schema.ts';
import { addressNames } from './addresses.ts';
import type { HeaderLines } from './headers.ts';
import { edgeAccessLog } from './log-format.ts';
import { block, map } from './nginx-text.ts';
import { certificateLines, type ServedSet, servedSets } from './tls.ts';

interface ServerParts {
  readonly config: Config;
  readonly headers: HeaderLines;
}

/** HTTP-01 (RFC 8555 §8.3): asked over plain HTTP, for any name, and never led elsewhere. */
const challengePath = '/.well-known/acme-challenge/';
export const challenges = block(`location ^~ ${challengePath}`, ['alias /edge/acme/;', 'default_type text/plain;']);

/**
 * What is not addressed to a name of the edge gets nothing: no answer over HTTP, no handshake over TLS. Two cases are not
 * like that. Who asks for an address sends no name in the handshake and gets the main certificate, for tools on the spot.
 * And a browser may use a connection that it has for another name of the certificate: 421 (RFC 9110 §15.5.20) sends it away
 * without ending what else runs on that connection.
 */
export function renderStrangers({ headers }: Pick<ServerParts, 'headers'>, main: ServedSet): string[] {
  return [
    block('server', [
      'listen 80 default_server backlog=4096;',
      edgeAccessLog,
      challenges,
      'location / { return 444; }',
    ]),
    block('server', [
      'listen 443 ssl default_server backlog=4096;',
      'http2 on;',
      ...certificateLines(main.name),
      ...misdirected(headers),
    ]),
  ];
}

/** Any name that no server has. nginx tries expressions last and in their order, so this one stands behind all others. */
export function renderNobody({ headers }: Pick<ServerParts, 'headers'>): string {
  return block('server', [
    'listen 443 ssl;',
    'http2 on;',
    'server_name "~^";',
    'ssl_reject_handshake on;',
    ...misdirected(headers),
  ]);
}

function misdirected(headers: HeaderLines): string[] {
  return [
    edgeAccessLog,
    ...headers.add('https', [['X-Appliance-Edge', 'unknown-host']], 'none'),
    'location / { return 421; }',
  ];
}

/** Where HTTPS is published, as the end of a host in an address. */
function securePort({ edge }: Config): string {
  const port = edge.https.slice(edge.https.lastIndexOf(':') + 1);
  return port === '443' ? '' : `:${port}`;
}

/** 308 keeps method and body (RFC 9110 §15.4.9). */
function redirect(config: Config): string {
  return `return 308 https://$host${securePort(config)}$request_uri;`;
}

/** The location that leads to HTTPS. */
function renderRedirect(name: string, config: Config, headers: HeaderLines): string {
  return block(`location ${name}`, [
    edgeAccessLog,
    ...headers.add(
      'http',
      [
        ['X-Appliance-Edge', 'redirect'],
        // Browsers keep a 308 for ever unless told otherwise, and whoever takes it back needs them to ask again.
        ['Cache-Control', 'max-age=3600'],
      ],
      'none',
    ),
    redirect(config),
  ]);
}

/** HTTP for names with a certificate: nothing but the way to HTTPS, the challenge, and the pages for internal addresses. */
export function renderRedirectServer(
  { config, headers }: Pick<ServerParts, 'config' | 'headers'>,
  names: readonly string[],
): string {
  return block('server', [
    'listen 80;',
    `server_name ${names.join(' ')};`,
    edgeAccessLog,
    ...headers.add('http', [['X-Appliance-Edge', 'redirect']], 'none'),
    challenges,
    ...renderInternalReadings(),
    renderRedirect('/', config, headers),
  ]);
}

/** In plain text for tools on the spot alone: all others are led to HTTPS. The status never leaves nginx. */
export function renderOutside(config: Config, headers: HeaderLines): string[] {
  return [
    'if ($appliance_outside) { return 418; }',
    'error_page 418 = @appliance_secure;',
    renderRedirect('@appliance_secure', config, headers),
  ];
}

export const internalOnly = 'if ($appliance_internal = 0) { return 404; }';

/** What the edge tells internal addresses about itself (S2-32); to all others these pages do not exist. */
export function renderInternalReadings(): string[] {
  return [
    'location ^~ /_appliance/ { return 404; }',
    block('location = /_appliance/health', [internalOnly, 'default_type text/plain;', 'return 200 "ok\\n";']),
    block('location = /_appliance/status', [internalOnly, 'js_content edge.status;']),
    block('location = /_appliance/metrics', [internalOnly, 'js_content edge.metrics;']),
  ];
}

/** Who is led from plain HTTP to HTTPS although no name was asked for: a map, for the http block. */
export function outsideMap(config: Config): string[] {
  if (!servedSets(config).some(({ redirect, names }) => redirect && names.some(isAddress))) return [];
  return [
    map('"$appliance_internal$uri"', 'appliance_outside', [
      ['~^1', '""'],
      [`"~^0${challengePath.replaceAll('.', '\\.')}"`, '""'],
      ['default', '1'],
    ]),
  ];
}

/** Whether it is one of the names for who knows no name. */
export function isAddress(name: string): boolean {
  return addressNames.includes(name);
}
