import { chmod, mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { alertsSchema, alertsTestSchema } from '../../src/api/alerts.ts';
import { statusSchema } from '../../src/api/schema.ts';
import { awaitReceipt } from '../../src/capabilities/alerts/drill.ts';
import { installConfiguration } from '../../src/capabilities/alerts/install.ts';
import { loadConfig } from '../../src/config/load.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { asApplianceError } from '../../src/lib/errors.ts';
import { RunningAlertmanager } from '../support/alertmanager.ts';
import { HttpReceiver, MailServer } from '../support/receivers.ts';

// `appliance alerts` against a real Alertmanager, a real HTTP receiver and a real SMTP server. Nothing is deployed here.
const name = 'alerttest';
const port = 29_311;
let root: string;
let http: HttpReceiver;
let mail: MailServer;
let alertmanager: RunningAlertmanager;
const secret = (file: string) => join(root, 'etc', file);
const directory = () => join(root, 'lib/monitoring/alertmanager');

const run = async (...args: string[]) => {
  const main = join(import.meta.dirname, '../../src/main.ts');
  const { exitCode, stdout, stderr } = await execa(process.execPath, ['--no-warnings', main, ...args], {
    reject: false,
    stdin: 'ignore',
    env: { APPLIANCE_ROOT: root },
    timeout: 120_000,
  });
  return { exitCode, stdout, stderr };
};
const json = async <T>(schema: z.ZodType<T>, ...args: string[]) => {
  const { exitCode, stdout } = await run(...args, '--json');
  return { exitCode, document: schema.parse(JSON.parse(stdout)) };
};
const alerts = async () => (await json(alertsSchema, 'alerts')).document;
const test = (...receivers: string[]) => json(alertsTestSchema, 'alerts', 'test', ...receivers);

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), `${name}-`));
  await chmod(root, 0o755);
  http = await HttpReceiver.start();
  mail = await MailServer.start('right');
  await mkdir(join(root, 'etc'));
  await writeFile(secret('hook'), `http://127.0.0.1:${http.port}/secret-token\n`, { mode: 0o600 });
  await writeFile(secret('password'), 'right\n', { mode: 0o600 });
  await writeFile(secret('chat'), `http://127.0.0.1:${http.port}/chat-secret\n`, { mode: 0o600 });
  await writeFile(secret('key'), 'routing-key\n', { mode: 0o600 });
  await writeFile(secret('wrong'), 'wrong\n', { mode: 0o600 });
  const mailbox = `type: email, to: [ops@example.com], from: a@example.com, server: "127.0.0.1:${mail.port}", tls: false, user: a`;
  await writeFile(
    join(root, 'etc/appliance.yaml'),
    `name: ${name}
source: { repository: ${root} }
services: { web: { role: app } }
routes: [{ path: /, service: web, port: 8000 }]
edge: { http: "127.0.0.1:28590", https: "127.0.0.1:28591" }
network: { pool: 10.238.0.0/16 }
monitoring: { alertmanager: { listen: "127.0.0.1:${port}" } }
alerts:
  receivers:
    ops: { type: webhook, urlFile: ${secret('hook')} }
    refusing: { type: webhook, url: "http://127.0.0.1:${http.port}/refuse" }
    mail: { ${mailbox}, passwordFile: ${secret('password')} }
    chat: { type: slack, urlFile: ${secret('chat')}, channel: "#alerts" }
    pager: { type: pagerduty, keyFile: ${secret('key')}, url: "http://127.0.0.1:${http.port}/pager" }
    badmail: { ${mailbox}, passwordFile: ${secret('wrong')} }
  critical: [ops, mail]
`,
  );
  http.answers.set('/refuse', 403);
  const config = await loadConfig(join(root, 'etc/appliance.yaml'));
  await installConfiguration(directory(), config.alerts ?? expect.fail('no alerts'), []);
  alertmanager = await RunningAlertmanager.start({ appliance: name, port, directory: directory() });
});
afterAll(async () => {
  await alertmanager?.stop();
  await Promise.all([http?.stop(), mail?.stop()]);
  await rm(root, { recursive: true, force: true });
});

