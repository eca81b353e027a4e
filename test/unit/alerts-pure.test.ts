import { beforeEach, describe, expect, it } from 'vitest';
import { escalations } from '../../src/capabilities/alerts/escalation.ts';
import { alertsOf } from '../../src/capabilities/alerts/events.ts';
import { diskAlert, timeUntilFull } from '../../src/capabilities/alerts/forecast.ts';
import { mentions } from '../../src/capabilities/alerts/mentions.ts';
import { alertMigrations, OwnAlerts } from '../../src/capabilities/alerts/own-alerts.ts';
import { delivered, judgeDelivery } from '../../src/capabilities/alerts/receipt.ts';
import { ServiceWatch } from '../../src/capabilities/alerts/services.ts';
import { shownAlerts } from '../../src/capabilities/alerts/view.ts';
import { monitoringAlert } from '../../src/capabilities/alerts/watchdog.ts';
import { type HeldAlert, parseDeliveries } from '../../src/host/alertmanager.ts';
import { openDatabase } from '../../src/host/sqlite.ts';

const minute = 60_000;
const start = Date.parse('2026-01-05T12:00:00Z');

const held = (labels: Record<string, string>, about: Partial<HeldAlert> = {}): HeldAlert => ({
  fingerprint: 'f',
  labels: { severity: 'critical', ...labels },
  annotations: { summary: 'it is broken' },
  startsAt: new Date(start).toISOString(),
  endsAt: new Date(start + 5 * minute).toISOString(),
  receivers: ['ops'],
  state: 'active',
  silencedBy: [],
  inhibitedBy: [],
  ...about,
});

describe('escalation (S0-61)', () => {
  const levels = [
    { after: 15 * minute, to: ['grace'] },
    { after: 30 * minute, to: ['manager'] },
  ];
  const levelsAt = (age: number, alert = held({ alertname: 'BackendDown' })) =>
    escalations([alert], levels, start + age).map(({ labels }) => labels.escalation);

  it.each([
    [14.9, []],
    [15, ['1']],
    [29.9, ['1']],
    [30, ['1', '2']],
  ])('after %s min levels %j are told', (minutes, expected) => {
    expect(levelsAt(minutes * minute)).toEqual(expected);
  });
  it.each([
    ['an acknowledged alert', held({ alertname: 'BackendDown' }, { state: 'suppressed', silencedBy: ['s'] })],
    ['a warning', held({ alertname: 'BackendDown', severity: 'warning' })],
    ['an escalation', held({ alertname: 'BackendDown', escalation: '1' })],
    ['a test', held({ alertname: 'ApplianceTest', appliance_test: 'ops' })],
    ['the sign of life', held({ alertname: 'Watchdog' })],
  ])('%s is not escalated', (_, alert) => {
    expect(levelsAt(60 * minute, alert)).toEqual([]);
  });
  it('keeps the labels, so that an acknowledgement silences it too', () => {
    const [posted] = escalations([held({ alertname: 'BackendDown', service: 'backend' })], levels, start + 15 * minute);
    expect(posted?.labels).toEqual({
      severity: 'critical',
      alertname: 'BackendDown',
      service: 'backend',
      escalation: '1',
    });
    expect(posted?.annotations.summary).toBe('unanswered for 15 min 00 s: it is broken');
  });
});

describe('forecast of the disk', () => {
  const falling = (bytesPerMinute: number, minutes: number, free = 1e9) =>
    Array.from({ length: minutes + 1 }, (_, i) => ({ at: start + i * minute, freeBytes: free - i * bytesPerMinute }));

  it('follows the line', () => {
    expect(timeUntilFull(falling(1e6, 60))).toBeCloseTo(940 * minute, -3);
  });
  it('says nothing of a disk that does not fill up, or of too short a time', () => {
    expect(timeUntilFull(falling(-1e6, 60))).toBeNull();
    expect(timeUntilFull(falling(0, 60))).toBeNull();
    expect(timeUntilFull(falling(1e6, 29))).toBeNull();
    expect(timeUntilFull([])).toBeNull();
  });
  it('warns within a day, and calls within four hours', () => {
    expect(diskAlert(falling(1e6, 60), '/var')?.severity).toBe('warning');
    expect(diskAlert(falling(8e6, 60), '/var')?.severity).toBe('critical');
    expect(diskAlert(falling(1e4, 60), '/var')).toBeNull();
  });
});

