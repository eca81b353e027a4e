import type { Config } from '../../config/schema.ts';
import { type Colour, colours } from '../../lib/colour.ts';
import type { Route } from '../../lib/routes.ts';
import { type Fork, type Forks, forksOf } from './forks.ts';
import type { Topologies } from './topologies.ts';

/** One pool of connections: the replicas of a service of one colour, on one port. */
export interface Pool {
  readonly name: string;
  /** `10.213.0.10:8000` */
  readonly servers: readonly string[];
}

/** Where the requests of a colour end: in a pool, or why in none. `missing`: the service has no container there. */
type End = Pool | 'none' | 'slash' | 'missing';

/** What locations that lead to the same pools share: a variable that holds the pool of the request's colour. */
export interface Target {
  /** Name of the variable. */
  readonly variable: string;
  readonly ends: Readonly<Record<Colour, End>>;
}

export interface Targets {
  readonly forks: Forks;
  readonly all: readonly Target[];
  of(fork: Fork): Target;
}

/**
 * Pools and variables are named for addresses and order, never for services: a release that gives a service another name
 * at the same address leaves the configuration as it is, and needs no reload.
 */
export function targetsOf(config: Config, topologies: Topologies): Targets {
  const forks = forksOf(config, topologies);
  const targets = new Map<string, Target>();
  const of = ({ ways }: Fork): Target => {
    const end = (colour: Colour): End => {
      const way = ways[colour];
      return typeof way === 'string' ? way : (poolOf(topologies, colour, way) ?? 'missing');
    };
    const ends = { blue: end('blue'), green: end('green') };
    const key = JSON.stringify(ends);
    const target = targets.get(key) ?? { variable: `appliance_to_${targets.size + 1}`, ends };
    targets.set(key, target);
    return target;
  };
  for (const fork of [...forks.paths, ...forks.bare]) of(fork);
  return { forks, all: [...targets.values()], of };
}

function poolOf(topologies: Topologies, colour: Colour, route: Route): Pool | undefined {
  const addresses = topologies[colour]?.addresses[route.service] ?? [];
  const [first] = addresses;
  if (first === undefined) return undefined;
  return {
    name: `appliance_${colour}_${first}_${route.port}`,
    servers: addresses.map((address) => `${address}:${route.port}`),
  };
}

/** The pools that targets lead to, each once. */
export function poolsOf(targets: readonly Target[]): Pool[] {
  const pools = targets.flatMap(({ ends }) => colours.map((colour) => ends[colour]));
  return [...new Map(pools.filter((end) => typeof end !== 'string').map((pool) => [pool.name, pool])).values()];
}