describe('alerts test', () => {
  it('proves receipt by HTTP and by SMTP', async () => {
    const { exitCode, document } = await test('ops', 'mail');
    expect(document).toMatchObject({
      verdict: 'pass',
      checks: [
        { id: 'ops (webhook)', verdict: 'pass' },
        { id: 'mail (email)', verdict: 'pass' },
      ],
    });
    expect(exitCode).toBe(0);
    expect(http.received.map(({ path, receiver }) => [path, receiver])).toEqual([['/secret-token', 'ops']]);
    expect(mail.received.join()).toContain('ApplianceTest');
  });

  it('speaks to Slack and PagerDuty as they ask for it (S0-57, S0-61, S2-43)', async () => {
    http.answers.set('/pager', 202);
    const { exitCode, document } = await test('chat', 'pager');
    expect(document).toMatchObject({
      checks: [
        { id: 'chat (slack)', verdict: 'pass' },
        { id: 'pager (pagerduty)', verdict: 'pass' },
      ],
    });
    expect(exitCode).toBe(0);
    const bodies = (path: string) => http.posted.flatMap((one) => (one.path === path ? [one.body] : []));
    expect(bodies('/chat-secret')).toEqual([
      expect.objectContaining({
        channel: '#alerts',
        attachments: [expect.objectContaining({ title: expect.stringContaining('ApplianceTest') })],
      }),
    ]);
    expect(bodies('/pager')).toEqual([
      expect.objectContaining({
        routing_key: 'routing-key',
        event_action: 'trigger',
        dedup_key: expect.any(String),
        payload: expect.objectContaining({ summary: expect.stringContaining('ApplianceTest'), severity: 'info' }),
      }),
    ]);
  });

  it('fails visibly, with exit 3, on a wrong password and on a receiver that refuses', async () => {
    const { exitCode, document } = await test();
    expect(exitCode).toBe(3);
    const verdicts = Object.fromEntries(document.checks.map(({ id, verdict }) => [id, verdict]));
    expect(verdicts).toEqual({
      'ops (webhook)': 'pass',
      'refusing (webhook)': 'fail',
      'mail (email)': 'pass',
      'chat (slack)': 'pass',
      'pager (pagerduty)': 'pass',
      'badmail (email)': 'fail',
    });
    const said = (id: string) => document.checks.find((check) => check.id === id)?.observed;
    expect(said('badmail (email)')).toMatch(/auth|wrong password/i);
    expect(said('refusing (webhook)')).toContain('403');
    expect(JSON.stringify(document)).not.toContain('secret-token');
  });

  it('knows its receivers', async () => {
    const { exitCode, stdout } = await run('alerts', 'test', 'opps', '--json');
    expect(exitCode).toBe(6);
    expect(stdout).toContain('did you mean ops?');
  });
});

describe('secrets', () => {
  it('are copied for Alertmanager alone, and stand in no text', async () => {
    const { mode, uid } = await stat(join(directory(), 'secrets/mail'));
    expect([mode & 0o777, uid]).toEqual([0o600, 9093]);
    expect(await readFile(join(directory(), 'alertmanager.yml'), 'utf8')).not.toMatch(/secret-token|right/);
    expect((await run('config', 'show', '--json')).stdout).not.toMatch(/secret-token/);
  });

  it('that others may read are refused, and it is said which', async () => {
    await chmod(secret('password'), 0o644);
    await test('ops');
    const { alerts: firing } = await alerts();
    await chmod(secret('password'), 0o600);
    expect(firing).toMatchObject([
      { name: 'AlertingMisconfigured', source: 'agent', hint: `chmod 600 ${secret('password')}` },
    ]);
    await test('ops');
    expect((await alerts()).alerts).toEqual([]);
  });
});

