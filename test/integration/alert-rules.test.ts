import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { AlertingRule } from '../../src/capabilities/alerts/rule.ts';
import { ruleSet } from '../../src/capabilities/alerts/rules.ts';
import { applianceRules } from '../../src/capabilities/alerts/rules-appliance.ts';
import { prometheusConfig } from '../../src/capabilities/monitoring/prometheus-config.ts';
import type { Policy } from '../../src/config/policy.ts';
import { parsePolicy } from '../../src/config/policy-load.ts';
import { type AlertCase, promtool, ruleTest, type Series, step } from '../support/promtool.ts';
import { policyCase, testExpressions } from '../support/rule-inputs.ts';

const shipped = join(import.meta.dirname, '../../compose/policies');
const policies = readdirSync(shipped).map((file): Policy => {
  const { value } = parsePolicy(readFileSync(join(shipped, file), 'utf8'));
  if (!value) throw new Error(`${file} is no policy`);
  return value;
});
const measured = { metrics: testExpressions, database: { service: 'postgres' } };
const { files, unwatched } = ruleSet(policies, measured);
const rules = Object.fromEntries(Object.entries(files).map(([name, text]) => [`rules/${name}`, text]));

/** Quiet, loud, quiet again: five minutes each unless a rule looks further back. */
function applianceCase(alert: string, series: readonly Series[], phase = 300): AlertCase {
  const held = applianceRules.find((rule) => rule.alert === alert)?.for;
  const seconds = held === undefined ? 0 : Number.parseInt(held, 10) * (held.endsWith('m') ? 60 : 1);
  const loud = phase + seconds;
  return {
    alert,
    phases: [phase, loud, phase * 2],
    series,
    expect: [
      { at: phase - step, fires: false },
      ...(seconds > 2 * step ? [{ at: phase + seconds - 2 * step, fires: false }] : []),
      { at: phase + loud - step, fires: true },
      { at: phase + loud + phase * 2 - step, fires: false },
    ],
  };
}
const gauge = (name: string, ...values: number[]): Series => ({ name, kind: 'gauge', values });
const counter = (name: string, ...values: number[]): Series => ({ name, kind: 'counter', values });
const mtime = 'node_textfile_mtime_seconds{file="/textfile/appliance.prom"}';
const free = 'node_filesystem_avail_bytes{filesystem="state"}';
const size = gauge('node_filesystem_size_bytes{filesystem="state"}', 1e12, 1e12, 1e12);

const applianceCases: AlertCase[] = [
  applianceCase('EdgeDown', [gauge('up{job="edge"}', 1, 0, 1)]),
  applianceCase('ServiceDown', [
    gauge('up{job="app",service="backend",colour="blue",instance="1"}', 1, 0, 1),
    gauge('up{job="app",service="backend",colour="blue",instance="2"}', 0, 0, 1),
    // What has no traffic does not make up for it, and is not missed.
    gauge('up{job="app",service="backend",colour="green",instance="3"}', 0, 1, 0),
    gauge('appliance_edge_weight{colour="blue"}', 100, 100, 100),
    gauge('appliance_edge_weight{colour="green"}', 0, 0, 0),
  ]),
  // The time of the last write stands still, then goes on.
  applianceCase('AgentStale', [counter(mtime, step, 0, step * 2.5)]),
  applianceCase('DiskFullWithinADay', [size, ...falling(free, 4e11, 1e8)], 3_600),
  applianceCase('DiskFullWithinFourHours', [size, ...falling(free, 2e11, 2e8)], 1_800),
  applianceCase('ContainerNearMemoryLimit', [
    gauge('appliance_container_memory_bytes{container="backend-1"}', 50, 95, 50),
    gauge('appliance_container_memory_limit_bytes{container="backend-1"}', 100, 100, 100),
  ]),
  applianceCase(
    'ContainerRestarts',
    [counter('appliance_container_restarts_total{container="backend-1"}', 0, 1, 0)],
    600,
  ),
  ...[20, 10, 3].map((days) => applianceCase(`CertificateEndsIn${days}Days`, certificates(days))),
  applianceCase('StatusFails', [
    gauge('appliance_check_verdict{id="edge"}', 1, -1, 0),
    // What a checklist said last is no matter of now (S1-60).
    gauge('appliance_check_verdict{id="preflight.cpu"}', -1, 1, -1),
  ]),
  applianceCase('CheckFails', [
    gauge('appliance_check_verdict{id="post-deploy.logs"}', 1, -1, 0),
    // A service may have a dot in its name; what the status finds of it is no check of a list.
    gauge('appliance_check_verdict{id="service-load.one"}', -1, 0, -1),
  ]),
  applianceCase('TargetDown', [gauge('up{job="alertmanager"}', 1, 0, 1)]),
  applianceCase('MonitoringConfigurationRefused', [gauge('prometheus_config_last_reload_successful', 1, 0, 1)]),
  // Times of tests begin at zero: what lies in the future is young.
  applianceCase('BackupTooOld', [
    gauge('appliance_backup_last_success_timestamp_seconds{component="database:postgres/app"}', 1e6, -1e5, 1e6),
    gauge('appliance_backup_rpo_limit_seconds', 93_600, 93_600, 93_600),
  ]),
  applianceCase('RestoreProofTooOld', [
    gauge('appliance_backup_last_proven_restore_timestamp_seconds', 1e6, -3e5, 1e6),
  ]),
  applianceCase('RestoreTooSlow', [
    gauge('appliance_backup_restore_duration_seconds', 60, 4_000, 60),
    gauge('appliance_backup_rto_limit_seconds', 3_600, 3_600, 3_600),
  ]),
  applianceCase('OffsiteBackupTooOld', [
    gauge('appliance_backup_offsite_last_success_timestamp_seconds{target="nas"}', 1e6, -2e5, 1e6),
  ]),
  applianceCase(
    'NotificationsFail',
    [counter('alertmanager_notifications_failed_total{integration="slack",receiver_name="ops"}', 0, 1, 0)],
    600,
  ),
];

