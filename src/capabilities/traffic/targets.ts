import type { Config } from '../../config/schema.ts';
import { type Colour, colours } from '../../lib/colour.ts';
import type { Route } from '../../lib/routes.ts';
import { type Fork, type Forks, forksOf } from './forks.ts';
import type { Topologies } from './topologies.ts';

/** One pool of connections: the replicas of a service of one colour, on one port. */
interface Pool {
  readonly name: string;
  /** `10.213.0.10:8000` */
  readonly servers: readonly string[];
}

/** Where the requests of a colour end: in a pool, or why in none. `missing`: the service has no container there. */
export type End = Pool | 'none' | 'slash' | 'missing';

/** The locations of the edge and where they lead. */
export interface Targets {
  readonly forks: Forks;
  /** The pools that the locations lead to, each once. */
  readonly pools: readonly Pool[];
  end(fork: Fork, colour: Colour): End;
}

/**
 * Pools are named for addresses, never for services: a release that gives a service another name at the same address
 * leaves the configuration as it is, and needs no reload.
 */
export function targetsOf(config: Config, topologies: Topologies): Targets {
  const forks = forksOf(config, topologies);
  const end = ({ ways }: Fork, colour: Colour): End => {
    const way = ways[colour];
    return typeof way === 'string' ? way : (poolOf(topologies, colour, way) ?? 'missing');
  };
  const ends = [...forks.paths, ...forks.bare].flatMap((fork) => colours.map((colour) => end(fork, colour)));
  const pools = new Map(ends.filter((each) => typeof each !== 'string').map((pool) => [pool.name, pool]));
  return { forks, pools: [...pools.values()], end };
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
