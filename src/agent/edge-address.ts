import { reachable } from '../capabilities/traffic/addresses.ts';
import type { ContainerDetail } from '../host/docker.ts';
import type { Finding } from '../lib/verdict.ts';

/** Where the edge listens inside its container, by the key of appliance.yaml that says where that is published. */
const inside = { http: '80/tcp', https: '443/tcp' } as const;

export interface EdgeAddress {
  /** Where a client on this host reaches it: `127.0.0.1:8080`. */
  readonly http: string;
  readonly https: string;
  /** One for each key of appliance.yaml that the running edge does not follow. */
  readonly findings: readonly Finding[];
}

/**
 * Where the edge answers: as it is published, and as it is configured while it is not. Pure. A change of `edge.http` or
 * `edge.https` replaces the container of the edge, so it waits until somebody asks for that.
 * @param edge its container, if there is one
 */
export function edgeAddress(
  configured: { readonly http: string; readonly https: string },
  edge: Pick<ContainerDetail, 'published'> | undefined,
): EdgeAddress {
  const look = (key: 'http' | 'https') => {
    const wanted = text(configured[key]);
    const published = [...new Set((edge?.published[inside[key]] ?? []).map(text))];
    const [actual] = published;
    if (actual === undefined || published.includes(wanted)) return { address: wanted, findings: [] };
    const finding: Finding = {
      id: 'edge-address',
      verdict: 'fail',
      observed: `the edge is published at ${published.join(', ')} (edge.${key})`,
      expected: wanted,
      hint: 'appliance up --core',
    };
    return { address: actual, findings: [finding] };
  };
  const [http, https] = [look('http'), look('https')];
  return { http: http.address, https: https.address, findings: [...http.findings, ...https.findings] };
}

/** The same text for every way to write the same address. */
function text(listen: string): string {
  const { host, port } = reachable(listen);
  return `${host.includes(':') ? `[${host}]` : host}:${port}`;
}
