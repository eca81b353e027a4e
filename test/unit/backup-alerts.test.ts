import { Registry } from 'prom-client';
import { describe, expect, it } from 'vitest';
import { BackupMetrics } from '../../src/agent/metrics/backups.ts';
import { alertsOfBackups, alertsOfDrill, type SeenBackups } from '../../src/capabilities/alerts/index.ts';

const hour = 3_600_000;
const now = Date.UTC(2026, 10, 21, 9);
const well: SeenBackups = {
  newest: { id: '20261121T010000Z-1f3c', state: 'verified', collapsed: [] },
  overdueSeconds: 0,
  overdueWhy: null,
  damaged: false,
  targets: [{ name: 'nas', succeeded: now - 7 * hour, failures: 0, error: null }],
};
const names = (seen: Partial<SeenBackups>) => alertsOfBackups({ ...well, ...seen }, now).map(({ name }) => name);

describe('what backups tell people (S1-60)', () => {
  it('nothing while all is well, and nothing before the first night', () => {
    expect(names({})).toEqual([]);
    expect(names({ newest: null, targets: [] })).toEqual([]);
  });

  it('a backup that failed, and why', () => {
    const newest = { id: '20261121T010000Z-1f3c', state: 'failed', collapsed: [] } as const;
    const [alert] = alertsOfBackups({ ...well, newest, overdueWhy: 'the database is down' }, now);
    expect(alert).toMatchObject({ name: 'BackupFailed', severity: 'warning' });
    expect(alert?.summary).toBe(
      'the last backup (20261121T010000Z-1f3c) has failed: the database is down; the one before it stays',
    );
  });

  it('a night that is missing for six hours, not one that waits for a deploy of one', () => {
    expect(names({ overdueSeconds: 3_600 })).toEqual([]);
    expect(names({ overdueSeconds: 6.5 * 3_600, overdueWhy: 'deploy v2 is running' })).toEqual(['BackupMissed']);
  });

  it('a collapse, a damaged repository', () => {
    const newest = { id: 'x', state: 'verified', collapsed: ['public.orders has 3 rows'] } as const;
    expect(names({ newest, damaged: true })).toEqual(['BackupAnomaly', 'BackupRepositoryDamaged']);
  });

  it('an off-site target that was not reached for two nights, by its name, and one that never was', () => {
    const late = { name: 'nas', succeeded: now - 60 * hour, failures: 2, error: 'no route to host' };
    const [alert] = alertsOfBackups({ ...well, targets: [late] }, now);
    expect(alert).toMatchObject({ name: 'OffsiteBackupOverdue', labels: { target: 'nas' } });
    expect(alert?.summary).toBe('no copy of the backups has reached nas for 2 days: no route to host');
    expect(names({ targets: [{ ...late, succeeded: now - 20 * hour }] })).toEqual([]);
    expect(names({ targets: [{ ...late, succeeded: null }] })).toHaveLength(1);
    expect(names({ targets: [{ ...late, succeeded: null, failures: 1 }] })).toEqual([]);
  });

  it('a drill that fails; one that cannot say does not take that back, one that passes does (S4-53)', () => {
    const seen = { snapshot: 'x', summary: 'x: rows are missing', hint: undefined };
    expect(alertsOfDrill({ ...seen, verdict: 'fail' })).toMatchObject({
      raise: [{ name: 'RestoreDrillFailed', severity: 'critical', labels: { snapshot: 'x' } }],
    });
    const inconclusive = alertsOfDrill({ ...seen, verdict: 'inconclusive' });
    expect(inconclusive.resolve).toEqual([]);
    expect(inconclusive.raise[0]).toMatchObject({ name: 'RestoreDrillInconclusive', severity: 'warning' });
    expect(alertsOfDrill({ ...seen, verdict: 'pass' })).toEqual({
      resolve: ['RestoreDrillFailed', 'RestoreDrillInconclusive'],
      raise: [],
    });
  });
});

describe('what metrics tell of backups', () => {
  it('has no series for what is not known yet, and the names of the contract for what is', async () => {
    const registry = new Registry();
    const metrics = new BackupMetrics(registry);
    const reading = {
      success: new Map<string, number>(),
      bytes: new Map<string, number>(),
      proven: undefined,
      verdict: undefined,
      offsite: [],
      jobs: [{ name: 'backup', run: undefined, success: undefined, overdueSeconds: 0 }],
      limits: { rto: 3_600, rpo: 93_600 },
    };
    metrics.set(reading);
    const values = async () =>
      (await registry.metrics()).split('\n').filter((line) => line !== '' && !line.startsWith('#'));
    expect(await values()).toEqual([
      'appliance_schedule_overdue_seconds{job="backup"} 0',
      'appliance_backup_rto_limit_seconds 3600',
      'appliance_backup_rpo_limit_seconds 93600',
    ]);
    metrics.set({
      ...reading,
      success: new Map([['models', 100]]),
      bytes: new Map([['models', 5]]),
      proven: { at: 200, seconds: 12.5, ageSeconds: 60 },
      verdict: 'fail',
      offsite: [['nas', 90]],
      jobs: [{ name: 'backup', run: 100, success: 100, overdueSeconds: 7 }],
    });
    expect(await values()).toEqual(
      expect.arrayContaining([
        'appliance_backup_last_success_timestamp_seconds{component="models"} 100',
        'appliance_backup_bytes{component="models"} 5',
        'appliance_backup_last_proven_restore_timestamp_seconds 200',
        'appliance_backup_restore_duration_seconds 12.5',
        'appliance_schedule_last_run_timestamp_seconds{job="backup"} 100',
        'appliance_backup_offsite_last_success_timestamp_seconds{target="nas"} 90',
        'appliance_backup_drill_verdict -1',
      ]),
    );
  });
});