describe('alerts', () => {
  const fire = async (labels: Record<string, string>, seconds = 300) =>
    alertmanager.client.post([
      {
        labels: { alertname: 'BackendDown', severity: 'critical', service: 'backend', ...labels },
        annotations: { summary: 'backend is down' },
        startsAt: new Date().toISOString(),
        endsAt: new Date(Date.now() + seconds * 1_000).toISOString(),
      },
    ]);

  it('are told within seconds, the same one once, and listed', async () => {
    http.received.length = 0;
    await fire({});
    await fire({});
    const isIt = ({ alerts: [alert] }: (typeof http.received)[number]) => alert?.labels.alertname === 'BackendDown';
    await http.await(isIt, 30_000);
    expect(http.received.filter(isIt)).toHaveLength(1);
    const { alertmanager: state, alerts: firing } = await alerts();
    expect(state).toEqual({ address: `http://127.0.0.1:${port}`, problem: null });
    expect(firing).toMatchObject([
      {
        name: 'BackendDown',
        severity: 'critical',
        state: 'firing',
        source: 'alertmanager',
        receivers: ['ops', 'mail'],
      },
    ]);
    const { document } = await json(statusSchema, 'status');
    expect(document.alerts).toMatchObject([{ severity: 'critical', summary: 'backend is down' }]);
  });

  it('can be acknowledged, with who and until when in the audit', async () => {
    const { exitCode } = await run('alerts', 'ack', 'BackendDown', '--for', '10m', '--comment', 'on it');
    expect(exitCode).toBe(0);
    expect((await alerts()).alerts).toMatchObject([{ name: 'BackendDown', state: 'acknowledged', by: 'root' }]);
    const audit = (await run('audit', '--json')).stdout;
    expect(audit).toMatch(/"action":"ack","target":"BackendDown [0-9a-f]{12}","result":"until 20/);
  });

  it('can be silenced and unsilenced', async () => {
    const made = await run('alerts', 'silence', 'service=frontend', '--for', '10m', '--json');
    const { id } = z.object({ id: z.string() }).parse(JSON.parse(made.stdout));
    await fire({ service: 'frontend', alertname: 'FrontendDown' });
    await expect
      .poll(async () => (await alerts()).alerts.find(({ name: n }) => n === 'FrontendDown')?.state, { timeout: 20_000 })
      .toBe('silenced');
    expect((await alerts()).silences.map(({ matchers }) => matchers)).toContain('service="frontend"');
    expect((await run('alerts', 'unsilence', id.slice(0, 8))).exitCode).toBe(0);
    expect((await run('audit', '--json')).stdout).toMatch(/"action":"silence","target":"service=\\"frontend\\""/);
    expect((await run('alerts', 'silence', 'nonsense')).exitCode).toBe(2);
    expect((await run('alerts', 'ack', 'BackendDwn')).stderr).toContain('did you mean BackendDown?');
  });

  it('that Alertmanager cannot give are said to be missing', async () => {
    await alertmanager.pause();
    try {
      const { exitCode, document } = await json(alertsSchema, 'alerts');
      const refused = await run('alerts', 'test', '--json');
      expect(exitCode).toBe(0);
      expect(document.alertmanager?.problem).toContain('did not answer within');
      expect(refused.exitCode).toBe(1);
      expect(refused.stdout).toContain('alertmanager_unreachable');
    } finally {
      await alertmanager.unpause();
    }
  });
});

describe('the drill', () => {
  it('fails with exit 3 when the alert fires and the receiver refuses it', async () => {
    // It counts what is delivered from its own beginning, before it asks for the stop.
    const counts = Promise.withResolvers<void>();
    const step = awaitReceipt({
      alerts: (await loadConfig(join(root, 'etc/appliance.yaml'))).alerts,
      alertmanager: () => alertmanager.client,
      accepted: async () => undefined,
      stoppedAt: async () => {
        counts.resolve();
        return Date.now() - 1_000;
      },
    }).bind({ service: 'reporter', limit: 15_000 });
    const context = {
      operation: 'drill-1',
      signal: new AbortController().signal,
      clock: systemClock,
      progress: () => undefined,
    };
    const waiting = step.apply(context).catch(asApplianceError);
    await counts.promise;
    await alertmanager.client.post([
      {
        labels: { alertname: 'ReporterDown', severity: 'critical', service: 'reporter', appliance_test: 'refusing' },
        annotations: { summary: 'reporter is down' },
        startsAt: new Date().toISOString(),
        endsAt: new Date(Date.now() + 60_000).toISOString(),
      },
    ]);
    const failure = await waiting;
    expect(failure).toMatchObject({ code: 'verdict_fail', exit: 3 });
    expect(String(failure)).toMatch(/ReporterDown fired after .*, but was refused by refusing within 15.0 s/);
  });
});
