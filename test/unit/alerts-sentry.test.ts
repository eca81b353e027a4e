import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { alertMigrations, OwnAlerts } from '../../src/capabilities/alerts/own-alerts.ts';
import { Sentry } from '../../src/capabilities/alerts/sentry.ts';
import { alertsSchema } from '../../src/config/alerts.ts';
import { Alertmanager } from '../../src/host/alertmanager.ts';
import { openDatabase } from '../../src/host/sqlite.ts';
import type { Clock } from '../../src/lib/clock.ts';
import { HttpReceiver, MailServer } from '../support/receivers.ts';

// What the agent does when its Alertmanager is dead, with a real HTTP receiver and a real SMTP server.
let now: number;
const clock: Clock = { now: () => now, monotonic: () => now, sleep: async () => undefined };
let directory: string;
let http: HttpReceiver;
let mail: MailServer;
let own: OwnAlerts;

beforeEach(async () => {
  now = Date.parse('2026-01-05T12:00:00Z');
  directory = await mkdtemp(join(tmpdir(), 'sentry-'));
  http = await HttpReceiver.start();
  mail = await MailServer.start('right');
  own = new OwnAlerts(openDatabase(':memory:', [alertMigrations]), 'shop');
  await writeFile(join(directory, 'password'), 'right\n', { mode: 0o600 });
});
afterEach(async () => {
  await Promise.all([http.stop(), mail.stop(), rm(directory, { recursive: true, force: true })]);
});

const sentry = (critical: readonly string[]) =>
  new Sentry({
    alerts: alertsSchema.parse({
      receivers: {
        hook: { type: 'webhook', url: `http://127.0.0.1:${http.port}/hook` },
        refusing: { type: 'webhook', url: `http://127.0.0.1:${http.port}/refuse` },
        mail: {
          type: 'email',
          to: ['ops@example.com'],
          from: 'a@example.com',
          server: `127.0.0.1:${mail.port}`,
          tls: false,
          user: 'a',
          passwordFile: join(directory, 'password'),
        },
      },
      critical,
    }),
    // Nothing listens on the discard port.
    alertmanager: new Alertmanager('http://127.0.0.1:9', 500),
    directory: undefined,
    expectsWatchdog: true,
    own,
    clock,
    disk: { directory, freeBytes: async () => 1e9 },
    services: () => undefined,
  });
const names = () => own.active(now).map(({ labels }) => labels.alertname);

describe('a dead Alertmanager', () => {
  it('is told to the receivers of critical alerts without it, once', async () => {
    const watch = sentry(['hook', 'mail']);
    await watch.round();
    expect(names()).toEqual([]);
    now += 121_000;
    await watch.round();
    expect(names()).toEqual(['MonitoringDead']);
    expect(http.received).toMatchObject([
      { status: 'firing', receiver: 'hook', alerts: [{ labels: { alertname: 'MonitoringDead', appliance: 'shop' } }] },
    ]);
    expect(mail.received.join()).toContain('no alert can be delivered');
    now += 600_000;
    await watch.round();
    expect([http.received.length, mail.received.length]).toEqual([1, 1]);
  });

  it('is told again every minute until somebody accepts it', async () => {
    http.answers.set('/refuse', 500);
    const watch = sentry(['refusing']);
    now += 121_000;
    await watch.round();
    expect(http.received).toEqual([]);
    http.answers.delete('/refuse');
    now += 30_000;
    await watch.round();
    expect(http.received).toEqual([]);
    now += 31_000;
    await watch.round();
    await watch.round();
    expect(http.received).toHaveLength(1);
  });
});