describe('the dead-man signal', () => {
  const alive = { answered: start, watchdog: start, problem: undefined };
  it('is silent for two minutes', () => {
    expect(monitoringAlert(alive, start + 2 * minute - 1)).toBeNull();
  });
  it('says which part is dead', () => {
    const now = start + 2 * minute;
    expect(monitoringAlert({ ...alive, problem: 'ECONNREFUSED' }, now)).toMatchObject({
      labels: { service: 'alertmanager' },
    });
    expect(monitoringAlert({ ...alive, answered: now }, now)).toMatchObject({ labels: { service: 'prometheus' } });
    expect(monitoringAlert({ ...alive, answered: now, watchdog: null }, now)).toBeNull();
  });
});

describe('receipt', () => {
  const metrics = (attempts: number, failed: number) =>
    parseDeliveries(
      [
        '# HELP alertmanager_notification_requests_total x',
        `alertmanager_notification_requests_total{integration="email",receiver_name="mail"} ${attempts}`,
        `alertmanager_notification_requests_failed_total{integration="email",receiver_name="mail"} ${failed}`,
        'alertmanager_notification_requests_total{integration="email",receiver_name="other"} 1e+06',
        'alertmanager_notifications_total{integration="email",receiver_name="mail"} 9',
      ].join('\n'),
    );
  const mail = { name: 'mail', type: 'email' } as const;

  it.each([
    [metrics(2, 1), metrics(3, 1), 'pass'],
    [metrics(2, 1), metrics(3, 2), 'fail'],
    [metrics(2, 1), metrics(5, 3), 'pass'],
    [metrics(2, 1), metrics(2, 1), 'inconclusive'],
    [[], [], 'inconclusive'],
  ])('%#: from counters alone', (before, after, verdict) => {
    expect(judgeDelivery(mail, delivered(before, after, mail), '1 s', undefined).verdict).toBe(verdict);
  });
  it('does not mistake an Alertmanager that started anew for a success', () => {
    expect(delivered(metrics(9, 0), metrics(0, 0), mail)).toEqual({ accepted: 0, refused: 0 });
  });
});

