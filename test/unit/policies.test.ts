import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { metricNames, metricOf } from '../../src/config/metrics.ts';
import type { Policy } from '../../src/config/policy.ts';
import { latencyLimits, listPolicies, loadPolicy, parsePolicy } from '../../src/config/policy-load.ts';

const shipped = join(import.meta.dirname, '../../compose/policies');
const names = ['flash', 'iswitch', 'ml-pipeline', 'mlops', 'routing-ml'] as const;
const minute = 60_000;
const hour = 60 * minute;

async function read(name: string): Promise<Policy> {
  return (await loadPolicy(name, '/nowhere/appliance.yaml')).policy;
}

/** What the five documents state, by id: [policy, part of it, id, values]. */
const stated: [string, keyof Policy, string, Record<string, unknown>][] = [
  ['iswitch', 'gates', 'S0-34', { metric: 'server-errors', atMost: 0 }],
  ['iswitch', 'gates', 'S0-35', { metric: 'log-errors', atMost: 0 }],
  ['iswitch', 'gates', 'S0-36', { metric: 'errors', below: 0.001, for: 30 * minute }],
  ['iswitch', 'gates', 'S0-37', { metric: 'latency-mean', below: 0.1 }],
  ['iswitch', 'gates', 'S0-38', { metric: 'latency-p95', below: 0.2 }],
  ['iswitch', 'gates', 'S0-39', { metric: 'health', atLeast: 1 }],
  ['iswitch', 'gates', 'S0-40', { metric: 'accuracy', atLeast: 0.87 }],
  ['iswitch', 'rollback', 'S0-42', { metric: 'errors', above: 0.01, for: 5 * minute }],
  ['iswitch', 'rollback', 'S0-43', { metric: 'latency-p95', above: 0.5, for: 5 * minute }],
  ['iswitch', 'rollback', 'S0-44', { metric: 'accuracy', against: 'baseline', below: -0.1 }],
  ['iswitch', 'rollback', 'S0-45', { metric: 'log-critical', above: 0 }],
  ['iswitch', 'rollback', 'S0-46', { metric: 'database-failures', above: 0 }],
  ['iswitch', 'alerts', 'S0-55', { metric: 'errors', above: 0.01, severity: 'critical' }],
  ['iswitch', 'alerts', 'S0-55-count', { metric: 'server-errors', above: 10, over: 5 * minute, for: 10 * minute }],
  ['iswitch', 'alerts', 'S0-56', { metric: 'latency-mean', above: 0.2, over: 5 * minute, for: 15 * minute }],
  ['iswitch', 'alerts', 'S0-17', { metric: 'secret-age', above: 90 * 86_400 }],
  ['iswitch', 'investigate', 'S0-51', { metric: 'cache-hits', atMost: 0.3 }],
  ['routing-ml', 'gates', 'S1-54', { metric: 'log-errors', atMost: 0 }],
  ['routing-ml', 'gates', 'S1-55', { metric: 'latency-mean', below: 0.2 }],
  ['routing-ml', 'gates', 'S1-56', { metric: 'errors', below: 0.01 }],
  ['routing-ml', 'gates', 'S1-57-auth', { metric: 'refusals', below: 0.2 }],
  ['routing-ml', 'gates', 'S1-57-database', { metric: 'database-failures', atMost: 0 }],
  ['routing-ml', 'gates', 'S1-57-predictions', { metric: 'health', atLeast: 1 }],
  ['routing-ml', 'rollback', 'S1-66', { metric: 'errors', above: 0.1, for: 0 }],
  ['routing-ml', 'rollback', 'S1-67', { metric: 'health', atMost: 0, for: 5 * minute }],
  ['routing-ml', 'rollback', 'S1-68', { metric: 'data-corruption', above: 0, for: 0 }],
  ['routing-ml', 'byHand', 'S1-69', { action: 'rollback' }],
  ['routing-ml', 'investigate', 'S1-70', { metric: 'errors', between: [0.01, 0.1] }],
  ['routing-ml', 'investigate', 'S1-71', { metric: 'latency-mean', against: 'baseline', between: [0, 0.5] }],
  ['routing-ml', 'byHand', 'S1-72', { action: 'investigate' }],
  ['routing-ml', 'byHand', 'S1-73', { action: 'investigate' }],
  ['routing-ml', 'alerts', 'S1-38', { metric: 'availability', below: 1 }],
  ['routing-ml', 'alerts', 'S1-39', { metric: 'errors', above: 0.05 }],
  ['routing-ml', 'alerts', 'S1-40', { metric: 'training-failures', above: 0 }],
  ['routing-ml', 'alerts', 'S1-41', { metric: 'database-failures', above: 0 }],
  ['routing-ml', 'reviews', 'S1-92', { after: 24 * hour }],
  ['flash', 'rollback', 'S2-13', { metric: 'errors', above: 0.01 }],
  ['flash', 'rollback', 'S2-20', { metric: 'latency-p99', above: 0.5, for: 2 * minute, over: minute }],
  ['flash', 'investigate', 'S2-19', { metric: 'latency-p99', above: 0.3, for: 5 * minute }],
  ['flash', 'gates', 'S2-35', { metric: 'latency-p99', below: 0.2 }],
  ['flash', 'gates', 'S2-37', { metric: 'errors', below: 0.01 }],
  ['flash', 'alerts', 'S2-19', { metric: 'latency-p99', above: 0.3, for: 5 * minute, severity: 'warning' }],
  ['flash', 'alerts', 'S2-20', { metric: 'latency-p99', above: 0.5, for: 2 * minute, severity: 'critical' }],
  ['flash', 'alerts', 'S2-21', { metric: 'errors', above: 0.02, for: 5 * minute, severity: 'warning' }],
  ['flash', 'alerts', 'S2-22', { metric: 'errors', above: 0.05, for: minute, severity: 'critical' }],
  ['flash', 'alerts', 'S2-23', { metric: 'prediction-spread', below: 0.05, for: 10 * minute }],
  ['flash', 'alerts', 'S2-24', { metric: 'cpu', above: 0.8, for: 10 * minute }],
  ['flash', 'alerts', 'S2-25', { metric: 'memory', above: 0.9, for: 5 * minute }],
  ['flash', 'alerts', 'S2-28', { metric: 'secret-age', above: 90 * 86_400 }],
  ['flash', 'alerts', 'S2-38', { metric: 'cache-hits', below: 0.7 }],
  ['ml-pipeline', 'alerts', 'S3-20', { metric: 'errors', above: 0.05 }],
  ['ml-pipeline', 'alerts', 'S3-21', { metric: 'latency-p95', above: 1 }],
  ['ml-pipeline', 'alerts', 'S3-22', { metric: 'drift' }],
  ['ml-pipeline', 'alerts', 'S3-23', { metric: 'availability', below: 1 }],
  ['mlops', 'rollback', 'S4-11', { metric: 'errors', above: 0.001 }],
  ['mlops', 'rollback', 'S4-12', { metric: 'latency-p95', above: 0.12 }],
  ['mlops', 'rollback', 'S4-13', { metric: 'business', against: 'baseline', below: -0.05 }],
  ['mlops', 'byHand', 'S4-14', { action: 'rollback' }],
  ['mlops', 'byHand', 'S4-15', { action: 'rollback' }],
  ['mlops', 'alerts', 'S4-28', { metric: 'availability', below: 0.999, severity: 'critical' }],
  ['mlops', 'alerts', 'S4-29', { metric: 'latency-p95', above: 0.15, severity: 'critical' }],
  ['mlops', 'alerts', 'S4-30', { metric: 'errors', above: 0.005, severity: 'critical' }],
  ['mlops', 'byHand', 'S4-31', { action: 'alert' }],
  ['mlops', 'alerts', 'S4-32', { metric: 'revenue', against: 'day-before', below: -0.1, severity: 'critical' }],
  ['mlops', 'alerts', 'S4-33', { metric: 'resources', above: 0.8, severity: 'warning' }],
  ['mlops', 'alerts', 'S4-34', { metric: 'cache-hits', below: 0.7, severity: 'warning' }],
  ['mlops', 'alerts', 'S4-35', { metric: 'queue', above: 100, severity: 'warning' }],
  ['mlops', 'alerts', 'S4-36', { metric: 'accuracy', against: 'day-before', below: -0.03, severity: 'warning' }],
];

