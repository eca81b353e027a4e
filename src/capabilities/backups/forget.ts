import { z } from 'zod';
import { count } from '../../lib/text.ts';
import { defineStep } from '../../operations/step.ts';
import { retention } from './retention.ts';
import type { BackupStepDeps } from './step-deps.ts';

/**
 * Forgets what the policy does not keep, and gives the space back (S1-47). Nothing is forgotten after a failed run, while the
 * repository is damaged, or, where a proof is asked for, while the new snapshot is not proven: age alone would empty the set
 * when backups have stopped.
 */
export function forgetSnapshots({ local, store, config, clock }: BackupStepDeps) {
  return defineStep({
    action: 'forget-snapshots',
    args: z.object({
      /** The snapshot that must have been proven first; null: none. */
      provenFirst: z.string().nullable(),
    }),
    async apply({ provenFirst }: { provenFirst: string | null }, context) {
      if (store.lastFailed()) return 'nothing is forgotten: the last backup has failed';
      if (!mayForget({ store, local })) return 'nothing is forgotten: the repository is damaged';
      const snapshots = await local.list(context.signal);
      if (provenFirst !== null && !snapshots.some(({ id, proven }) => id === provenFirst && proven))
        return `nothing is forgotten: ${provenFirst} is not proven`;
      const gone = retention(snapshots, config.keep, clock.now()).filter(({ reasons }) => reasons.length === 0);
      await local.forgetAll(
        gone.map(({ snapshot }) => snapshot),
        context.signal,
      );
      context.progress('give the space back');
      // Also where nothing is forgotten now: what was cut short has left what no snapshot needs.
      if (snapshots.length > 0) await local.prune(context.signal);
      if (gone.length === 0) return `all ${count(snapshots.length, 'snapshot')} are kept`;
      return `${count(gone.length, 'snapshot')} forgotten, ${snapshots.length - gone.length} kept`;
    },
  });
}

/** Whether backups went well enough for old ones to go, here or off-site. */
export function mayForget({ store, local }: Pick<BackupStepDeps, 'store' | 'local'>): boolean {
  return !store.lastFailed() && store.damage(local.target.name) === undefined;
}
