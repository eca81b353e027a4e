import type { Config } from '../../config/schema.ts';
import { colours } from '../../lib/colour.ts';
import { markerName } from './files.ts';
import type { HeaderLines, Scheme } from './headers.ts';
import type { LimitLines } from './limits.ts';
import { block } from './nginx-text.ts';
import {
  challenges,
  internalOnly,
  isAddress,
  renderInternalReadings,
  renderNobody,
  renderOutside,
  renderRedirectServer,
  renderStrangers,
} from './other-servers.ts';
import { renderOwnAnswers } from './own-answers.ts';
import { renderLocations } from './routes.ts';
import type { ShadowLines } from './shadow/render.ts';
import type { Targets } from './targets.ts';
import { certificateLines, servedSets } from './tls.ts';
import { uploadControl } from './uploads.ts';

/** What all servers share. */
export interface ServerParts {
  readonly config: Config;
  readonly targets: Targets;
  readonly shadow: ShadowLines;
  readonly headers: HeaderLines;
  readonly limits: LimitLines;
}

/** For the agent alone: its Unix socket lies in a directory that only root enters. */
export function renderControlServer(shadow: ShadowLines): string {
  return block('server', [
    'listen unix:/edge/run/control.sock;',
    'access_log off;',
    'client_max_body_size 4k;',
    'client_body_buffer_size 4k;',
    'location = /health { return 200 "ok\\n"; }',
    ...uploadControl,
    ...shadow.control,
    'location / { js_content edge.control; }',
  ]);
}

/** All servers but that of the agent: one per scheme and certificate, so that nothing asks for either at run time. */
export function renderServers(parts: ServerParts): string[] {
  const [main, ...others] = servedSets(parts.config);
  const sets = [main, ...others];
  const redirected = sets.filter(({ redirect }) => redirect).flatMap(({ names }) => names);
  const leading = redirected.filter((name) => !isAddress(name));
  const plain = sets.flatMap(({ names }) => names).filter((name) => !leading.includes(name));
  return [
    ...renderStrangers(parts, main),
    ...(leading.length > 0 ? [renderRedirectServer(parts, leading)] : []),
    ...(plain.length > 0
      ? [renderPublicServer(parts, plain, { scheme: 'http', redirectOutside: redirected.some(isAddress) })]
      : []),
    ...sets.map((set) => renderPublicServer(parts, set.names, { scheme: 'https', set: set.name })),
    renderNobody(parts),
  ];
}

/** How a server is reached: over HTTP, or over TLS with a certificate. */
type Entrance =
  | { readonly scheme: 'http'; readonly redirectOutside: boolean }
  | { readonly scheme: 'https'; readonly set: string };

/** A server that forwards to the application. */
function renderPublicServer(
  { config, targets, shadow, headers, limits }: ServerParts,
  names: readonly string[],
  entrance: Entrance,
): string {
  const { scheme } = entrance;
  return block('server', [
    ...(entrance.scheme === 'https'
      ? ['listen 443 ssl;', 'http2 on;', ...certificateLines(entrance.set)]
      : ['listen 80;']),
    `server_name ${names.join(' ')};`,
    ...(entrance.scheme === 'http' && entrance.redirectOutside ? renderOutside(config, headers) : []),
    ...shadow.server,
    // Relative to working_directory: one short look-up, against a script call for each request.
    'set $appliance_steady "";',
    ...colours.map((colour) => `if (-f ${markerName(colour)}) { set $appliance_steady ${colour}; break; }`),
    ...headers.add(scheme, [
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
    ...headers.hidden.map((name) => `proxy_hide_header ${name};`),
    'proxy_connect_timeout 2s;',
    // Another replica of the same colour gets its chance after a failed connect; a request that is not idempotent and
    // was sent is never repeated (nginx's default).
    'proxy_next_upstream error timeout;',
    'proxy_next_upstream_tries 3;',
    ...renderOwnAnswers(scheme, headers, limits),
    challenges,
    ...renderInternalReadings(),
    ...renderPreviews(scheme, headers),
    ...renderLocations(config, targets, { shadow, limits }),
  ]);
}

/** By which internal addresses look at a colour with a browser. */
function renderPreviews(scheme: Scheme, headers: HeaderLines): string[] {
  const attributes = `Path=/; HttpOnly; SameSite=Lax${scheme === 'https' ? '; Secure' : ''}`;
  const page = (name: string, cookie: string) =>
    block(`location = /_appliance/preview/${name}`, [
      internalOnly,
      ...headers.add(scheme, [
        ['Set-Cookie', `"appliance_preview=${cookie}; ${attributes}"`],
        ['Cache-Control', 'no-store'],
      ]),
      'return 302 /;',
    ]);
  return [...colours.map((colour) => page(colour, colour)), page('off', '; Max-Age=0')];
}