test.each(stated)('%s: %s has what %s states', async (name, list, id, values) => {
  const items: unknown = (await read(name))[list];
  expect(items).toContainEqual(expect.objectContaining({ id, ...values }));
});

test('the stages are those of S2 and S4; S0, S1 and S3 shift at once', async () => {
  const shares = async (name: string) => {
    const { canary } = await read(name);
    return canary?.stages.map(({ weight, for: time, every, ids }) => [ids[0], weight, time, every]);
  };
  expect(await shares('flash')).toEqual([
    ['S2-8', 5, 15 * minute, 5_000],
    ['S2-9', 25, 10 * minute, 5_000],
    ['S2-10', 50, 10 * minute, 5_000],
    ['S2-11', 75, 10 * minute, 5_000],
    ['S2-12', 100, 10 * minute, 5_000],
  ]);
  expect((await shares('mlops'))?.map((stage) => stage.slice(0, 3))).toEqual([
    ['S4-7', 5, 2 * hour],
    ['S4-8', 25, 6 * hour],
    ['S4-9', 50, 12 * hour],
    ['S4-10', 100, 0],
  ]);
  for (const name of ['iswitch', 'routing-ml', 'ml-pipeline']) expect(await shares(name)).toBeUndefined();
});

test('watch, drain and proof of a rollback are those of S0, S1 and S2', async () => {
  const iswitch = await read('iswitch');
  expect(iswitch.bake).toMatchObject({ for: 30 * minute, every: 10_000, ids: ['S0-33', 'S0-34'] });
  expect(iswitch.drain).toMatchObject({ limit: 300_000, ids: ['S0-41'] });
  expect(iswitch.reviews.map(({ id, after }) => [id, after])).toEqual([
    ['S0-58', hour],
    ['S0-59', 24 * hour],
    ['S0-60', 7 * 24 * hour],
  ]);
  expect((await read('routing-ml')).bake).toMatchObject({ for: hour, ids: ['S1-54', 'S1-55', 'S1-56', 'S1-57'] });
  // The watch in phases: each share has its own time and its own looks, and the last one is watched too.
  const mlops = await read('mlops');
  expect(mlops.bake).toMatchObject({ for: hour, every: 10_000, ids: ['S4-54'] });
  expect(mlops.canary?.stages.slice(0, 3).every((stage) => stage.for > 0 && stage.every === 10_000)).toBe(true);
  expect((await read('flash')).drain).toMatchObject({ limit: 5 * minute, ids: ['S2-14'] });
  for (const name of names)
    expect((await read(name)).verifyRollback).toEqual({ attempts: 30, every: 2_000, ids: ['S0-47'] });
});

