import type { Config } from '../../config/schema.ts';
import { type Colour, colours } from '../../lib/colour.ts';
import { type Route, routeFor } from '../../lib/routes.ts';
import type { Topologies } from './topologies.ts';

/**
 * What a colour does with a request: a route of its release; `none`, because its release has no route for it; or
 * `slash`, because nginx leads a prefix without its last slash to the one with it.
 */
type Way = Route | 'none' | 'slash';

/** A location of the edge, and which way its requests go on each colour. */
export interface Fork {
  readonly path: string;
  readonly ways: Readonly<Record<Colour, Way>>;
}

type ColourRoutes = Readonly<Record<Colour, readonly Route[]>>;

/** The routes of each colour. A colour that is not there has those of the other, and no address for any. */
function colourRoutes(config: Config, topologies: Topologies): ColourRoutes {
  const of = (colour: Colour) => topologies[colour] && (topologies[colour].routes ?? config.routes);
  const [blue, green] = [of('blue'), of('green')];
  return { blue: blue ?? green ?? config.routes, green: green ?? blue ?? config.routes };
}

/** The locations that two sets of routes make together. */
export interface Forks {
  /** One for each path that any colour routes, in the order of their paths. */
  readonly paths: readonly Fork[];
  /**
   * Prefixes that end in a slash on one colour alone, without that slash. nginx answers them for both colours once the
   * location is there; each needs an answer of its own.
   */
  readonly bare: readonly Fork[];
  /** The ways of any path: each colour's longest prefix, as if the other colour's routes were not there. */
  at(path: string): Fork;
}

/**
 * Joins the routes of both colours. nginx takes the longest of all prefixes; every prefix of one colour is among them,
 * so the colour's own longest prefix is found from the location alone. Pure.
 */
export function forksOf(config: Config, topologies: Topologies): Forks {
  const routes = colourRoutes(config, topologies);
  const at = (path: string): Fork => ({
    path,
    ways: { blue: routeFor(routes.blue, path) ?? 'none', green: routeFor(routes.green, path) ?? 'none' },
  });
  const has = (colour: Colour, path: string) => routes[colour].some((route) => route.path === path);
  const paths = [...new Set(colours.flatMap((colour) => routes[colour].map(({ path }) => path)))].sort();
  const lone = paths.filter((path) => /.\/$/.test(path) && !colours.every((colour) => has(colour, path)));
  const bare = lone.map((path): Fork => {
    const { path: short, ways } = at(path.slice(0, -1));
    const way = (colour: Colour): Way => (has(colour, path) ? 'slash' : ways[colour]);
    return { path: short, ways: { blue: way('blue'), green: way('green') } };
  });
  return { paths: paths.map(at), bare, at };
}

/** The routes that a fork leads to. */
export function routesOf({ ways }: Fork): Route[] {
  return colours.map((colour) => ways[colour]).filter((way) => typeof way !== 'string');
}
