import { formatDuration } from '../lib/units.ts';
import type { CrossIssue } from './cross-checks.ts';
import type { Config } from './schema.ts';

/** What works, but may not do what its owner wants. Pure. */
export function adviseOn(config: Pick<Config, 'routes' | 'deploy'>): CrossIssue[] {
  const { drain } = config.deploy;
  const [slowest] = [...config.routes].sort((a, b) => b.timeout - a.timeout);
  if (!slowest || drain >= slowest.timeout) return [];
  const message = `${formatDuration(drain)} is shorter than the ${formatDuration(slowest.timeout)} that requests to ${slowest.path} may take; one that takes longer is cut when its colour is stopped or cleared`;
  return [{ path: ['deploy', 'drain'], message }];
}
