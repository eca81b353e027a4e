import { routeFor } from '../lib/routes.ts';
import type { Config } from './schema.ts';

/** Where a mistake stands, and what it is. */
interface Issue {
  readonly path: readonly PropertyKey[];
  readonly message: string;
}

/** Headers that belong to whoever sends the request. */
const reserved = /^(?:host|connection|content-length|transfer-encoding|expect|upgrade|x-appliance-.*)$/i;

/** Mistakes of `synthetic:` that need other sections to be seen. Pure. */
export function syntheticIssues({ synthetic, routes }: Config): Issue[] {
  return (synthetic?.requests ?? []).flatMap(({ method, path, headers, body }, index) => {
    const at = ['synthetic', 'requests', index];
    const issues: Issue[] = [];
    if (!routeFor(routes, path))
      issues.push({
        path: [...at, 'path'],
        message: `no route leads ${path} to a service: the edge answers it itself`,
      });
    for (const name of Object.keys(headers))
      if (reserved.test(name)) issues.push({ path: [...at, 'headers', name], message: `${name} is set by appliance` });
    if (body !== undefined && (method === 'GET' || method === 'HEAD'))
      issues.push({ path: [...at, 'body'], message: `${method} has no body` });
    return issues;
  });
}
