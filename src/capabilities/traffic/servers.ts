import type { Config } from '../../config/schema.ts';
import { colours } from '../../lib/colour.ts';
import { markerName } from './files.ts';
import { addHeaders, hiddenHeaders, type Scheme } from './headers.ts';
import { block } from './nginx-text.ts';
import { renderOwnAnswers } from './own-answers.ts';
import { renderLocations } from './routes.ts';
import type { ShadowLines } from './shadow/render.ts';
import type { Targets } from './targets.ts';

const acme = block('location ^~ /.well-known/acme-challenge/', ['alias /edge/acme/;', 'default_type text/plain;']);

/** For the agent alone: its Unix socket lies in a directory that only root enters. */
export function renderControlServer(shadow: ShadowLines): string {
  return block('server', [
    'listen unix:/edge/run/control.sock;',
    'access_log off;',
    'client_max_body_size 4k;',
    'client_body_buffer_size 4k;',
    'location = /health { return 200 "ok\\n"; }',
    ...shadow.control,
    'location / { js_content edge.control; }',
  ]);
}

/** Names that the edge does not answer to; 421 is RFC 9110 §15.5.20. */
export function renderStrangersServer(): string {
  return block('server', [
    'listen 80 default_server backlog=4096;',
    'listen 443 ssl default_server backlog=4096;',
    'http2 on;',
    ...addHeaders('http', [['X-Appliance-Edge', 'unknown-host']], 'none'),
    acme,
    block('location /', [
      'default_type text/plain;',
      'return 421 "This host name is not among edge.domains of appliance.yaml.\\n";',
    ]),
  ]);
}

/** The server that forwards to the application, one per scheme, so that nothing asks for the scheme at run time. */
export function renderPublicServer(
  { config, targets, shadow }: { config: Config; targets: Targets; shadow: ShadowLines },
  names: readonly string[],
  scheme: Scheme,
): string {
  return block('server', [
    ...(scheme === 'https' ? ['listen 443 ssl;', 'http2 on;'] : ['listen 80;']),
    `server_name ${names.join(' ')};`,
    ...shadow.server,
    // Relative to working_directory: one short look-up, against a script call for each request.
    'set $appliance_steady "";',
    ...colours.map((colour) => `if (-f ${markerName(colour)}) { set $appliance_steady ${colour}; break; }`),
    ...addHeaders(scheme, [
      ['Set-Cookie', '$appliance_sticky_cookie'],
      ['X-Appliance-Upstream-Release', '$appliance_upstream_release'],
    ]),
    'proxy_http_version 1.1;',
    'proxy_set_header Host $http_host;',
    'proxy_set_header Connection $appliance_connection;',
    'proxy_set_header Upgrade $http_upgrade;',
    // The edge is the first hop: what a client claims about itself is not passed on.
    'proxy_set_header X-Real-IP $remote_addr;',
    'proxy_set_header X-Forwarded-For $remote_addr;',
    `proxy_set_header X-Forwarded-Proto ${scheme};`,
    'proxy_set_header X-Request-Id $appliance_request_id;',
    'proxy_set_header X-Appliance-Preview "";',
    ...hiddenHeaders.map((name) => `proxy_hide_header ${name};`),
    'proxy_connect_timeout 2s;',
    // Another replica of the same colour gets its chance after a failed connect; a request that is not idempotent and
    // was sent is never repeated (nginx's default).
    'proxy_next_upstream error timeout;',
    'proxy_next_upstream_tries 3;',
    ...renderOwnAnswers(scheme),
    acme,
    ...renderInternalPages(scheme),
    ...renderLocations(config, targets, shadow),
  ]);
}

/** Pages of the edge for internal addresses; to all others they do not exist. */
function renderInternalPages(scheme: Scheme): string[] {
  const internalOnly = 'if ($appliance_internal = 0) { return 404; }';
  const redirect = (name: string, cookie: string) =>
    block(`location = /_appliance/preview/${name}`, [
      internalOnly,
      ...addHeaders(scheme, [
        ['Set-Cookie', `"appliance_preview=${cookie}; Path=/; HttpOnly; SameSite=Lax"`],
        ['Cache-Control', 'no-store'],
      ]),
      'return 302 /;',
    ]);
  return [
    'location ^~ /_appliance/ { return 404; }',
    block('location = /_appliance/status', [internalOnly, 'js_content edge.status;']),
    block('location = /_appliance/metrics', [internalOnly, 'js_content edge.metrics;']),
    ...colours.map((colour) => redirect(colour, colour)),
    redirect('off', '; Max-Age=0'),
  ];
}
