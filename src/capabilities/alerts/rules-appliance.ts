import { watchdogName } from './labels.ts';
import type { AlertingRule } from './rule.ts';

const textfile = 'node_textfile_mtime_seconds{file="/textfile/appliance.prom"}';
const free = 'node_filesystem_avail_bytes';
const size = 'node_filesystem_size_bytes';
const backupAge = 'time() - max(appliance_backup_last_success_timestamp_seconds)';
const ends = 'appliance_certificate_not_after_timestamp_seconds';
const begins = 'appliance_certificate_not_before_timestamp_seconds';
/** Checks of lists carry the name of their list (docs/guide/checks.md), findings of the status no dot. */
const ofChecklists = '(preflight|config|smoke|load|security|post-deploy)[.].*';

function rule(
  alert: string,
  severity: 'critical' | 'warning' | 'info',
  requirement: string,
  what: { readonly expr: string; readonly for?: string; readonly summary: string; readonly hint: string },
): AlertingRule {
  const { expr, summary, hint, for: held } = what;
  return {
    alert,
    expr,
    ...(held === undefined ? {} : { for: held }),
    labels: { severity, requirement },
    annotations: { summary, hint },
  };
}

/**
 * A certificate that ends within so many days although somebody should have renewed it: of every kind, brought ones too
 * (S1-29). One that lives for less than 90 days is measured against its own lifetime, or each would fire before its time.
 */
function certificateRule(days: number, severity: 'critical' | 'warning' | 'info'): AlertingRule {
  const left = `(${ends} - time())`;
  return rule(`CertificateEndsIn${days}Days`, severity, 'S1-29', {
    expr: `${left} < ${days * 86_400} and ${left} / (${ends} - ${begins}) < ${(days / 90).toFixed(4)}`,
    summary: 'the certificate of {{ $labels.domain }} ends in {{ $value | humanizeDuration }} and was not renewed',
    hint: 'appliance certs status',
  });
}

/**
 * What is watched whatever the policy says: monitoring itself, the agent, and what runs out on any host (S1-58 to S1-60).
 */
