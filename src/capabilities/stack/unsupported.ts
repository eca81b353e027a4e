import type { Service } from './model.ts';
import type { Role } from './project.ts';

const shared = /^(?:service|container):/;

/**
 * What of a service cannot live in a colour, each with what to write instead. Compose features that tie a container to
 * one other container, or to the host's network, have no meaning when there are two of everything.
 */
export function unsupported(name: string, service: Service, role: Role): string[] {
  if (role === 'ignore') return [];
  const problems: string[] = [];
  const { network_mode: mode } = service;
  if (mode === 'host') {
    problems.push(`${name}: network_mode: host would make both colours fight for one port; remove it`);
  } else if (mode !== undefined && shared.test(mode)) {
    problems.push(
      `${name}: network_mode: ${mode} ties it to one container; let both services join the default network`,
    );
  } else if (mode === 'none' && role === 'app') {
    problems.push(`${name}: network_mode: none, but an app service must be reachable by the edge`);
  } else if (mode !== undefined && mode !== 'none' && mode !== 'bridge') {
    problems.push(`${name}: network_mode: ${mode} is not supported; remove it`);
  }
  for (const key of ['ipc', 'pid'] as const) {
    const value = service[key];
    if (value !== undefined && shared.test(value))
      problems.push(`${name}: ${key}: ${value} ties it to one container; remove it`);
  }
  for (const link of service.links ?? []) {
    const [target, alias = target] = link.split(':');
    if (alias !== target)
      problems.push(`${name}: links: ${link} renames a service; give ${target} the network alias ${alias} instead`);
  }
  for (const link of service.external_links ?? [])
    problems.push(`${name}: external_links: ${link} points outside the project; put both on one network`);
  for (const source of service.volumes_from ?? [])
    problems.push(`${name}: volumes_from: ${source} is not supported; share a named volume instead`);
  for (const mount of service.volumes ?? []) {
    if (mount.type === 'bind' && /(?:^|\/)docker\.sock$/.test(mount.source ?? ''))
      problems.push(`${name}: mounting the Docker socket gives it the whole host; it is never mounted into the stack`);
  }
  return problems;
}
