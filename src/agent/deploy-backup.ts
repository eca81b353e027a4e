import type { PlannedStep } from '../operations/step.ts';
import { needsMigration } from '../recipes/deploy.ts';
import type { ReleaseFacts } from '../recipes/facts.ts';
import type { Appliance } from './appliance.ts';

/**
 * The backup that a deploy begins with (S1-11, S1-20), by `backups.beforeDeploy`. Before the first deploy there is nothing
 * that could be lost.
 */
export function backupBefore(
  { store, config, backups }: Pick<Appliance, 'store' | 'config' | 'backups'>,
  release: ReleaseFacts,
): PlannedStep[] {
  const live = store.live();
  const { enabled, beforeDeploy } = config.backups;
  if (!live || live.release === release.id || !enabled || beforeDeploy === 'never') return [];
  const migrates = needsMigration(release, store.databaseSchema()?.version ?? null);
  if (beforeDeploy === 'migrations' && !migrates) return [];
  return backups.plan({ kind: migrates ? 'pre-migration' : 'pre-deploy', protect: false }).steps;
}
