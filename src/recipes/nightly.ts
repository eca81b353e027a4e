import { formatDuration } from '../lib/units.ts';
import type { PlannedStep, StepType } from '../operations/step.ts';

/** What proves a snapshot. */
export interface DrillSteps {
  readonly drillSnapshot: StepType<{ readonly id: string; readonly depth: 'usual' | 'deep' }>;
}

export interface DrillFacts {
  /** Id of a snapshot, or `latest`. */
  readonly id: string;
  readonly depth: 'usual' | 'deep';
  /** Milliseconds that it may take. */
  readonly timeout: number;
  /** By the last one; null before the first. */
  readonly predictedSeconds: number | null;
}

/** Restores a snapshot where it can do no harm, and looks at what comes out (S4-1, S4-53). Pure. */
export function planBackupDrill(
  { id, depth, timeout, predictedSeconds }: DrillFacts,
  steps: DrillSteps,
): PlannedStep[] {
  const about = predictedSeconds === null ? '' : `, about ${formatDuration(Math.ceil(predictedSeconds) * 1_000)}`;
  const what = depth === 'deep' ? 'everything, and read all of the repository' : 'it';
  return [
    steps.drillSnapshot.plan(
      { id, depth },
      {
        title: `restore ${id} into throw-away containers and prove ${what}${about}`,
        cause: 'a backup that was never restored is a hope (S4-53)',
        deadline: timeout,
      },
    ),
  ];
}

export interface NightlyParts {
  /** Put together, stored, read back. */
  readonly backup: readonly PlannedStep[];
  readonly drill: readonly PlannedStep[];
  /** Refuses as long as the snapshot of this night is not proven. */
  readonly retention: readonly PlannedStep[];
  readonly offsite: readonly PlannedStep[];
}

/**
 * The night (S1-43 to S1-48): backup, proof, retention, copies. A drill that fails raises its own alert and leaves the
 * snapshot; nothing is forgotten then, and what there is goes off-site all the same. All of it is one plan, so that a night
 * that was cut short goes on where it stopped. Pure.
 */
export function planNightly({ backup, drill, retention, offsite }: NightlyParts): PlannedStep[] {
  const optional = (steps: readonly PlannedStep[]) => steps.map((step) => ({ ...step, optional: true }));
  return [...backup, ...optional(drill), ...optional(retention), ...optional(offsite)];
}
