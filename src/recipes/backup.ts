import { durationText } from '../lib/units.ts';
import type { PlannedStep, StepType } from '../operations/step.ts';

type Kind = 'nightly' | 'pre-deploy' | 'pre-migration' | 'safety' | 'manual';
interface About {
  readonly id: string;
  readonly kind: Kind;
  readonly protect: boolean;
  readonly acceptMissing: boolean;
}

/** What the recipes of backups put in order. */
export interface BackupSteps {
  readonly collectSnapshot: StepType<About>;
  readonly storeSnapshot: StepType<About>;
  readonly verifySnapshot: StepType<About>;
  readonly forgetSnapshots: StepType<{ readonly provenFirst: string | null }>;
  readonly copyOffsite: StepType<Record<string, never>>;
}

export interface BackupFacts {
  readonly id: string;
  readonly kind: Kind;
  /** Kept whatever the policy says. */
  readonly protect?: boolean;
  /** A database of the snapshot before may be gone. */
  readonly acceptMissing?: boolean;
  /** By earlier runs; null before the first. */
  readonly predictedSeconds: number | null;
  /** Milliseconds that one run of restic, or one dump, may take. */
  readonly timeout: number;
  /** Names of off-site targets. */
  readonly offsite: readonly string[];
}

const why: Readonly<Record<Kind, string>> = {
  nightly: 'every night (S1-46)',
  'pre-deploy': 'a deploy begins with a way back for the data (S1-20); --skip-backup does without',
  'pre-migration': 'a migration does not go backwards by itself (S1-11); --skip-backup does without',
  safety: 'what is replaced can be brought back',
  manual: 'asked for',
};

/** One snapshot: put together, stored, read back. Pure. Nothing before it is touched, so there is nothing to take back. */
export function planBackup(facts: BackupFacts, steps: BackupSteps): PlannedStep[] {
  const { id, kind, protect = false, acceptMissing = false, predictedSeconds, timeout } = facts;
  const args = { id, kind, protect, acceptMissing };
  const about =
    predictedSeconds === null ? '' : `; about ${durationText(Math.max(1_000, Math.round(predictedSeconds) * 1_000))}`;
  return [
    steps.collectSnapshot.plan(args, {
      title: `dump databases and collect files for ${id}`,
      cause: `${why[kind]}${about}`,
      deadline: timeout,
    }),
    steps.storeSnapshot.plan(args, {
      title: `store ${id} in the repository, encrypted`,
      cause: 'equal data are stored once',
      deadline: 4 * timeout,
    }),
    steps.verifySnapshot.plan(args, {
      title: `read ${id} back`,
      cause: 'what was never read back is no backup',
      deadline: timeout,
    }),
  ];
}

/** Copies for off-site targets; a failure there does not fail the backup. Pure. */
export function planOffsite(
  { offsite, timeout }: Pick<BackupFacts, 'offsite' | 'timeout'>,
  steps: BackupSteps,
): PlannedStep[] {
  if (offsite.length === 0) return [];
  const about = { title: `copy to ${offsite.join(', ')}`, cause: 'a fire takes the host and its disks (S1-48)' };
  return [steps.copyOffsite.plan({}, { ...about, optional: true, deadline: offsite.length * timeout })];
}

/** Retention. @param provenFirst the snapshot that must have been proven before anything is forgotten; null: none */
export function planForget(
  { provenFirst, timeout, optional }: { provenFirst: string | null; timeout: number; optional: boolean },
  steps: BackupSteps,
): PlannedStep[] {
  const about = { title: 'forget snapshots that the policy does not keep', cause: 'retention (S1-47)' };
  return [steps.forgetSnapshots.plan({ provenFirst }, { ...about, optional, deadline: 2 * timeout })];
}
