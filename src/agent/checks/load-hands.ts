import type { LoadHands } from '../../capabilities/checks/load/index.ts';
import { reachable } from '../../capabilities/traffic/addresses.ts';
import { type LoadRequest, sendLoad } from '../../host/load.ts';
import { routeFor } from '../../lib/routes.ts';
import type { CheckParts } from './parts.ts';
import { markHeader, type Subject } from './smoke-hands.ts';

/** Load goes where users go, or straight to one colour. */
export async function loadHands(
  parts: CheckParts,
  subject: Subject,
  progress: (text: string) => void,
): Promise<LoadHands> {
  return { target: await loadTarget(parts, subject), send: sendLoad, progress };
}

/** @throws Error where no route leads to the path */
export async function loadTarget(
  { config, observer }: CheckParts,
  { release, colour, through }: Subject,
): Promise<Pick<LoadRequest, 'url' | 'headers'>> {
  const topology = (await observer.topologies(release))[colour];
  const path = config.checks?.load ?? topology.proofPath ?? '/';
  const headers = { host: config.edge.domains[0]?.replace(/^\*\./, 'www.') ?? 'localhost', ...markHeader };
  if (through === 'edge') {
    const { host, port } = reachable(config.edge.http);
    return { url: `http://${host.includes(':') ? `[${host}]` : host}:${port}${path}`, headers };
  }
  const route = routeFor(topology.routes ?? config.routes, path);
  const [address] = route ? (topology.addresses[route.service] ?? []) : [];
  if (!route || address === undefined) throw new Error(`no route leads ${path} to a service`);
  return { url: `http://${address}:${route.port}${path}`, headers };
}
