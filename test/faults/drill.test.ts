import { appendFile, chmod, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { operationResultSchema } from '../../src/api/schema.ts';
import { alertmanagerConfig } from '../../src/capabilities/alerts/alertmanager-config.ts';
import { loadConfig } from '../../src/config/load.ts';
import { RunningAlertmanager } from '../support/alertmanager.ts';
import { HttpReceiver } from '../support/receivers.ts';
import { FaultLab } from './lab.ts';

// The drill of S1-42 with a real Alertmanager and a real receiver; the agent itself notices that the service is down.
const port = 29_312;
let lab: FaultLab;
let receiver: HttpReceiver;
let alertmanager: RunningAlertmanager;

const drill = async () => {
  const { exitCode, stdout } = await lab.run(['alerts', 'drill', 'backend', '--yes', '--json']);
  return { exitCode, result: operationResultSchema.parse(JSON.parse(stdout.split('\n').at(-1) ?? '')) };
};
const running = async () => {
  const { stdout } = await execa('docker', [
    ...['ps', '--quiet', '--filter', 'label=appliance.name=drilltest', '--filter', 'label=appliance.service=backend'],
  ]);
  return stdout.split('\n').filter((line) => line !== '').length;
};
const serves = async () => (await fetch(`http://127.0.0.1:${lab.options.port}/`)).status;
const quiet = () =>
  expect
    .poll(
      async () => (await alertmanager.client.alerts()).filter(({ labels }) => labels.service === 'backend').length,
      {
        timeout: 60_000,
        interval: 500,
      },
    )
    .toBe(0);

beforeAll(async () => {
  lab = await FaultLab.make({ name: 'drilltest', port: 28_592, pool: '10.239.0.0/16' });
  receiver = await HttpReceiver.start();
  await appendFile(
    lab.config,
    `alerts:
  alertmanager: http://127.0.0.1:${port}
  receivers: { ops: { type: webhook, url: "http://127.0.0.1:${receiver.port}/hook" } }
  critical: [ops]
`,
  );
  const directory = join(lab.root, 'alertmanager');
  await mkdir(directory);
  const { alerts = expect.fail('no alerts') } = await loadConfig(lab.config);
  await writeFile(
    join(directory, 'alertmanager.yml'),
    alertmanagerConfig({ alerts, onCall: [], secretDirectory: '/etc/alertmanager/secrets' }),
  );
  await chmod(lab.root, 0o755);
  alertmanager = await RunningAlertmanager.start({ appliance: 'drilltest', port, directory });
  await lab.release('v1', { schema: 1 });
  await lab.startAgent();
  expect((await lab.run(['deploy', 'v1'])).exitCode).toBe(0);
});
afterAll(async () => {
  await lab?.destroy();
  await alertmanager?.stop();
  await receiver?.stop();
});

describe('alerts drill', () => {
  it('stops the service, proves receipt within 60 s, measures it and starts the service again', async () => {
    const { exitCode, result } = await drill();
    expect(result).toMatchObject({ kind: 'drill', to: 'backend', result: 'done' });
    expect(exitCode).toBe(0);
    const receipt = result.steps.find(({ name }) => name === 'await-receipt');
    expect(receipt?.detail).toMatch(
      /^ServiceDown fired after [\d.]+ s and was accepted by ops \(webhook\) after [\d.]+ s$/,
    );
    expect(Number(/after ([\d.]+) s$/.exec(receipt?.detail ?? '')?.[1])).toBeLessThan(60);
    expect(receiver.received).toContainEqual(
      expect.objectContaining({
        status: 'firing',
        alerts: [
          expect.objectContaining({ labels: expect.objectContaining({ service: 'backend', severity: 'critical' }) }),
        ],
      }),
    );
    expect([await running(), await serves()]).toEqual([2, 200]);
    await quiet();
  });

  it('starts the service again when the agent is killed in the middle', async () => {
    await lab.order({ action: 'await-receipt', state: 'applying', after: 2_000 });
    await lab.stopAgent();
    await lab.startAgent();
    const cut = lab.run(['alerts', 'drill', 'backend', '--yes', '--json']);
    await expect.poll(running, { timeout: 120_000 }).toBe(0);
    expect((await cut).exitCode).toBe(8);
    await lab.stopAgent('SIGKILL');
    expect(await running()).toBe(0);
    await lab.startAgent();
    await lab.settled();
    expect([await running(), await serves()]).toEqual([2, 200]);
    const { stdout } = await lab.run(['operations', '--json']);
    expect(stdout).toContain('the drill was cut short');
  });

  it('stops nothing when it could prove nothing', async () => {
    const text = await readFile(lab.config, 'utf8');
    await writeFile(lab.config, text.replace('critical: [ops]', 'critical: []'));
    const { exitCode, result } = await drill();
    expect([exitCode, result.error?.code], JSON.stringify(result)).toEqual([2, 'alerts_off']);
    expect(result.steps.map(({ name, state }) => `${name} ${state}`)).toContain('stop-service pending');
    await writeFile(lab.config, text);
    expect((await lab.run(['alerts', 'drill', 'store', '--yes', '--json'])).exitCode).toBe(6);
    expect((await lab.run(['alerts', 'drill', 'backend', '--json'])).exitCode).toBe(2);
    expect(await running()).toBe(2);
  });
});
