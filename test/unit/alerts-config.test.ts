import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { alertmanagerConfig } from '../../src/capabilities/alerts/alertmanager-config.ts';
import { onCall } from '../../src/capabilities/alerts/rota.ts';
import { alertsSchema } from '../../src/config/alerts.ts';
import { parseConfig } from '../../src/config/load.ts';

const appliance = (alerts: string) => `name: shop
source: { repository: /srv/shop.git }
services: { web: { role: app } }
routes: [{ path: /, service: web, port: 8000 }]
alerts:
${alerts.replace(/^/gm, '  ')}`;

const problems = (alerts: string) =>
  parseConfig(appliance(alerts)).problems.map(({ line, path, message }) => `${line}: ${path}: ${message}`);

const good = `receivers:
  ops: { type: webhook, url: 'http://127.0.0.1:9/hook' }
  team: { type: slack, urlFile: /etc/appliance/slack, channel: '#alerts' }
  phone: { type: pagerduty, keyFile: /etc/appliance/pagerduty }
  mail: { type: email, to: [ops@example.com], from: a@example.com, server: 'mail.example.com:587', user: a, passwordFile: /etc/appliance/mail }
  manager: { type: webhook, urlFile: /etc/appliance/manager }
critical: [team, phone]
warning: [team]
info: [ops]
rota:
  start: 2026-01-05
  zone: Europe/Berlin
  people: [{ name: Ada, receivers: [phone] }, { name: Grace, receivers: [mail] }]
escalation: [{ after: 15m, to: [mail] }, { after: 30m, to: [manager] }]
deadman: ops`;
const alerts = alertsSchema.parse(parse(good));

describe('the section alerts', () => {
  it('is understood', () => {
    expect(problems(good)).toEqual([]);
  });

  it.each([
    ['receivers: { a: { type: webhook } }', 'alerts.receivers.a: webhook needs url or urlFile'],
    ['receivers: { a: { type: slack, url: "http://x.example/" } }', 'alerts.receivers.a: slack needs urlFile'],
    [
      'receivers: { a: { type: pagerduty, keyFile: /k, channel: "#x" } }',
      'alerts.receivers.a.channel: pagerduty has no channel; it takes keyFile',
    ],
    [
      'receivers: { a: { type: email, to: [o@example.com], from: a@example.com, server: "m.example:25", user: u } }',
      'alerts.receivers.a: user and passwordFile belong together',
    ],
    [
      'receivers: { a: { type: webhook, url: "http://x.example/", urlFile: /u } }',
      'alerts.receivers.a: url and urlFile exclude each other',
    ],
    [
      'receivers: { team: { type: slack, urlFile: /u } }\ncritical: [teem]',
      'alerts.critical[0]: there is no receiver teem; did you mean team?',
    ],
    [
      'receivers: { team: { type: slack, urlFile: /u } }\nescalation: [{ after: 30m, to: [team] }, { after: 15m, to: [team] }]',
      'alerts.escalation[1].after: each must come later than the one before',
    ],
    [
      'receivers: {}\nrota: { start: 2026-01-05, zone: Mars/Olympus, people: [{ name: A, receivers: [x] }] }',
      'alerts.rota.zone: write a time zone such as Europe/Berlin',
    ],
    [
      'receivers: { none: { type: slack, urlFile: /u } }',
      'alerts.receivers: none: this name means nobody; choose another',
    ],
  ])('%s is refused', (text, expected) => {
    expect(problems(text).join('\n')).toContain(expected);
  });
});

describe('the rota (S0-61)', () => {
  const rota = alerts.rota ?? expect.fail('no rota');
  it.each([
    ['2026-01-05T08:00:00Z', 'Ada'],
    ['2026-01-12T07:59:59Z', 'Ada'],
    ['2026-01-12T08:00:00Z', 'Grace'],
    ['2026-01-19T08:00:00Z', 'Ada'],
    // Summer time: nine o'clock in Berlin is an hour earlier in UTC, and stays the handover.
    ['2026-04-06T06:59:59Z', 'Ada'],
    ['2026-04-06T07:00:00Z', 'Grace'],
    // The week before the first one is the last person's.
    ['2026-01-04T12:00:00Z', 'Grace'],
  ])('at %s %s is on call', (time, name) => {
    expect(onCall(rota, Date.parse(time)).name).toBe(name);
  });
  it('says until when', () => {
    expect(onCall(rota, Date.parse('2026-01-05T08:00:00Z')).until).toBe('2026-01-12 09:00 Europe/Berlin');
  });
});

describe('alertmanager.yml', () => {
  const text = alertmanagerConfig({ alerts, onCall: ['phone'], secretDirectory: '/etc/alertmanager/secrets' });

  it('is as reviewed', async () => {
    await expect(text).toMatchFileSnapshot('golden/alertmanager.yml');
  });
  it('names files with secrets and holds none', () => {
    expect(text).toContain('api_url_file: /etc/alertmanager/secrets/team');
    expect(text).toContain('routing_key_file: /etc/alertmanager/secrets/phone');
    expect(text).toContain('auth_password_file: /etc/alertmanager/secrets/mail');
    expect(text).toContain('url_file: /etc/alertmanager/secrets/manager');
    expect(text).not.toContain('/etc/appliance');
  });
});
