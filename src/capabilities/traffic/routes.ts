import type { Config } from '../../config/schema.ts';
import { colours } from '../../lib/colour.ts';
import { type Fork, routesOf } from './forks.ts';
import { block, map, quote } from './nginx-text.ts';
import { poolsOf, type Target, type Targets } from './targets.ts';

/** Longest an upstream connection stays idle; less than the five seconds after which Node.js and uvicorn hang up. */
const upstreamIdle = '4s';

/**
 * Pools, and for each target the map from colour to pool. A failed replica is left alone for two seconds; a pool of one
 * is always tried.
 */
export function renderPools({ all }: Targets): string[] {
  const pools = poolsOf(all).map(({ name, servers }) =>
    block(`upstream ${name}`, [
      ...servers.map((server) => `server ${server} max_fails=1 fail_timeout=2s;`),
      'keepalive 64;',
      'keepalive_requests 100000;',
      `keepalive_timeout ${upstreamIdle};`,
    ]),
  );
  return [...pools, ...all.map(renderTarget)];
}

function renderTarget({ variable, ends }: Target): string {
  const entries = colours.flatMap((colour): [string, string][] => {
    const end = ends[colour];
    if (end === 'missing') return [];
    return [[colour, typeof end === 'string' ? end : end.name]];
  });
  return map('$appliance_colour', variable, [...entries, ['default', '""']]);
}

/** The edge's own answers for a colour that has no route here. They come before all that a route asks for. */
function turnedAway({ path }: Fork, { variable, ends }: Target): string[] {
  const among = (end: string) => colours.some((colour) => ends[colour] === end);
  // As nginx itself does it for a location that ends in a slash.
  const slashed = `${quote(encodeURI(`${path}/`)).slice(0, -1)}$is_args$args"`;
  return [
    ...(among('none') ? [`if ($${variable} = none) { return 404; }`] : []),
    ...(among('slash') ? [`if ($${variable} = slash) { return 301 ${slashed}; }`] : []),
  ];
}

/** What nginx cannot make depend on the colour, time and size, is the larger of both. */
function proxyLines(config: Config, fork: Fork, { variable }: Target): string[] {
  const routes = routesOf(fork);
  const timeout = Math.max(...routes.map((route) => route.timeout));
  const maxBody = Math.max(...routes.map((route) => route.maxBody));
  const rate = config.edge.rateLimit;
  // A read that takes longer than this is not repeated on another replica: only a failed connect is that quick.
  const retryWithin = Math.min(5_000, Math.max(1, timeout - 1));
  return [
    `if ($${variable} = "") { return 503; }`,
    ...(rate ? [`limit_req zone=appliance_rate burst=${rate.burst} nodelay;`] : []),
    // nginx takes 0 for "no limit".
    `client_max_body_size ${Math.max(1, maxBody)};`,
    `proxy_read_timeout ${Math.ceil(timeout)}ms;`,
    `proxy_send_timeout ${Math.ceil(timeout)}ms;`,
    `proxy_next_upstream_timeout ${Math.ceil(retryWithin)}ms;`,
    `proxy_pass http://$${variable};`,
  ];
}

/**
 * The locations of the routes of both colours, and those of the metrics pages under each prefix, which internal
 * addresses alone may see (S2-32).
 */
export function renderLocations(config: Config, targets: Targets): string[] {
  const { paths, bare, at } = targets.forks;
  const location = (modifier: '' | '= ', fork: Fork, guard: readonly string[] = []) => {
    const target = targets.of(fork);
    const proxied = routesOf(fork).length > 0 ? proxyLines(config, fork, target) : ['return 503;'];
    return block(`location ${modifier}${quote(fork.path, false)}`, [...turnedAway(fork, target), ...guard, ...proxied]);
  };
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
  const elsewhere = paths.some(({ path }) => path === '/') ? [] : [block('location /', ['return 404;'])];
  return [...open, ...slashless, ...guarded, ...elsewhere];
}
