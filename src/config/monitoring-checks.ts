import { isIPv4 } from 'node:net';
import { didYouMean } from '../lib/near.ts';
import type { Config } from './schema.ts';

/** Where a mistake stands, and what it is. */
interface Issue {
  readonly path: readonly PropertyKey[];
  readonly message: string;
}

/** Names that monitoring has in the core project. */
const reserved = ['prometheus', 'alertmanager', 'node-exporter'] as const;

/** Mistakes of `monitoring:` that need other sections to be seen. Pure. */
export function monitoringIssues({ monitoring, services, edge, network }: Config): Issue[] {
  if (!monitoring) return [];
  const issues: Issue[] = [];
  for (const name of reserved) {
    const role = services[name]?.role;
    if (role !== undefined && role !== 'ignore')
      issues.push({
        path: ['services', name, 'role'],
        message: `monitoring brings a service ${name} of its own; give this one the role ignore`,
      });
  }
  const apps = Object.entries(services).flatMap(([name, { role }]) => (role === 'app' ? [name] : []));
  monitoring.scrape.forEach(({ service }, index) => {
    if (apps.includes(service)) return;
    const near = didYouMean(service, apps) ?? `app services are ${apps.join(', ')}`;
    const message = services[service]
      ? `${service} is no app service; ${near}`
      : `there is no service ${service}; ${near}`;
    issues.push({ path: ['monitoring', 'scrape', index, 'service'], message });
  });
  const { database } = monitoring;
  if (database && services[database.service]?.role !== 'core') {
    const cores = Object.entries(services).flatMap(([name, { role }]) => (role === 'core' ? [name] : []));
    const near = didYouMean(database.service, cores) ?? `core services are ${cores.join(', ') || 'missing'}`;
    const message = `there is no core service ${database.service}; ${near}`;
    issues.push({ path: ['monitoring', 'database', 'service'], message });
  }
  const used = new Map<string, string>([
    [portOf(edge.http), 'edge.http'],
    [portOf(edge.https), 'edge.https'],
  ]);
  for (const name of ['prometheus', 'alertmanager'] as const) {
    const port = portOf(monitoring[name].listen);
    const at = ['monitoring', name, 'listen'];
    if (Number(port) < 1 || Number(port) > 65_535)
      issues.push({ path: at, message: `${port} is no port (1 to 65535)` });
    const other = used.get(port);
    if (other !== undefined) issues.push({ path: at, message: `${other} has port ${port} already` });
    used.set(port, `monitoring.${name}.listen`);
  }
  if (!edge.internal.some((range) => contains(range, network.pool)))
    issues.push({
      path: ['edge', 'internal'],
      message: `none of these ranges holds network.pool (${network.pool}): Prometheus could not read the metrics of the edge`,
    });
  return issues;
}

function portOf(listen: string): string {
  return listen.slice(listen.lastIndexOf(':') + 1);
}

/** Whether an IPv4 range holds another one. */
function contains(outer: string, inner: string): boolean {
  const [outerFirst, outerBits] = parse(outer);
  const [innerFirst, innerBits] = parse(inner);
  if (outerFirst === undefined || innerFirst === undefined || innerBits < outerBits) return false;
  const size = 2 ** (32 - outerBits);
  return Math.floor(outerFirst / size) === Math.floor(innerFirst / size);
}

function parse(range: string): [number | undefined, number] {
  const [address = '', bits = '32'] = range.split('/');
  if (!isIPv4(address)) return [undefined, 0];
  return [address.split('.').reduce((sum, octet) => sum * 256 + Number(octet), 0), Number(bits)];
}
