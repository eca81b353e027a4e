import { createHash } from 'node:crypto';
import type { Config } from '../../config/schema.ts';
import { colours } from '../../lib/colour.ts';
import { internalRanges } from './addresses.ts';
import { headersOf } from './headers.ts';
import { limitLines } from './limits.ts';
import { accessLog, accessLogFormat, edgeAccessLogFormat } from './log-format.ts';
import { block, map, time } from './nginx-text.ts';
import { outsideMap } from './other-servers.ts';
import { renderPools } from './routes.ts';
import { renderControlServer, renderServers } from './servers.ts';
import { shadowLines } from './shadow/render.ts';
import { targetsOf } from './targets.ts';
import { tlsLines } from './tls.ts';
import type { Topologies } from './topologies.ts';
import { uploadLines } from './uploads.ts';

const generationLine = /^# generation (\S+)$/m;
/** The generation that a configuration carries, or undefined when the text is none of ours. */
export function generationOf(text: string): string | undefined {
  return generationLine.exec(text)?.[1];
}

/**
 * The whole nginx configuration of the edge. Pure: the same input gives the same text, byte for byte. Tags and names of
 * services are no part of it: a release that listens where another one did needs no reload, and a reload loses requests
 * of clients that keep idle connections and do not retry.
 * @param topologies where the services of each colour listen and which requests they get; null for a colour that is not
 *   there, whose requests get the maintenance page
 * @throws ApplianceError `config_invalid` when a domain, range, path or tag cannot stand in a configuration
 */
export function renderEdge(config: Config, topologies: Topologies): string {
  const body = renderBody(config, topologies);
  const generation = createHash('sha256').update(body).digest('hex').slice(0, 16);
  return `# generation ${generation}\n# Written by appliance. What is changed here is lost at the next deploy.\n${body.replace('@GENERATION@', generation)}`;
}

function renderBody(config: Config, topologies: Topologies): string {
  const { limits: bounds } = config.edge;
  const limits = limitLines(config);
  const headers = headersOf(config);
  const targets = targetsOf(config, topologies);
  const shadow = shadowLines(config, accessLog);
  const http = block('http', [
    'include /usr/share/appliance/features.conf;',
    'include /etc/nginx/mime.types;',
    'default_type application/octet-stream;',
    'server_tokens off;',
    // A request that is refused before its first rule has no marker looked up.
    'uninitialized_variable_warn off;',
    'absolute_redirect off;',
    'tcp_nodelay on;',
    // All that a request needs fits, so nginx asks for memory once: 2,000 of 41,500 instructions less (valgrind).
    'request_pool_size 16k;',
    `client_header_timeout ${time(bounds.headerTimeout)};`,
    `client_body_timeout ${time(bounds.bodyTimeout)};`,
    `send_timeout ${time(bounds.sendTimeout)};`,
    // A client that was too slow is forgotten at once, with all that it still keeps in memory.
    'reset_timedout_connection on;',
    `large_client_header_buffers 4 ${bounds.headerLine};`,
    `keepalive_timeout ${time(bounds.idleTimeout)};`,
    `keepalive_requests ${bounds.requestsPerConnection};`,
    'server_names_hash_bucket_size 512;',
    'map_hash_bucket_size 512;',
    'variables_hash_max_size 4096;',
    'js_import edge from /usr/share/appliance/edge.js;',
    // Size and name stay the same for ever: a reload keeps the content of a zone only then.
    'js_shared_dict_zone zone=appliance_traffic:64k type=string;',
    'js_set $appliance_scripted edge.pick;',
    'js_set $appliance_recorded_release edge.release;',
    ...renderChoice(config),
    ...renderReleases(),
    ...outsideMap(config),
    ...shadow.http,
    ...headers.maps,
    accessLogFormat,
    edgeAccessLogFormat,
    accessLog,
    ...limits.http,
    ...uploadLines,
    ...tlsLines(config),
    ...renderPools(targets),
    renderControlServer(shadow),
    ...renderServers({ config, targets, shadow, headers, limits }),
  ]);
  return `${[
    'load_module modules/ngx_http_js_module.so;',
    'user www-data;',
    'working_directory /edge/state;',
    'worker_processes auto;',
    // Workers of an older generation end by then, whatever their connections do.
    `worker_shutdown_timeout ${Math.max(1, Math.ceil(config.deploy.drain / 1_000))}s;`,
    'pcre_jit on;',
    'pid /run/nginx.pid;',
    'error_log stderr warn;',
    'error_log /edge/log/error.log warn;',
    block('events', ['worker_connections 8192;']),
    http,
  ].join('\n')}\n`;
}

