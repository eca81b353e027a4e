import { formatDuration } from '../lib/units.ts';
import type { CrossIssue } from './cross-issue.ts';
import { edgeAdvice } from './edge-checks.ts';
import type { Config } from './schema.ts';
import { safeMethods } from './shadow.ts';

/** What works, but may not do what its owner wants. Pure. */
export function adviseOn(
  config: Pick<Config, 'routes' | 'deploy' | 'shadow'> & Partial<Pick<Config, 'edge'>>,
): CrossIssue[] {
  return [...drainAdvice(config), ...shadowAdvice(config), ...(config.edge ? edgeAdvice({ edge: config.edge }) : [])];
}

/** A copy of a request that changes something changes it once more: both colours share the databases. */
function shadowAdvice({ shadow }: Pick<Config, 'shadow'>): CrossIssue[] {
  const unsafe = (shadow?.methods ?? []).filter((method) => !safeMethods.includes(method));
  if (unsafe.length === 0) return [];
  const message = `copies of ${unsafe.join(', ')} are carried out by the new release as well, on the databases that both share; copy them only where that does no harm (a prediction, a search)`;
  return [{ path: ['shadow', 'methods'], message }];
}

/** Requests that may take longer than a colour is drained. */
function drainAdvice(config: Pick<Config, 'routes' | 'deploy'>): CrossIssue[] {
  const { drain } = config.deploy;
  const [slowest] = [...config.routes].sort((a, b) => b.timeout - a.timeout);
  if (!slowest || drain >= slowest.timeout) return [];
  const message = `${formatDuration(drain)} is shorter than the ${formatDuration(slowest.timeout)} that requests to ${slowest.path} may take; one that takes longer is cut when its colour is stopped or cleared`;
  return [{ path: ['deploy', 'drain'], message }];
}
