import { ApplianceError } from '../../lib/errors.ts';
import { formatBytes } from '../../lib/units.ts';

/** What an earlier backup took. Sizes are bytes. */
export interface EarlierRun {
  readonly seconds: number;
  /** Of what lay in staging. */
  readonly staged: number;
  /** That came into the repository. */
  readonly added: number;
}

export interface Prediction {
  readonly seconds: number | null;
  readonly staging: number;
  readonly repository: number;
}

/** Beyond what is predicted: the next night is a little larger, and nobody wants a disk that is full to the brim. */
const margin = 1.25;
const reserve = 64 * 1024 * 1024;

/**
 * What the next backup will take, by the largest of the earlier runs. Pure.
 * @param earlier the newest first; none before the first backup
 * @param sources bytes that there are to back up now, as far as they can be known without a dump
 */
export function predict(earlier: readonly EarlierRun[], sources: number): Prediction {
  const runs = earlier.slice(0, 5);
  if (runs.length === 0) return { seconds: null, staging: reserve, repository: Math.round(sources * margin) + reserve };
  const most = (pick: (run: EarlierRun) => number) => Math.max(...runs.map(pick));
  return {
    seconds: most(({ seconds }) => seconds),
    staging: Math.round(most(({ staged }) => staged) * margin) + reserve,
    // The first run brings everything; what follows it is small.
    repository: Math.round(most(({ added }) => Math.min(added, sources)) * margin) + reserve,
  };
}

/**
 * Refuses a backup that would fill a disk, before anything is written.
 * @param free bytes that are free where staging and repository lie
 * @throws ApplianceError `disk_full`
 */
export function assertRoom(predicted: Prediction, free: { staging: number; repository: number; same: boolean }): void {
  const needed = free.same
    ? [{ where: 'the state directory', need: predicted.staging + predicted.repository, there: free.staging }]
    : [
        { where: 'the state directory', need: predicted.staging, there: free.staging },
        { where: 'the repository of backups', need: predicted.repository, there: free.repository },
      ];
  for (const { where, need, there } of needed)
    if (there < need)
      throw new ApplianceError(
        'disk_full',
        `a backup needs about ${formatBytes(need)} on the disk of ${where}, by what earlier ones took; ${formatBytes(there)} are free`,
        {
          left: 'nothing was written; the snapshots before are untouched',
          hint: 'free some space: appliance backup prune, appliance releases prune; then run it again: appliance backup now',
        },
      );
}