/**
 * From request to colour: a preview by header or cookie for internal addresses, else the marker, else what the script
 * picks, which keeps a client on its side (S3-25). A map costs as much as writing a header, so an ordinary request takes
 * one, and all others the rare path.
 */
function renderChoice(config: Config): string[] {
  // Connections are counted across all workers, so this names one request of this edge; `$request_id` would cost a
  // draw of random numbers.
  const ownId = '"$connection-$connection_requests-$msec"';
  const preview = colours.map((colour) => [colour, `$appliance_preview_${colour}`] as const);
  const same = colours.map((colour) => [colour, colour] as const);
  return [
    'geo $appliance_dollar { default "$"; }',
    block('geo $appliance_internal', ['default 0;', ...internalRanges(config).map((range) => `${range} 1;`)]),
    // The bars keep a header from posing as a marker: only the last part can be a marker.
    map('"$http_x_appliance_preview|$cookie_appliance_preview|$appliance_steady"', 'appliance_colour', [
      ...colours.map((colour) => [`"||${colour}"`, colour] as const),
      ['default', '$appliance_rare_colour'],
    ]),
    map('$appliance_rare_choice', 'appliance_rare_colour', [
      ...same,
      ...colours.map((colour) => [`"~^${colour} "`, colour] as const),
      ['default', '""'],
    ]),
    map('$http_x_appliance_preview', 'appliance_rare_choice', [...preview, ['default', '$appliance_choice_by_cookie']]),
    map('$cookie_appliance_preview', 'appliance_choice_by_cookie', [...preview, ['default', '$appliance_pick']]),
    ...colours.map((colour) =>
      map('$appliance_internal', `appliance_preview_${colour}`, [
        ['1', colour],
        ['default', '$appliance_pick'],
      ]),
    ),
    map('$appliance_steady', 'appliance_pick', [...same, ['default', '$appliance_scripted']]),
    map('$appliance_steady', 'appliance_sticky_cookie', [
      ...colours.map((colour) => [colour, '""'] as const),
      ['default', '$appliance_rare_cookie'],
    ]),
    map('$appliance_rare_choice', 'appliance_rare_cookie', [
      [
        '"~ (?<appliance_bucket>[0-9]+)$"',
        '"appliance_bucket=$appliance_bucket; Path=/; Max-Age=86400; HttpOnly; SameSite=Lax$appliance_secure"',
      ],
      ['default', '""'],
    ]),
    'map $https $appliance_secure { on "; Secure"; default ""; }',
    map('$http_x_request_id', 'appliance_request_id', [
      ['""', ownId],
      ['"~^[0-9A-Za-z._-]{8,64}$"', '$http_x_request_id'],
      ['default', ownId],
    ]),
    map('$http_upgrade', 'appliance_connection', [
      ['""', '""'],
      ['default', 'upgrade'],
    ]),
  ];
}

/** What an answer says about its release: what the application itself says, else what was recorded. */
function renderReleases(): string[] {
  return [
    'map "" $appliance_generation { default @GENERATION@; }',
    map('$upstream_http_x_appliance_release', 'appliance_release', [
      ['""', '$appliance_recorded_release'],
      ['default', '$upstream_http_x_appliance_release'],
    ]),
  ];
}