test.each(names)('%s quotes a demand for every condition', async (name) => {
  const { gates, rollback, investigate, alerts, byHand, reviews, source } = await read(name);
  for (const { id } of [...gates, ...rollback, ...investigate, ...alerts, ...byHand, ...reviews])
    expect(id).toMatch(new RegExp(`^${source}-\\d+(-[a-z]+)?$`));
});

const small = `name: own
title: Own
canary:
  stages:
    - { weight: 10, for: 1m }
    - { weight: 100, for: 1m }
gates:
  - { id: a, metric: errors, below: 0.01 }
`;

test.each([
  ['stages that do not rise', ['weight: 100, for: 1m }', 'weight: 10, for: 1m }'], /^6:\d+ .*weight.*greater share/m],
  ['a last stage below 100', ['weight: 100', 'weight: 90'], /^6:.*must give 100/m],
  ['an unknown metric', ['metric: errors', 'metric: erors'], /^8:.*"erors" is not one of .*did you mean errors/m],
  ['a share in percent', ['below: 0.01', 'below: 10'], /^8:\d+ gates\[0\].below: impossible: .*0\.1\?/m],
  ['a limit that every value is beyond', ['below: 0.01', 'atLeast: 0'], /^8:.*impossible/m],
  ['a negative time to answer', ['errors, below: 0.01', 'latency-mean, below: -1'], /^8:.*impossible/m],
  ['a share of nothing', ['below: 0.01', 'atMost: 0'], /^8:.*no number of requests proves/m],
  ['a metric of no release', ['errors, below: 0.01', 'backup-age, below: 9'], /^8:.*says nothing about a release/m],
  ['no limit', [', below: 0.01', ''], /^8:.*needs one of above, below.*it has none/m],
  ['two limits', ['below: 0.01', 'below: 0.01, above: 0.2'], /^8:.*it has above and below/m],
  ['an interval from high to low', ['below: 0.01', 'between: [0.1, 0.01]'], /^8:.*0.1 is not less than 0.01/m],
  [
    'an id twice',
    ['below: 0.01 }', 'below: 0.01 }\n  - { id: a, metric: health, atLeast: 1 }'],
    /^9:.*a stands in gates\[0\]/m,
  ],
  [
    'copies that end before a look',
    ['gates:', 'shadow: { share: 10, for: 2s }\ngates:'],
    /^7:.*longer than the copies go on/m,
  ],
  ['copies of nothing', ['gates:', 'shadow: { share: 0, for: 2m }\ngates:'], /^7:\d+ shadow.share/m],
  ['an unknown key', ['below: 0.01', 'beneath: 0.01'], /^8:\d+ .*unknown key beneath/m],
  ['a window that does not fit', ['below: 0.01', 'below: 0.01, for: 1m, over: 7s'], /^8:.*not a multiple of over/m],
  ['a gate longer than its stage', ['below: 0.01', 'below: 0.01, for: 2h'], /^8:.*never pass a stage/m],
  [
    'a trigger longer than the rollout',
    ['gates:', 'rollback:\n  - { id: b, metric: errors, above: 0.5, for: 9m }\ngates:'],
    /^8:.*nobody watches/m,
  ],
  [
    'a gate for what is taken back',
    [
      'gates:',
      'rollback:\n  - { id: b, metric: health, above: 0.1 }\ngates:\n  - { id: c, metric: health, atLeast: 0.5 }',
    ],
    /^10:.*taken back by b/m,
  ],
  ['no gate', ['gates:\n  - { id: a, metric: errors, below: 0.01 }\n', ''], /needs at least one gate/m],
  ['a key twice', ['title: Own', 'title: Own\ntitle: Other'], /^3:1 .*second time/m],
  ['broken YAML', ['canary:', 'canary: ['], /^\d+:\d+ /m],
] as const)('refuses %s, with its line', (_, [from, to], message) => {
  const { value, problems } = parsePolicy(small.replace(from, to));
  expect(value).toBeNull();
  const text = problems.map(({ line, column, path, message: what }) => `${line}:${column} ${path}: ${what}`).join('\n');
  expect(text).toMatch(message);
});

