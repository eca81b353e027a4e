import { didYouMean } from '../lib/near.ts';
import { alertsIssues } from './alerts-checks.ts';
import { certificateIssues } from './certificates-checks.ts';
import type { CrossIssue } from './cross-issue.ts';
import { edgeIssues } from './edge-checks.ts';
import { monitoringIssues } from './monitoring-checks.ts';
import type { Config } from './schema.ts';
import { syntheticIssues } from './synthetic-checks.ts';

/** Everything in a configuration that is well-formed but cannot work. Pure. */
export function crossCheck(config: Config): CrossIssue[] {
  return [
    ...routeIssues(config),
    ...roleIssues(config),
    ...edgeIssues(config),
    ...pathIssues(config),
    ...alertsIssues(config.alerts),
    ...monitoringIssues(config),
    ...syntheticIssues(config),
    ...modelIssues(config),
    ...certificateIssues(config),
  ];
}

function modelIssues({ models, services, persistent }: Config): CrossIssue[] {
  if (!models) return [];
  const shared = persistent.includes(models.directory);
  return [
    ...(services[models.service]?.role === 'app'
      ? []
      : [{ path: ['models', 'service'], message: `${models.service} is no app service, and no other loads a model` }]),
    // What belongs to one release is not there for the next one.
    ...(shared
      ? []
      : [{ path: ['models', 'directory'], message: `list ${models.directory} under persistent as well` }]),
  ];
}

function routeIssues({ routes, services }: Config): CrossIssue[] {
  const apps = Object.entries(services).flatMap(([name, { role }]) => (role === 'app' ? [name] : []));
  const seen = new Map<string, string>();
  return routes.flatMap(({ path, service }, index) => {
    const issues: CrossIssue[] = [];
    const at = ['routes', index];
    const known = services[service];
    if (!known) {
      const near = didYouMean(service, apps) ?? `app services are ${apps.join(', ') || 'missing'}`;
      issues.push({ path: [...at, 'service'], message: `there is no service ${service}; ${near}` });
    } else if (known.role !== 'app') {
      const message = `${service} has the role ${known.role}; only app services take requests`;
      issues.push({ path: [...at, 'service'], message });
    }
    const bare = path === '/' ? path : path.replace(/\/+$/, '');
    const before = seen.get(bare);
    if (before !== undefined) {
      const message = before === path ? `${path} has a route already` : `${path} and ${before} are the same prefix`;
      issues.push({ path: [...at, 'path'], message });
    }
    seen.set(bare, path);
    return issues;
  });
}

function roleIssues({ services }: Config): CrossIssue[] {
  const migrations = Object.entries(services).filter(([, { role }]) => role === 'migrate');
  const issues = migrations.slice(1).map(([name]) => ({
    path: ['services', name, 'role'],
    message: `${migrations[0]?.[0]} is the migration already; a deploy runs one (give the other the role job)`,
  }));
  return Object.values(services).some(({ role }) => role === 'app')
    ? issues
    : [...issues, { path: ['services'], message: 'no service has the role app: there is nothing to deploy' }];
}

function pathIssues({ persistent, network, source }: Config): CrossIssue[] {
  const issues: CrossIssue[] = [];
  const leaves = (path: string) => path.split('/').includes('..');
  persistent.forEach((path, index) => {
    const at = ['persistent', index];
    if (leaves(path)) issues.push({ path: at, message: `${path} leaves the project; remove the ..` });
    if (/^\.\/*(?:\.\/*)*$/.test(path)) issues.push({ path: at, message: 'the project as a whole cannot be shared' });
    const other = persistent.find((known, i) => i !== index && `${path}/`.startsWith(`${known.replace(/\/+$/, '')}/`));
    if (other !== undefined) issues.push({ path: at, message: `${path} is part of ${other}, which is shared already` });
  });
  source.compose.forEach((path, index) => {
    if (path.startsWith('/') || leaves(path)) {
      const message = `${path} is not inside the repository; write a path relative to its root`;
      issues.push({ path: ['source', 'compose', index], message });
    }
  });
  if (
    network.pool
      .split('/')[0]
      ?.split('.')
      .some((octet) => Number(octet) > 255)
  )
    issues.push({ path: ['network', 'pool'], message: `${network.pool} is no IPv4 range` });
  return issues;
}