/** Of 90 days, with a day more than an alert allows, half a day less, and renewed; beside one of six days that is well. */
function certificates(days: number): Series[] {
  const day = 86_400;
  const series = (domain: string, lifetime: number, left: readonly number[]): Series[] => [
    gauge(`appliance_certificate_not_after_timestamp_seconds{domain="${domain}"}`, ...left),
    gauge(
      `appliance_certificate_not_before_timestamp_seconds{domain="${domain}"}`,
      ...left.map((seconds) => seconds - lifetime * day),
    ),
  ];
  return [
    ...series('shop.example', 90, [(days + 1) * day, (days - 0.5) * day, 90 * day]),
    ...series('short.example', 6, [2 * day, 2 * day, 2 * day]),
  ];
}

/** Free space that stands still, falls by an amount each step, and stands still again. */
function falling(name: string, from: number, perStep: number): Series[] {
  return [{ name, kind: 'gauge', values: [from, from, from], slope: [0, -perStep, 0] }];
}

describe('what Prometheus is told', () => {
  test('passes promtool check config, with every rule', async () => {
    const config = { 'prometheus.yml': prometheusConfig({ name: 'demo' }), ...rules };
    const { exitCode, output } = await promtool(config, ['check', 'config', 'prometheus.yml']);
    expect(output).toMatch(new RegExp(`${applianceRules.length} rules found`));
    expect(exitCode, output).toBe(0);
  });

  test('also with an Alertmanager elsewhere', async () => {
    const text = prometheusConfig({ name: 'demo', alertmanager: 'https://alerts.example.com/base' });
    const { exitCode, output } = await promtool({ 'prometheus.yml': text }, ['check', 'config', 'prometheus.yml']);
    expect(exitCode, output).toBe(0);
    expect(text).toContain('alerts.example.com:443');
  });

  test('passes promtool check rules', async () => {
    const { exitCode, output } = await promtool(rules, ['check', 'rules', '--lint-fatal', ...Object.keys(rules)]);
    expect(exitCode, output).toBe(0);
  });
});

