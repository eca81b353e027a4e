import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { alertRules } from '../../src/agent/alert-rules.ts';
import { type Config, configSchema } from '../../src/config/schema.ts';
import { localTools } from '../../src/config/tools.ts';

// Whose alerts are in force: those that appliance.yaml names, else those of the policies in use.

let etc: string;
beforeEach(async () => {
  etc = await mkdtemp(join(tmpdir(), 'rules-'));
});
afterEach(() => rm(etc, { recursive: true, force: true }));

const base =
  'name: shop\nsource: { repository: /r }\nservices: { api: { role: app }, db: { role: core } }\nroutes: [{ path: /, service: api, port: 80 }]\n';
const own = (name: string, alert: string) => `name: ${name}
title: Own
alerts:
  - { id: a, name: ${alert}, severity: warning, metric: errors, above: 0.5, summary: many }
`;
const configOf = (more: Record<string, unknown>): Config =>
  configSchema.parse({
    name: 'shop',
    source: { repository: '/r' },
    services: { api: { role: 'app' } },
    routes: [{ path: '/', service: 'api', port: 80 }],
    ...more,
  });
const files = async (config: Config, rollout?: string) =>
  Object.keys((await alertRules(config, join(etc, 'appliance.yaml'), rollout)).files).filter((name) =>
    name.startsWith('policy'),
  );

test.each([
  ['nothing is said', { monitoring: {} }, undefined, []],
  ['deploys have a policy', { monitoring: {}, deploy: { policy: 'flash' } }, undefined, ['flash']],
  [
    'a rollout runs by another one',
    { monitoring: {}, deploy: { policy: 'flash' } },
    own('mine', 'Mine'),
    ['flash', 'mine'],
  ],
  ['a rollout runs by the same one', { monitoring: {}, deploy: { policy: 'flash' } }, own('flash', 'Mine'), ['flash']],
  [
    'they are named',
    { monitoring: { policies: ['mlops'] }, deploy: { policy: 'flash' } },
    own('mine', 'Mine'),
    ['mlops'],
  ],
  ['none are wanted', { monitoring: { policies: [] }, deploy: { policy: 'flash' } }, own('mine', 'Mine'), []],
])('%s', async (_, more, rollout, policies) => {
  expect(await files(configOf(more), rollout)).toEqual(policies.map((name) => `policy-${name}.yml`));
});

test('a rollout goes by its policy as it was when it began', async () => {
  const config = configOf({ monitoring: {}, deploy: { policy: 'mine' } });
  await mkdir(join(etc, 'policies'));
  await writeFile(join(etc, 'policies/mine.yaml'), own('mine', 'Changed'));
  const { files: texts } = await alertRules(config, join(etc, 'appliance.yaml'), own('mine', 'AsItWas'));
  expect(texts['policy-mine.yml']).toContain('AsItWas');
  expect(texts['policy-mine.yml']).not.toContain('Changed');
});

test.each([
  [
    'an alert that nobody measures, with what it takes',
    'monitoring: { policies: [mlops] }',
    [
      /^RevenueDropped \(mlops, S4-32\) is never raised: nobody measures revenue: .*file of metrics/,
      /S4-34/,
      /S4-35/,
      /S4-36/,
    ],
  ],
  [
    'connections without the service of the database',
    'monitoring: {}\ndeploy: { policy: routing-ml }',
    [/S1-40/, /S1-41/, /S1-59-connections.*monitoring\.database/],
  ],
  [
    'no connections with it',
    'monitoring: { database: { service: db } }\ndeploy: { policy: routing-ml }',
    [/S1-40/, /S1-41/],
  ],
  ['a policy that is not there', 'monitoring: { policies: [flush] }', [/there is no policy flush/]],
  ['nothing without monitoring', 'deploy: { policy: mlops }', []],
] as const)('config check warns of %s', async (_, more, expected) => {
  const file = join(etc, 'appliance.yaml');
  await writeFile(file, `${base}${more}\n`);
  const { problems, warnings } = await localTools.checkConfig({ root: undefined, file });
  expect(problems).toEqual([]);
  expect(warnings.map(({ message }) => message)).toEqual(expected.map((pattern) => expect.stringMatching(pattern)));
});

test('config check warns of own policies that nobody could deploy with, each by its own mistake', async () => {
  const file = join(etc, 'appliance.yaml');
  await writeFile(file, base);
  await mkdir(join(etc, 'policies'), { recursive: true });
  await writeFile(join(etc, 'policies/long.yaml'), 'x'.repeat(2_000_000));
  await writeFile(join(etc, 'policies/odd.yaml'), 'name: odd\nstages: 5\n');
  const { problems, warnings } = await localTools.checkConfig({ root: undefined, file });
  expect(problems).toEqual([]);
  expect(warnings.map(({ message }) => message)).toEqual([
    expect.stringMatching(/long\.yaml: it is 1\.9 MiB long, which no policy is/),
    expect.stringMatching(/odd\.yaml:1:1: title: is missing.*, and 1 more mistake/),
  ]);
});

test('config check warns of secrets of receivers that cannot be used', async () => {
  const file = join(etc, 'appliance.yaml');
  await writeFile(join(etc, 'open'), 'https://example.com/hook\n', { mode: 0o644 });
  const receivers = `gone: { type: slack, urlFile: ${etc}/gone }, open: { type: slack, urlFile: ${etc}/open }`;
  await writeFile(file, `${base}monitoring: {}\nalerts: { receivers: { ${receivers} }, critical: [gone, open] }\n`);
  const { problems, warnings } = await localTools.checkConfig({ root: undefined, file });
  expect(problems).toEqual([]);
  expect(warnings).toEqual([
    expect.objectContaining({
      path: 'alerts.receivers.gone',
      message: expect.stringContaining(`there is no ${etc}/gone`),
    }),
    expect.objectContaining({
      path: 'alerts.receivers.open',
      message: expect.stringContaining(`chmod 600 ${etc}/open`),
    }),
  ]);
});

test('a database that is no core service is a mistake', async () => {
  const file = join(etc, 'appliance.yaml');
  await writeFile(file, `${base}monitoring: { database: { service: bd } }\n`);
  const { problems } = await localTools.checkConfig({ root: undefined, file });
  expect(problems).toEqual([
    expect.objectContaining({ line: 5, message: expect.stringMatching(/no core service bd; did you mean db\?/) }),
  ]);
});