describe("the agent's own alerts", () => {
  let own: OwnAlerts;
  beforeEach(() => {
    own = new OwnAlerts(openDatabase(':memory:', [alertMigrations]), 'shop');
  });
  const names = (now: number) => own.active(now).map(({ labels }) => labels.alertname);

  it('are the same while name and labels are', () => {
    expect(own.raise({ name: 'A', severity: 'warning', summary: 'one' }, 1)).toBe(true);
    expect(own.raise({ name: 'A', severity: 'warning', summary: 'two' }, 2)).toBe(false);
    own.raise({ name: 'A', severity: 'warning', summary: 'other', labels: { service: 'b' } }, 3);
    expect(own.active(4)).toMatchObject([{ summary: 'other' }, { summary: 'two', startsAt: 1 }]);
  });
  it('are known on a full disk, and written down once there is room', () => {
    const database = openDatabase(':memory:', [alertMigrations]);
    const pages = Number(database.pragma('page_count', { simple: true }));
    database.pragma(`max_page_count = ${pages}`);
    own = new OwnAlerts(database, 'shop');
    const long = 'x'.repeat(20_000);
    own.raise({ name: 'A', severity: 'critical', summary: long }, 1);
    expect(names(2)).toEqual(['A']);
    expect(new OwnAlerts(database, 'shop').active(2)).toEqual([]);
    own.resolve('A', 3);
    expect(names(4)).toEqual([]);
    own.raise({ name: 'A', severity: 'critical', summary: long }, 5);

    database.pragma(`max_page_count = ${pages + 100}`);
    own.raise({ name: 'B', severity: 'warning', summary: 'there is room' }, 6);
    expect(new OwnAlerts(database, 'shop').active(7)).toMatchObject([{ summary: 'there is room' }, { startsAt: 5 }]);
  });
  it('end when they are resolved, or by themselves, and begin anew', () => {
    own.raise({ name: 'A', severity: 'info', summary: 'news', lasts: 10 }, 1);
    own.raise({ name: 'B', severity: 'critical', summary: 'bad' }, 1);
    expect(names(12)).toEqual(['B']);
    own.resolve('B', 13);
    expect(names(13)).toEqual([]);
    expect(own.ended(0, 20)).toHaveLength(2);
    own.raise({ name: 'B', severity: 'critical', summary: 'bad again' }, 20);
    expect(own.active(21)).toMatchObject([{ startsAt: 20, acknowledged: null }]);
  });
  it('are told of operations: a failed deploy goes on until one ends well', () => {
    const deploy = { kind: 'deploy', from: 'v1', to: 'v2', actor: 'anna', why: 'sick', hint: undefined };
    const take = (result: 'done' | 'rolled_back' | 'manual', now: number) => {
      const { resolve, raise } = alertsOf({ ...deploy, result });
      for (const name of resolve) own.resolve(name, now);
      for (const draft of raise) own.raise(draft, now);
    };
    take('rolled_back', 1);
    expect(own.active(2)).toMatchObject([
      { severity: 'warning', summary: 'deploy v2 by anna failed and was taken back to v1: sick' },
    ]);
    take('manual', 3);
    expect(names(4)).toEqual(['ManualIntervention', 'DeployFailed']);
    take('done', 5);
    expect(names(6)).toEqual(['Deployed']);
    expect(names(6 + 15 * minute)).toEqual([]);
  });
  it.each([
    ['up', ['ManualIntervention']],
    ['model-promote', ['ManualIntervention']],
    ['model-rollback', ['ManualIntervention']],
    ['down', []],
    ['restart', []],
  ])('call for no person any more after %s, if that brought things into order', (kind, resolved) => {
    const ended = { kind, from: null, to: null, actor: 'anna', why: undefined, hint: undefined };
    expect(alertsOf({ ...ended, result: 'done' })).toEqual({ resolve: resolved, raise: [] });
    expect(alertsOf({ ...ended, result: 'failed' }).resolve).toEqual([]);
  });
  it('are shown once when Alertmanager knows them too, and alone when it does not answer', () => {
    own.raise({ name: 'DeployFailed', severity: 'warning', summary: 'mine' }, start);
    const [mine] = own.active(start);
    const there = held(mine?.labels ?? {});
    expect(shownAlerts({ alerts: [there], silences: [] }, own.active(start), start)).toHaveLength(1);
    expect(shownAlerts(undefined, own.active(start), start)).toMatchObject([{ name: 'DeployFailed', source: 'agent' }]);
  });
  it('of services wait 20 s, mean all of its containers, and end with it', () => {
    const watch = new ServiceWatch(own);
    const replicas = (first: boolean, second: boolean) =>
      [first, second].map((well, index) => ({ name: `backend-${index}`, service: 'backend', well, state: 'exited' }));
    watch.look(replicas(false, true), start);
    watch.look(replicas(false, true), start + minute);
    expect(names(start + minute)).toEqual([]);
    watch.look(replicas(false, false), start + minute);
    watch.look(replicas(false, false), start + minute + 19_000);
    expect(names(start + minute + 19_000)).toEqual([]);
    watch.look(replicas(false, false), start + minute + 20_000);
    expect(names(start + minute + 20_000)).toEqual(['ServiceDown']);
    watch.look(replicas(true, false), start + 2 * minute);
    expect(names(start + 2 * minute)).toEqual([]);
  });
});

it.each([
  [{ service: 'backend' }, true],
  [{ container: 'shop-blue-backend-1' }, true],
  [{ service: 'backend2' }, false],
  [{ job: 'the-backends' }, false],
])('%j mentions backend: %s', (labels, expected) => {
  expect(mentions(labels, 'backend')).toBe(expected);
});