describe('every alert', () => {
  test('is watched, carries its demand and says what to do or what it saw', () => {
    expect(unwatched).toEqual([]);
    const demands = policies.flatMap(({ alerts }) => alerts.map(({ id }) => id));
    const wanted = [38, 39, 40, 41].map((n) => `S1-${n}`);
    wanted.push('S1-58', 'S1-59', 'S0-17', 'S2-28', 'S1-59-connections', 'S1-60-backup', 'S1-60-certificate');
    wanted.push(...[19, 20, 21, 22, 23, 24, 25].map((n) => `S2-${n}`), ...[20, 21, 22, 23].map((n) => `S3-${n}`));
    wanted.push(...[28, 29, 30, 32, 33, 34, 35, 36].map((n) => `S4-${n}`), 'S0-55', 'S0-56');
    expect(demands).toEqual(expect.arrayContaining(wanted));
    const all: AlertingRule[] = [...applianceRules];
    for (const { labels, annotations } of all) {
      expect(labels.requirement).toMatch(/^S\d-\d+/);
      expect(annotations.summary).toBeTruthy();
      expect(annotations.hint).toBeTruthy();
    }
  });

  test('of a policy fires, is quiet and resolves when it should', async () => {
    const input: Record<string, string> = {};
    for (const policy of policies) {
      const name = `policy-${policy.name}.yml`;
      input[name] = files[name] ?? '';
      // What looks a day back is looked at once a minute, or it would take longer than all the rest.
      const [days, minutes] = [true, false].map((long) =>
        policy.alerts.filter(({ against }) => (against !== undefined) === long).map(policyCase),
      );
      input[`test-${policy.name}.yml`] = ruleTest([name], minutes ?? []);
      if (days && days.length > 0) input[`test-${policy.name}-days.yml`] = ruleTest([name], days, 60);
    }
    const tests = Object.keys(input).filter((name) => name.startsWith('test-'));
    const { exitCode, output } = await promtool(input, ['test', 'rules', ...tests]);
    expect(exitCode, output).toBe(0);
  });

  test('of the appliance itself, too', async () => {
    expect(applianceCases.map(({ alert }) => alert).sort()).toEqual(
      applianceRules.flatMap(({ alert }) => (alert === 'Watchdog' ? [] : [alert])).sort(),
    );
    const input = { 'a.yml': files['appliance.yml'] ?? '', 'test.yml': ruleTest(['a.yml'], applianceCases) };
    const { exitCode, output } = await promtool(input, ['test', 'rules', 'test.yml']);
    expect(exitCode, output).toBe(0);
  });

  test('the sign of life fires always, also where nothing can be measured', async () => {
    const never = {
      alert: 'Watchdog',
      phases: [60],
      series: [gauge('up{job="edge"}', 0)],
      expect: [{ at: 50, fires: true }],
    };
    const input = { 'a.yml': files['appliance.yml'] ?? '', 'test.yml': ruleTest(['a.yml'], [never]) };
    const { exitCode, output } = await promtool(input, ['test', 'rules', 'test.yml']);
    expect(exitCode, output).toBe(0);
  });

  test('a test that expects the wrong thing fails', async () => {
    const wrong = {
      alert: 'Watchdog',
      phases: [60],
      series: [gauge('up{job="edge"}', 0)],
      expect: [{ at: 50, fires: false }],
    };
    const input = { 'a.yml': files['appliance.yml'] ?? '', 'test.yml': ruleTest(['a.yml'], [wrong]) };
    expect((await promtool(input, ['test', 'rules', 'test.yml'])).exitCode).toBe(1);
  });
});

describe('an alert whose metric nobody measures', () => {
  test('is told of, not silently dropped', () => {
    const { unwatched: missing } = ruleSet(policies, { metrics: {} });
    expect(missing).toContainEqual(
      expect.objectContaining({
        policy: 'ml-pipeline',
        id: 'S3-22',
        why: expect.stringContaining('monitoring.metrics'),
      }),
    );
    // Each says what it takes: an expression, a file of metrics, the service of the database.
    expect(missing.map(({ id, why }) => `${id} ${why.split(': ')[0]}`)).toEqual([
      'S2-23 nobody measures prediction-spread',
      'S2-38 nobody measures cache-hits',
      'S3-22 nobody measures drift',
      'S4-32 nobody measures revenue',
      'S4-34 nobody measures cache-hits',
      'S4-35 nobody measures queue',
      'S4-36 nobody measures accuracy',
      'S1-40 nobody measures training-failures',
      'S1-41 nobody measures database-failures',
      'S1-59-connections nobody measures connections',
    ]);
    for (const { why } of missing) expect(why).toMatch(/monitoring\.(?:metrics|database)/);
    // Left out, or in force: every alert is one of both.
    const text = Object.values(ruleSet(policies, { metrics: {} }).files).join('\n');
    for (const { alerts, name } of policies)
      for (const { id } of alerts)
        expect(text.includes(`requirement: ${id}\n          policy: ${name}\n`), id).toBe(
          !missing.some((one) => one.id === id && one.policy === name),
        );
  });

  test('so is one that would compare with a release that may not be there', () => {
    const [policy] = policies.filter(({ name }) => name === 'mlops');
    if (!policy) throw new Error('mlops is shipped');
    const compared = policy.alerts.map((alert) => ({ ...alert, against: 'baseline' as const }));
    const { unwatched: missing } = ruleSet([{ ...policy, alerts: compared }], measured);
    expect(missing).toHaveLength(policy.alerts.length);
    for (const { why } of missing) expect(why).toContain('day-before');
  });

  test('a rate is never measured over fewer than four scrapes', () => {
    const [policy] = policies.filter(({ name }) => name === 'flash');
    if (!policy) throw new Error('flash is shipped');
    const hasty = policy.alerts.map((alert) => ({ ...alert, over: 5_000 }));
    const text = ruleSet([{ ...policy, alerts: hasty }], measured).files['policy-flash.yml'] ?? '';
    expect(text).toContain('[40s]');
    expect(text).not.toContain('[5s]');
  });
});
