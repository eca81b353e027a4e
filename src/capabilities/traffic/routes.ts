import type { Config, RouteConfig } from '../../config/schema.ts';
import { type Colour, colours } from '../../lib/colour.ts';
import { block, map, quote } from './nginx-text.ts';
import type { Topologies } from './topologies.ts';

/** Longest an upstream connection stays idle; less than the five seconds after which Node.js and uvicorn hang up. */
const upstreamIdle = '4s';

/** One pool of connections: the replicas of a service of one colour, on one port. */
interface Pool {
  readonly name: string;
  readonly servers: readonly string[];
}

function poolOf(topologies: Topologies, colour: Colour, route: RouteConfig): Pool | undefined {
  const addresses = topologies[colour]?.addresses[route.service] ?? [];
  if (addresses.length === 0) return undefined;
  return {
    name: `appliance_${colour}_${route.service}_${route.port}`,
    servers: addresses.map((address) => `${address}:${route.port}`),
  };
}

/** Routes that go to the same service and port share one variable: the pool of the request's colour, or nothing. */
function targetOf(route: RouteConfig): string {
  return `appliance_to_${route.service.replace(/[^a-zA-Z0-9]/g, (sign) => `_${sign.charCodeAt(0)}_`)}_${route.port}`;
}

/**
 * Pools, and for each target the map from colour to pool. A failed replica is left alone for two seconds; a pool of one
 * is always tried.
 */
export function renderPools(config: Config, topologies: Topologies): string[] {
  const pools = new Map<string, string>();
  const maps = new Map<string, string>();
  for (const route of config.routes) {
    const entries: [string, string][] = [];
    for (const colour of colours) {
      const pool = poolOf(topologies, colour, route);
      if (!pool) continue;
      entries.push([colour, pool.name]);
      const servers = pool.servers.map((server) => `server ${server} max_fails=1 fail_timeout=2s;`);
      pools.set(
        pool.name,
        block(`upstream ${pool.name}`, [
          ...servers,
          'keepalive 64;',
          'keepalive_requests 100000;',
          `keepalive_timeout ${upstreamIdle};`,
        ]),
      );
    }
    maps.set(targetOf(route), map('$appliance_colour', targetOf(route), [...entries, ['default', '""']]));
  }
  return [...pools.values(), ...maps.values()];
}

function proxyLines(config: Config, route: RouteConfig): string[] {
  const target = targetOf(route);
  const rate = config.edge.rateLimit;
  // A read that takes longer than this is not repeated on another replica: only a failed connect is that quick.
  const retryWithin = Math.min(5_000, Math.max(1, route.timeout - 1));
  return [
    `if ($${target} = "") { return 503; }`,
    ...(rate ? [`limit_req zone=appliance_rate burst=${rate.burst} nodelay;`] : []),
    // nginx takes 0 for "no limit".
    `client_max_body_size ${Math.max(1, route.maxBody)};`,
    `proxy_read_timeout ${Math.ceil(route.timeout)}ms;`,
    `proxy_send_timeout ${Math.ceil(route.timeout)}ms;`,
    `proxy_next_upstream_timeout ${Math.ceil(retryWithin)}ms;`,
    `proxy_pass http://$${target};`,
  ];
}

/** The route of a path: the longest prefix wins. */
export function routeFor(routes: readonly RouteConfig[], path: string): RouteConfig | undefined {
  return routes
    .filter((route) => path.startsWith(route.path))
    .reduce<RouteConfig | undefined>(
      (best, route) => (best && best.path.length >= route.path.length ? best : route),
      undefined,
    );
}

/**
 * The locations of the configured routes, and those of the metrics pages under each prefix, which internal addresses
 * alone may see (S2-32).
 */
export function renderLocations(config: Config): string[] {
  const routes = [...new Map(config.routes.map((route) => [route.path, route])).values()];
  const metrics = new Set(['/metrics', ...routes.map(({ path }) => `${path.replace(/\/$/, '')}/metrics`)]);
  const guarded = [...metrics].flatMap((path) => {
    const route = routeFor(routes, path);
    if (!route) return [];
    const lines = ['if ($appliance_internal = 0) { return 403; }', ...proxyLines(config, route)];
    return [block(`location = ${quote(path, false)}`, lines), block(`location ${quote(`${path}/`, false)}`, lines)];
  });
  const open = routes
    .filter(({ path }) => !metrics.has(path.replace(/\/$/, '')))
    .map((route) => block(`location ${quote(route.path, false)}`, proxyLines(config, route)));
  const elsewhere = routes.some(({ path }) => path === '/') ? [] : [block('location /', ['return 404;'])];
  return [...open, ...guarded, ...elsewhere];
}
