import type { SyntheticRequest } from '../../../config/synthetic.ts';
import { ApplianceError } from '../../../lib/errors.ts';
import { type Route, routeFor } from '../../../lib/routes.ts';
import type { Topology } from '../../../lib/topology.ts';
import type { PreparedRequest } from './load.ts';

/** On every declared request, so that the application and its log can tell it from one of a user. */
const syntheticHeader = 'x-appliance-synthetic';

export interface Preparation {
  readonly requests: readonly SyntheticRequest[];
  /** Where the new release listens. */
  readonly topology: Topology;
  /** Those of appliance.yaml, for a release that does not hold its own. */
  readonly routes: readonly Route[];
  /** First domain of the edge: applications that look at their host name must know it. */
  readonly host: string;
  /** What `${KEY}` in a header stands for. */
  readonly environment: Readonly<Record<string, string>>;
}

/**
 * Declared requests as the edge would forward them: straight to the containers of a colour, with the headers that the edge
 * sets. Pure.
 * @throws ApplianceError `config_invalid` for a request that this release has no route for, or a key that it does not know
 */
export function prepareRequests(preparation: Preparation): PreparedRequest[] {
  return preparation.requests.map((request, index) => prepare(request, `synthetic.requests[${index}]`, preparation));
}

function prepare(
  { method, path, headers, body, status }: SyntheticRequest,
  where: string,
  { topology, routes, host, environment }: Preparation,
): PreparedRequest {
  const refuse = (why: string) =>
    new ApplianceError('config_invalid', `${where}: ${why}`, { left: 'no declared request is sent for this rollout' });
  const route = routeFor(topology.routes ?? routes, path);
  const addresses = route && topology.addresses[route.service];
  if (!route || !addresses || addresses.length === 0) throw refuse(`${topology.release} has no route for ${path}`);
  const filled = Object.entries(headers).map(([name, value]) => {
    const text = value.replace(/\$\{([A-Za-z_]\w*)\}/g, (_, key: string) => {
      const known = environment[key];
      if (known === undefined) throw refuse(`header ${name} needs ${key}, which source.envFile does not have`);
      return known;
    });
    if (/[^\t\x20-\x7e]/.test(text)) throw refuse(`header ${name} would not be plain ASCII on one line`);
    return [name.toLowerCase(), text] as const;
  });
  return {
    method,
    path,
    port: route.port,
    addresses,
    expected: status,
    headers: {
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      ...Object.fromEntries(filled),
      host,
      'x-forwarded-proto': 'http',
      [syntheticHeader]: '1',
    },
    body,
  };
}