export const applianceRules: readonly AlertingRule[] = [
  // Always fires: whoever stops hearing of it knows that monitoring is dead.
  rule(watchdogName, 'info', 'S1-60', {
    expr: 'vector(1)',
    summary: 'monitoring is alive',
    hint: 'nothing to do; its silence is the alarm',
  }),
  rule('EdgeDown', 'critical', 'S1-38', {
    expr: 'up{job="edge"} == 0',
    for: '20s',
    summary: 'the edge does not answer: no request reaches the application',
    hint: 'appliance up',
  }),
  rule('ServiceDown', 'critical', 'S1-38', {
    expr: 'max by (service) (up{job="app"} and on (colour) appliance_edge_weight > 0) == 0',
    for: '10s',
    summary: '{{ $labels.service }} is down: none of its containers answers',
    hint: 'appliance logs {{ $labels.service }}',
  }),
  rule('AgentStale', 'warning', 'S1-60', {
    expr: `time() - max(${textfile} or vector(0)) > 60`,
    for: '1m',
    summary: 'the agent has told nothing for {{ $value | humanizeDuration }}; traffic goes on without it',
    hint: 'appliance-service status',
  }),
  rule('DiskFullWithinADay', 'warning', 'S1-58', {
    expr: `predict_linear(${free}[1h], 86400) < 0 and ${free} / ${size} < 0.5`,
    for: '10m',
    summary: 'the file system of the {{ $labels.filesystem }} will be full within a day',
    hint: 'appliance releases prune',
  }),
  rule('DiskFullWithinFourHours', 'critical', 'S1-58', {
    expr: `predict_linear(${free}[30m], 14400) < 0 and ${free} / ${size} < 0.3`,
    for: '5m',
    summary: 'the file system of the {{ $labels.filesystem }} will be full within four hours',
    hint: 'appliance releases prune',
  }),
  rule('ContainerNearMemoryLimit', 'warning', 'S1-58', {
    expr: 'appliance_container_memory_bytes / appliance_container_memory_limit_bytes > 0.9',
    for: '5m',
    summary: '{{ $labels.container }} uses {{ $value | humanizePercentage }} of the memory that it may use',
    hint: 'appliance stats',
  }),
  rule('ContainerRestarts', 'warning', 'S1-60', {
    expr: 'increase(appliance_container_restarts_total[10m]) > 2',
    summary: '{{ $labels.container }} was restarted {{ $value | humanize }} times within ten minutes',
    hint: 'appliance logs {{ $labels.service }}',
  }),
  certificateRule(20, 'info'),
  certificateRule(10, 'warning'),
  certificateRule(3, 'critical'),
  rule('StatusFails', 'warning', 'S1-60', {
    expr: `appliance_check_verdict{id!~"${ofChecklists}"} < 0`,
    for: '5m',
    summary: 'the finding {{ $labels.id }} of the status has failed for five minutes',
    hint: 'appliance status',
  }),
  // A checklist is worked through now and then: what it said last is news of that time, not of now.
  rule('CheckFails', 'info', 'S1-60', {
    expr: `appliance_check_verdict{id=~"${ofChecklists}"} < 0`,
    summary: 'the check {{ $labels.id }} failed when it was made last',
    hint: 'appliance check {{ reReplaceAll "[.].*" "" $labels.id }}',
  }),
  rule('TargetDown', 'warning', 'S1-60', {
    expr: 'up{job!~"app|edge"} == 0',
    for: '1m',
    summary: '{{ $labels.job }} cannot be read: part of the picture is missing',
    hint: 'appliance up',
  }),
  rule('MonitoringConfigurationRefused', 'warning', 'S1-60', {
    expr: 'prometheus_config_last_reload_successful < 1',
    for: '1m',
    summary: 'Prometheus refuses its configuration and goes on with the one before',
    hint: 'appliance logs prometheus',
  }),
  // By metrics, so that it is also told of an agent that is dead or a schedule that is stuck.
  rule('BackupTooOld', 'critical', 'S1-46', {
    expr: `${backupAge} and on () (${backupAge}) / on () appliance_backup_rpo_limit_seconds > 1`,
    for: '10m',
    summary: 'the newest backup is {{ $value | humanizeDuration }} old',
    hint: 'appliance schedule says why; at once: appliance backup now',
  }),
  rule('RestoreProofTooOld', 'warning', 'S4-53', {
    expr: 'time() - appliance_backup_last_proven_restore_timestamp_seconds > 3 * 86400',
    for: '10m',
    summary: 'no backup was proven by a restore for {{ $value | humanizeDuration }}',
    hint: 'appliance backup drill',
  }),
  rule('RestoreTooSlow', 'warning', 'S4-53', {
    expr: 'appliance_backup_restore_duration_seconds > on () appliance_backup_rto_limit_seconds',
    summary: 'a restore takes {{ $value | humanizeDuration }}, longer than it may (backups.drill.rto)',
    hint: 'appliance backup show says what took how long; a faster disk, or a higher limit',
  }),
  rule('OffsiteBackupTooOld', 'warning', 'S1-48', {
    expr: 'time() - appliance_backup_offsite_last_success_timestamp_seconds > 50 * 3600',
    for: '10m',
    summary: 'no copy of the backups has reached {{ $labels.target }} for {{ $value | humanizeDuration }}',
    hint: 'appliance schedule run backup tries it again and says why',
  }),
  rule('NotificationsFail', 'critical', 'S1-60', {
    expr: 'sum by (integration) (increase(alertmanager_notifications_failed_total[5m])) > 0',
    for: '1m',
    summary: 'notifications by {{ $labels.integration }} are refused: somebody is not told',
    hint: 'appliance alerts test',
  }),
];
