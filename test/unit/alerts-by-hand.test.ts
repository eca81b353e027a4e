import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Reported } from '../../src/agent/reported.ts';
import { AlertDesk, alertMigrations, OwnAlerts } from '../../src/capabilities/alerts/index.ts';
import { configSchema } from '../../src/config/schema.ts';
import { type Database, openDatabase } from '../../src/host/sqlite.ts';
import { FastClock } from '../support/fast-clock.ts';

// Conditions that only a person can see: S4-31, S4-14, S4-15, S1-69.

let etc: string;
let database: Database;
let clock: FastClock;
let own: OwnAlerts;
let told: number;

beforeEach(async () => {
  etc = await mkdtemp(join(tmpdir(), 'by-hand-'));
  database = openDatabase(':memory:', [alertMigrations]);
  clock = new FastClock();
  own = new OwnAlerts(database, 'shop');
  told = 0;
});
afterEach(async () => {
  database.close();
  await rm(etc, { recursive: true, force: true });
});

const countTold = async (): Promise<void> => {
  told += 1;
};
function reported(policy?: string, handIn = countTold): Reported {
  const config = configSchema.parse({
    name: 'shop',
    source: { repository: '/r' },
    services: { api: { role: 'app' } },
    routes: [{ path: '/', service: 'api', port: 80 }],
    ...(policy ? { deploy: { policy } } : {}),
  });
  const desk = new AlertDesk({ alerts: undefined, alertmanager: undefined, own, clock });
  return new Reported({ config, configPath: join(etc, 'appliance.yaml'), clock, desk, own, handIn });
}

test('a security incident is raised, told at once, and goes on until somebody says that it is over (S4-31)', async () => {
  const [alert] = await reported().raise('S4-31', 'ada', 'tokens in a public paste');
  expect(alert).toMatchObject({
    name: 'ReportedByHand',
    severity: 'critical',
    summary: 'a security incident was reported, as ada says: tokens in a public paste',
    labels: { requirement: 'S4-31', policy: 'mlops', appliance: 'shop' },
  });
  expect(told).toBe(1);
  await clock.sleep(30 * 86_400_000);
  expect(own.active(clock.now())).toHaveLength(1);
  expect(await reported().resolve('S4-31')).toMatchObject([{ labels: { requirement: 'S4-31' } }]);
  expect(told).toBe(2);
  expect(own.active(clock.now())).toEqual([]);
});

test('what should take a release back says how (S4-14, S1-69)', async () => {
  for (const id of ['S4-14', 'S1-69'])
    expect(await reported().raise(id, 'ada', '')).toMatchObject([
      { severity: 'critical', hint: expect.stringContaining('appliance rollback') },
    ]);
  expect(own.active(clock.now())).toHaveLength(2);
});

test('what is to be investigated is a warning; said twice, it is one alert with the newer words', async () => {
  await reported().raise('S1-73', 'ada', 'first');
  expect(await reported().raise('S1-73', 'grace', 'second')).toMatchObject([
    { severity: 'warning', summary: expect.stringMatching(/grace says: second$/) },
  ]);
  expect(own.active(clock.now())).toHaveLength(1);
});

test('an Alertmanager that does not answer loses nothing', async () => {
  const silent = reported(undefined, () => Promise.reject(new Error('no answer')));
  expect(await silent.raise('S4-31', 'ada', '')).toHaveLength(1);
  expect(own.active(clock.now())).toHaveLength(1);
});

test('an own policy that is in use goes before those that come along; a broken one is passed over', async () => {
  await mkdir(join(etc, 'policies'));
  const text = `name: own\ntitle: Own\nbyHand: [{ id: S4-31, text: the alarm bell rings, action: investigate }]\n`;
  await writeFile(join(etc, 'policies/own.yaml'), text);
  await writeFile(join(etc, 'policies/broken.yaml'), 'name: [');
  expect(await reported('own').raise('S4-31', 'ada', '')).toMatchObject([
    { severity: 'warning', summary: 'the alarm bell rings, as ada says', labels: { policy: 'own' } },
  ]);
});

test('what no policy knows, or nobody has reported, is not found (exit 6)', async () => {
  await expect(reported().raise('S4-41', 'ada', '')).rejects.toMatchObject({
    code: 'alert_not_found',
    exit: 6,
    hint: expect.stringMatching(/did you mean S4-14 or S4-31\?/),
  });
  await expect(reported().raise('breach', 'ada', '')).rejects.toMatchObject({
    hint: expect.stringContaining('S4-31 (a security incident was reported)'),
  });
  await expect(reported().resolve('S4-31')).rejects.toMatchObject({
    code: 'alert_not_found',
    hint: 'nothing is reported at the moment',
  });
  await reported().raise('S4-14', 'ada', '');
  await expect(reported().resolve('S4-31')).rejects.toMatchObject({ hint: 'what is: S4-14' });
  expect(own.active(clock.now())).toHaveLength(1);
});
