import type { Status } from '../api/schema.ts';
import type { DrillReport } from '../capabilities/backups/drill-report.ts';
import { timestamp } from '../lib/clock.ts';
import type { Appliance } from './appliance.ts';
import type { BackupReading } from './metrics/backups.ts';

type Watched = Pick<Appliance, 'backups' | 'drills' | 'schedule' | 'alerting' | 'config'>;

/** Names of the repositories in which damage is remembered. */
const local = 'local';

/**
 * Looks at backups as this host knows them, without asking the repository, and has alerts raised or resolved (S1-60).
 * Cheap enough for every minute.
 */
export function watchBackups({ backups, schedule, alerting }: Watched): void {
  const [newest] = backups.recent(1);
  const night = schedule.list().find(({ name }) => name === 'backup');
  alerting.seenBackups({
    newest: newest
      ? {
          id: newest.id,
          state: newest.state,
          collapsed: newest.findings.filter(({ verdict }) => verdict === 'fail').map(({ observed }) => observed),
        }
      : null,
    overdueSeconds: night?.overdueSeconds ?? 0,
    overdueWhy: night?.last?.error ?? night?.waitsFor ?? null,
    damaged: backups.records.damage(local) !== undefined,
    targets: backups.targets(),
  });
}

/** What metrics tell of backups. Times are seconds since 1970. */
export function backupReading({ backups, drills, schedule, config }: Watched): BackupReading {
  const sound = backups.recent().filter(({ state }) => state === 'verified' || state === 'stored');
  const success = new Map<string, number>();
  for (const { began, seconds, manifest } of sound)
    for (const { name } of manifest?.components ?? [])
      if (!success.has(name)) success.set(name, began / 1_000 + (seconds ?? 0));
  const proven = drills.reports.lastPassed();
  const last = drills.reports.last();
  const { drill } = config.backups;
  return {
    success,
    bytes: new Map((sound[0]?.manifest?.components ?? []).map(({ name, bytes }) => [name, bytes])),
    proven: proven && { at: proven.at / 1_000, seconds: proven.seconds, ageSeconds: proven.ageSeconds },
    verdict: last?.verdict,
    offsite: backups
      .targets()
      .flatMap(({ name, succeeded }) => (succeeded === null ? [] : [[name, succeeded / 1_000]])),
    jobs: schedule.list().map(({ name, last: run, lastSuccess, overdueSeconds }) => ({
      name,
      run: run?.endedAt ? Date.parse(run.endedAt) / 1_000 : undefined,
      success: lastSuccess === null ? undefined : Date.parse(lastSuccess) / 1_000,
      overdueSeconds,
    })),
    limits: { rto: drill.rto / 1_000, rpo: drill.rpo / 1_000 },
  };
}

/** `status.backup`. */
export function backupStatus({ backups, drills, schedule }: Watched): Status['backup'] {
  const good = backups.recent().find(({ state }) => state === 'verified');
  const proven: DrillReport | undefined = drills.reports.lastPassed();
  return {
    lastSuccess: good ? timestamp(good.began + (good.seconds ?? 0) * 1_000) : null,
    lastProvenRestore: proven ? timestamp(proven.at) : null,
    nextRun: schedule.list().find(({ name }) => name === 'backup')?.nextRun ?? null,
  };
}
