import type { AlertChange } from './events.ts';
import type { AlertDraft } from './own-alerts.ts';

/** How a restore into throw-away containers has ended. */
export interface SeenDrill {
  readonly snapshot: string;
  readonly verdict: 'pass' | 'fail' | 'inconclusive';
  /** One sentence for people. */
  readonly summary: string;
  readonly hint: string | undefined;
}

/** Alerts that a drill raises, and those that it makes history (S1-60, S4-53). Pure. */
export function alertsOfDrill({ snapshot, verdict, summary, hint }: SeenDrill): AlertChange {
  if (verdict === 'pass') return { resolve: ['RestoreDrillFailed', 'RestoreDrillInconclusive'], raise: [] };
  const failed = verdict === 'fail';
  const name = failed ? 'RestoreDrillFailed' : 'RestoreDrillInconclusive';
  const words = failed ? `a backup cannot be restored: ${summary}` : `a backup could not be proven: ${summary}`;
  return {
    // What cannot be said now does not take back what was found before.
    resolve: failed ? ['RestoreDrillInconclusive'] : [],
    raise: [{ name, severity: failed ? 'critical' : 'warning', summary: words, hint, labels: { snapshot } }],
  };
}

/** How the backups of an appliance are, at one look. Times are milliseconds since 1970. */
export interface SeenBackups {
  /** The newest one on this host; null before the first. */
  readonly newest: {
    readonly id: string;
    readonly state: 'running' | 'stored' | 'verified' | 'failed';
    /** What has collapsed since those before it. */
    readonly collapsed: readonly string[];
  } | null;
  /** Of the night that was due and has not succeeded: seconds since then, and why; 0 while none is missing. */
  readonly overdueSeconds: number;
  readonly overdueWhy: string | null;
  /** Whether the repository is known to be broken. */
  readonly damaged: boolean;
  readonly targets: readonly {
    readonly name: string;
    readonly succeeded: number | null;
    /** Since the last success. */
    readonly failures: number;
    readonly error: string | null;
  }[];
}

/** Seconds that a night may be late, as behind a long deploy. */
const patience = 6 * 3_600;
/** Milliseconds without a copy until an off-site target is overdue: two nights. */
const offsitePatience = 50 * 3_600_000;
/** Failures in a row of a target that was never reached. */
const mostFailures = 2;

/** Every alert that looking at backups may raise; what is not raised now is over. */
export const backupAlertNames = [
  'BackupFailed',
  'BackupMissed',
  'BackupAnomaly',
  'BackupRepositoryDamaged',
  'OffsiteBackupOverdue',
] as const;

/** What is wrong with backups now. Pure. @param now milliseconds since 1970 */
export function alertsOfBackups(seen: SeenBackups, now: number): AlertDraft[] {
  const { newest, overdueSeconds, overdueWhy, damaged, targets } = seen;
  const drafts: AlertDraft[] = [];
  if (newest?.state === 'failed')
    drafts.push({
      name: 'BackupFailed',
      severity: 'warning',
      summary: `the last backup (${newest.id}) has failed${overdueWhy === null ? '' : `: ${overdueWhy}`}; the one before it stays`,
      hint: 'appliance schedule says why and when it is tried again; at once: appliance backup now',
    });
  if (overdueSeconds > patience)
    drafts.push({
      name: 'BackupMissed',
      severity: 'critical',
      summary: `a nightly backup is missing for ${Math.floor(overdueSeconds / 3_600)} hours${overdueWhy === null ? '' : `: ${overdueWhy}`}`,
      hint: 'appliance schedule; at once: appliance schedule run backup',
    });
  if (newest && newest.collapsed.length > 0)
    drafts.push({
      name: 'BackupAnomaly',
      severity: 'critical',
      summary: `${newest.id} holds much less than those before it: ${newest.collapsed.join('; ')}`.slice(0, 500),
      hint: 'if that is not meant, restore the one before: appliance backup list, appliance backup restore ID --plan',
    });
  if (damaged)
    drafts.push({
      name: 'BackupRepositoryDamaged',
      severity: 'critical',
      summary: 'the repository of backups is damaged; the next backup repairs it and stores everything again',
      hint: 'at once: appliance backup now, then appliance backup verify; look at the disk that it lies on',
    });
  for (const { name, succeeded, failures, error } of targets) {
    const late = succeeded === null ? failures >= mostFailures : now - succeeded > offsitePatience;
    if (!late) continue;
    const since = succeeded === null ? 'ever' : `for ${Math.floor((now - succeeded) / 86_400_000)} days`;
    drafts.push({
      name: 'OffsiteBackupOverdue',
      severity: 'warning',
      summary: `no copy of the backups has reached ${name} ${since}${error === null ? '' : `: ${error}`}`,
      hint: 'see backups.offsite in appliance.yaml; try again: appliance schedule run backup',
      labels: { target: name },
    });
  }
  return drafts;
}
