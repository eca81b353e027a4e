import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { alertmanagerConfig } from '../../src/capabilities/alerts/alertmanager-config.ts';
import { alertsSchema } from '../../src/config/alerts.ts';

// What Alertmanager's own tool says of the configuration that we write.
const alerts = alertsSchema.parse(
  parse(`
receivers:
  ops: { type: webhook, url: 'http://127.0.0.1:9/hook' }
  team: { type: slack, urlFile: /x, channel: '#alerts' }
  phone: { type: pagerduty, keyFile: /x }
  grace: { type: pagerduty, keyFile: /x }
  mail: { type: email, to: [a@example.com, b@example.com], from: c@example.com, server: 'm.example.com:587', user: c, passwordFile: /x }
  manager: { type: webhook, urlFile: /x }
critical: [team, mail]
warning: [team]
escalation: [{ after: 15m, to: [grace] }, { after: 30m, to: [manager] }]
deadman: ops`),
);
let directory: string;

const amtool = (...args: string[]) =>
  execa(
    'docker',
    ['run', '--rm', '--network=none', '--volume', `${directory}:/etc/alertmanager:ro`, '--entrypoint', 'amtool'].concat(
      'appliance/alertmanager:1',
      args,
    ),
    { reject: false, timeout: 60_000 },
  );

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'amtool-'));
  await execa('chmod', ['755', directory]);
  const text = alertmanagerConfig({ alerts, onCall: ['phone'], secretDirectory: '/etc/alertmanager/secrets' });
  await writeFile(join(directory, 'alertmanager.yml'), text);
});
afterAll(() => rm(directory, { recursive: true, force: true }));

describe('amtool', () => {
  it('accepts the configuration', async () => {
    const { exitCode, stdout, stderr } = await amtool('check-config', '/etc/alertmanager/alertmanager.yml');
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' });
    expect(stdout).toContain('7 receivers');
  });

  it.each([
    ['a critical alert goes to its receivers and to whoever is on call', ['severity=critical'], 'team,mail,phone'],
    ['a warning', ['severity=warning'], 'team'],
    ['news that nobody wants', ['severity=info'], 'none'],
    ['an alert without a severity', ['alertname=Odd'], 'none'],
    ['after 15 minutes (S0-61)', ['severity=critical', 'escalation=1'], 'grace'],
    ['after 30 minutes (S0-61)', ['severity=critical', 'escalation=2'], 'manager'],
    ['a test goes to one receiver alone', ['severity=critical', 'appliance_test=mail'], 'mail'],
    ['the sign of life', ['alertname=Watchdog', 'severity=critical'], 'ops'],
  ])('routes %s', async (_, labels, receivers) => {
    const { exitCode, stdout } = await amtool(
      'config',
      'routes',
      'test',
      '--config.file=/etc/alertmanager/alertmanager.yml',
      `--verify.receivers=${receivers}`,
      ...labels,
    );
    expect(stdout.trim()).toBe(receivers);
    expect(exitCode).toBe(0);
  });
});
