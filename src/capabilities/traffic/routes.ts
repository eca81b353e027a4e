import type { Config } from '../../config/schema.ts';
import { colours } from '../../lib/colour.ts';
import { type Fork, routesOf } from './forks.ts';
import type { LimitLines } from './limits.ts';
import { block, quote } from './nginx-text.ts';
import type { ShadowLines } from './shadow/render.ts';
import type { End, Targets } from './targets.ts';

/**
 * Longest an upstream connection stays idle: less than the five seconds after which Node.js and uvicorn hang up, and
 * short, because a drain waits until the last one has closed.
 */
const upstreamIdle = '1s';

/** The pools. A failed replica is left alone for two seconds; a pool of one is always tried. */
export function renderPools({ pools }: Targets): string[] {
  return pools.map(({ name, servers }) =>
    block(`upstream ${name}`, [
      ...servers.map((server) => `server ${server} max_fails=1 fail_timeout=2s;`),
      'keepalive 64;',
      'keepalive_requests 100000;',
      `keepalive_timeout ${upstreamIdle};`,
    ]),
  );
}

/** What becomes of a request that was given a colour, as the inside of an `if`. */
function leave(path: string, end: End): string {
  if (end === 'missing') return 'return 503;';
  if (end === 'none') return 'return 404;';
  // As nginx itself does it for a location that ends in a slash.
  if (end === 'slash') return `return 301 ${quote(encodeURI(`${path}/`)).slice(0, -1)}$is_args$args";`;
  return `proxy_pass http://${end.name}; break;`;
}

/**
 * Both ways of a location. The pools stand in it by name: a variable in `proxy_pass` has nginx put the address together
 * and look its pool up anew for every request, which costs 2,400 of 39,400 instructions (valgrind).
 */
function renderWays(fork: Fork, targets: Targets, shadow: ShadowLines): string[] {
  const ways = colours.flatMap((colour) => {
    const end = targets.end(fork, colour);
    const way = leave(fork.path, end);
    return [
      ...(typeof end === 'string' ? [] : shadow.location(colour, way)),
      `if ($appliance_colour = ${colour}) { ${way} }`,
    ];
  });
  return [...ways, 'return 503;'];
}

/** What nginx cannot make depend on the colour, time and size, is the larger of both. */
function proxyLines(fork: Fork, limits: LimitLines): string[] {
  const routes = routesOf(fork);
  if (routes.length === 0) return [];
  const timeout = Math.max(...routes.map((route) => route.timeout));
  const maxBody = Math.max(...routes.map((route) => route.maxBody));
  // A read that takes longer than this is not repeated on another replica: only a failed connect is that quick.
  const retryWithin = Math.min(5_000, Math.max(1, timeout - 1));
  return [
    ...limits.location(fork.path),
    // nginx takes 0 for "no limit".
    `client_max_body_size ${Math.max(1, maxBody)};`,
    `proxy_read_timeout ${Math.ceil(timeout)}ms;`,
    `proxy_send_timeout ${Math.ceil(timeout)}ms;`,
    `proxy_next_upstream_timeout ${Math.ceil(retryWithin)}ms;`,
  ];
}

/**
 * The locations of the routes of both colours, and those of the metrics pages under each prefix, which internal
 * addresses alone may see (S2-32).
 */
export function renderLocations(
  config: Pick<Config, 'edge'>,
  targets: Targets,
  { shadow, limits }: { readonly shadow: ShadowLines; readonly limits: LimitLines },
): string[] {
  const { paths, bare, at } = targets.forks;
  const location = (modifier: '' | '= ', fork: Fork, guard: readonly string[] = []) =>
    block(`location ${modifier}${quote(fork.path, false)}`, [
      ...guard,
      ...proxyLines(fork, limits),
      ...renderWays(fork, targets, shadow),
    ]);
  const metrics = new Set(['/metrics', ...paths.map(({ path }) => `${path.replace(/\/$/, '')}/metrics`)]);
  const internal = ['if ($appliance_internal = 0) { return 403; }'];
  const guarded = [...metrics].flatMap((path) => {
    const [page, below] = [at(path), at(`${path}/`)];
    return [
      ...(routesOf(page).length > 0 ? [location('= ', page, internal)] : []),
      ...(routesOf(below).length > 0 ? [location('', below, internal)] : []),
    ];
  });
  const open = paths.filter(({ path }) => !metrics.has(path.replace(/\/$/, ''))).map((fork) => location('', fork));
  const slashless = bare.filter(({ path }) => !metrics.has(path)).map((fork) => location('= ', fork));
  // A limit for part of a route makes a location of its own, which leads where the route does.
  const routed = new Set([...paths, ...bare].map(({ path }) => path));
  const limited = config.edge.rateLimits
    .map(({ path }) => at(path))
    .filter((fork) => !routed.has(fork.path) && !metrics.has(fork.path.replace(/\/$/, '')) && routesOf(fork).length > 0)
    .map((fork) => location('', fork));
  const elsewhere = paths.some(({ path }) => path === '/') ? [] : [block('location /', ['return 404;'])];
  return [...open, ...limited, ...slashless, ...guarded, ...elsewhere];
}