let etc: string;
beforeEach(async () => {
  etc = await mkdtemp(join(tmpdir(), 'policies-'));
  await mkdir(join(etc, 'policies'));
});
afterEach(async () => rm(etc, { recursive: true, force: true }));

test('an own policy is found beside appliance.yaml and wins over one of the same name', async () => {
  const config = join(etc, 'appliance.yaml');
  await writeFile(join(etc, 'policies/own.yaml'), small);
  const text = await readFile(join(shipped, 'flash.yaml'), 'utf8');
  await writeFile(join(etc, 'policies/flash.yaml'), text.replace('title: FLASH', 'title: Mine'));
  expect((await listPolicies(config)).map(({ name, own }) => [name, own])).toEqual([
    ['flash', true],
    ['iswitch', false],
    ['ml-pipeline', false],
    ['mlops', false],
    ['own', true],
    ['routing-ml', false],
  ]);
  expect((await loadPolicy('own', config)).policy.canary?.stages).toHaveLength(2);
  expect((await loadPolicy('flash', config)).policy.title).toBe('Mine');
});

test('what cannot be used says so: exit 2 or 6, the line, and that nothing was touched', async () => {
  const config = join(etc, 'appliance.yaml');
  await writeFile(
    join(etc, 'policies/bad.yaml'),
    small.replace('name: own', 'name: bad').replace('errors', 'nonsense'),
  );
  await writeFile(join(etc, 'policies/other.yaml'), small);
  await expect(loadPolicy('bad', config)).rejects.toMatchObject({
    code: 'policy_invalid',
    exit: 2,
    left: 'nothing was touched',
    message: expect.stringMatching(/policies\/bad\.yaml:8:\d+: gates\[0\]\.metric: /),
  });
  await expect(loadPolicy('other', config)).rejects.toMatchObject({ code: 'policy_invalid' });
  await expect(loadPolicy('flush', config)).rejects.toMatchObject({
    code: 'policy_not_found',
    exit: 6,
    hint: 'did you mean flash?',
  });
  await expect(loadPolicy('../appliance', config)).rejects.toMatchObject({ code: 'policy_not_found' });
});

test('limits on times to answer are known before they are counted, those of own policies too', async () => {
  const config = join(etc, 'appliance.yaml');
  await writeFile(join(etc, 'policies/own.yaml'), small.replace('errors, below: 0.01', 'latency-p95, below: 0.257'));
  await writeFile(join(etc, 'policies/broken.yaml'), 'name: [');
  expect([...new Set(await latencyLimits(config))].sort((a, b) => a - b)).toEqual([
    0.1, 0.12, 0.15, 0.2, 0.257, 0.3, 0.5, 1,
  ]);
});

describe('the guide', () => {
  const page = readFile(join(import.meta.dirname, '../../docs/guide/policies.md'), 'utf8');

  test('lists every policy and every metric, with its source', async () => {
    const text = await page;
    for (const name of names) expect(text).toContain(`| \`${name}\` (`);
    const rows = [...text.matchAll(/^\| `([a-z0-9-]+)` \| (\w+) \| (.+) \|$/gm)].map(([, name, source, about]) => [
      name,
      source,
      about,
    ]);
    expect(rows).toEqual(metricNames.map((name) => [name, metricOf(name).source, metricOf(name).about]));
  });

  test('has an example that works', async () => {
    const [, example = ''] = /```yaml\n([\s\S]*?)```/.exec(await page) ?? [];
    expect(parsePolicy(example).problems).toEqual([]);
  });
});
