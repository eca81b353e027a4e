import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { operationResultSchema, planSchema, releaseDetailSchema } from '../../src/api/schema.ts';
import { Lab } from '../support/appliance.ts';

// One appliance with the reference application. The tests build on each other.
const port = 28_930;
const report = z.object({
  verdict: z.string(),
  checks: z.array(z.object({ id: z.string(), verdict: z.string(), requirement: z.string(), observed: z.string() })),
});
let lab: Lab;

const sequences = `checks:
  smoke: [routing-ml, own]
  commands: [{ name: tests, run: [git, --version], ids: [S1-1] }]
  sequences:
    - { name: own, steps: [{ name: first, path: /, expect: { contains: "<html" } }] }
`;
const check = async (...args: string[]) => {
  const { exitCode, document } = await lab.json(['check', ...args]);
  return { exitCode, ...report.parse(document) };
};
const verdictOf = (seen: Awaited<ReturnType<typeof check>>, id: string) =>
  seen.checks.find((one) => one.id === id)?.verdict;
/** Does something under another appliance.yaml, which is put back whatever happens. */
async function withConfig(change: (yaml: string) => string, work: () => Promise<void>): Promise<void> {
  const yaml = await readFile(lab.config, 'utf8');
  expect(change(yaml)).not.toBe(yaml);
  await writeFile(lab.config, change(yaml));
  try {
    await work();
  } finally {
    await writeFile(lab.config, yaml);
  }
}
const served = async () => (await fetch(`http://127.0.0.1:${port}/health`)).headers.get('x-appliance-release');

beforeAll(async () => {
  lab = await Lab.make({ name: 'checktest', port, pool: '10.246.0.0/16', edit: (yaml) => `${yaml}\n${sequences}` });
});
afterAll(() => lab.destroy());

describe('before a first deploy, without an agent', () => {
  it('preflight looks at host and release (S1-3 to S1-7, S0-4, S0-5)', async () => {
    const seen = await check('preflight', '--tag', 'v1.0', '--policy', 'routing-ml');
    for (const name of ['engine', 'compose', 'ports', 'subnets', 'tag', 'changelog', 'clean-tree', 'command.tests'])
      expect([name, verdictOf(seen, `preflight.${name}`)]).toEqual([name, 'pass']);
    expect([0, 3, 4]).toContain(seen.exitCode);
    expect(seen.checks.find(({ id }) => id === 'preflight.cpu')?.requirement).toBe('S1-3');
  });
  it('config notices a mode, a default and a secret in the source (S1-8, S1-14, S2-3)', async () => {
    expect((await check('config', '--policy', 'routing-ml')).exitCode).toBe(0);
    const file = join(lab.root, 'etc/routing-ml.env');
    const before = await readFile(file, 'utf8');
    await writeFile(file, before.replace(/^JWT_SECRET=.*$/m, 'JWT_SECRET=change-me-please-or-else-somebody-will'));
    const seen = await check('config');
    expect([seen.exitCode, verdictOf(seen, 'config.secret-defaults')]).toEqual([3, 'fail']);
    await writeFile(file, before);
  });
  it('smoke has nothing to look at, which is no pass', async () => {
    expect(await check('smoke')).toMatchObject({ exitCode: 4, verdict: 'inconclusive' });
  });
  it('plan shows the verdicts', async () => {
    const { document } = await lab.json(['plan', 'v1.0']);
    expect(planSchema.parse(document).checks?.map(({ id }) => id)).toContain('preflight.disk');
  });
});

describe('in a deploy', () => {
  it('smoke tests run on the colour and through the edge, and stay with the release (S0-28, S1-33 to S1-36, S2-7)', async () => {
    const { exitCode, document } = await lab.json(['deploy', 'v1.0', '--yes']);
    expect([exitCode, document.error]).toEqual([0, undefined]);
    const result = operationResultSchema.parse(document);
    expect(result.steps.map(({ name }) => name)).toEqual(expect.arrayContaining(['check-host', 'smoke']));
    expect(result.steps.filter(({ name }) => name === 'smoke')).toHaveLength(2);
    expect(result.verdicts).toContainEqual(expect.objectContaining({ id: 'smoke.routing-ml.login', verdict: 'pass' }));
    const release = releaseDetailSchema.parse((await lab.json(['releases', 'show', 'v1.0'])).document);
    expect(release.checks?.map(({ id }) => id)).toEqual(expect.arrayContaining(['preflight.disk', 'smoke.own.first']));
  });
  it('a release that does not pass gets no request', async () => {
    await withConfig(
      (yaml) => yaml.replace('"<html"', '"never written"'),
      async () => {
        const { exitCode, document } = await lab.json(['deploy', 'v1.0-p2', '--yes']);
        expect([exitCode, document.error]).toEqual([3, expect.objectContaining({ code: 'verdict_fail' })]);
        expect(document.result).toBe('failed');
        expect(await served()).toBe('v1.0');
      },
    );
  });
  it('what must pass refuses a deploy before anything is touched', async () => {
    const refusing = (yaml: string) =>
      yaml
        .replace('run: [git, --version]', 'run: [git, nonsense]')
        .replace('  commands:', '  refuse: [preflight.command.tests]\n  commands:');
    await withConfig(refusing, async () => {
      const { exitCode, document } = await lab.json(['deploy', 'v1.0-p2', '--yes']);
      expect([exitCode, document.error]).toEqual([3, expect.objectContaining({ code: 'verdict_fail' })]);
      const { steps } = operationResultSchema.parse(document);
      expect(steps.filter(({ state }) => state === 'done')).toEqual([]);
    });
  });
});

describe('on a running release', () => {
  it.each(['routing-ml', 'flash', 'ml-pipeline', 'mlops'])('the sequence of %s passes', async (policy) => {
    const seen = await check('smoke', '--policy', policy);
    expect(seen.checks.filter(({ verdict }) => verdict !== 'pass')).toEqual([]);
  });
  it('says that it knows of no database whose tables it could look at (S0-12)', async () => {
    const seen = await check('smoke', '--policy', 'iswitch');
    expect(seen.checks.filter(({ verdict }) => verdict === 'fail').map(({ id }) => id)).toEqual([]);
    expect(verdictOf(seen, 'smoke.tables')).toBe('inconclusive');
  });
  it('security sees headers, TLS and rights, and no scanner (S1-18, S4-4, S4-6)', async () => {
    const seen = await check('security');
    for (const name of ['headers', 'tls', 'exposed-ports', 'metrics', 'root', 'mounts'])
      expect([name, verdictOf(seen, `security.${name}`)]).toEqual([name, 'pass']);
    expect(verdictOf(seen, 'security.rate-limit')).toBe('fail');
  });
  it('load sends what the policy asks for and counts it (S1-51)', async () => {
    const seen = await check('load', '--policy', 'routing-ml');
    const load = seen.checks.find(({ id }) => id === 'load.S1-51');
    expect(load?.observed).toMatch(/^1000 answers/);
  });
});

describe('through a running agent', () => {
  beforeAll(async () => {
    await lab.startAgent();
  });
  afterAll(() => lab.stopAgent());

  it('checklists answer the same (S0-26, S0-29, S0-30, S1-79, S1-81 to S1-84, S1-90)', async () => {
    expect((await check('preflight')).checks.length).toBeGreaterThan(10);
    const smoke = await check('smoke', '--policy', 'routing-ml');
    expect(smoke.checks.filter(({ verdict }) => verdict !== 'pass')).toEqual([]);
    expect(smoke.checks.flatMap(({ requirement }) => requirement.split(', '))).toEqual(
      expect.arrayContaining(['S0-26', 'S1-81', 'S1-82', 'S1-83', 'S1-84', 'S1-90']),
    );
  });
  it('a colour is asked for what the edge does not show (S3-9)', async () => {
    const colour = z.object({ release: z.object({ colour: z.string() }) });
    const { release } = colour.parse((await lab.json(['status'])).document);
    const seen = await check('smoke', '--policy', 'ml-pipeline', '--on', release.colour);
    for (const step of ['health', 'docs', 'metrics', 'stats'])
      expect([step, verdictOf(seen, `smoke.ml-pipeline.${step}`)]).toEqual([step, 'pass']);
  });
  it('a deploy whose smoke test fails ends, and production is as it was', async () => {
    const before = await lab.json(['ps']);
    await withConfig(
      (yaml) => yaml.replace('"<html"', '"never written"'),
      async () => {
        const { exitCode, document } = await lab.json(['deploy', 'v1.0-p2', '--yes']);
        expect([exitCode, document.error]).toEqual([3, expect.objectContaining({ code: 'verdict_fail' })]);
        expect(document.verdicts).toContainEqual(expect.objectContaining({ id: 'smoke.own.first', verdict: 'fail' }));
      },
    );
    expect(await served()).toBe('v1.0');
    const names = (seen: typeof before) =>
      z.array(z.object({ name: z.string(), since: z.string().nullable() })).parse(seen.documents[0]);
    const live = names(before);
    for (const one of names(await lab.json(['ps'])))
      if (live.some(({ name, since }) => name === one.name && since !== null)) expect(live).toContainEqual(one);
  });
  it('the looks after the deploy are scheduled, and one can be taken now (S0-58 to S0-60, S1-58 to S1-60)', async () => {
    const jobs = z.array(z.object({ name: z.string(), nextRun: z.string().nullable() }));
    const job = jobs.parse((await lab.json(['schedule'])).documents[0]).find(({ name }) => name === 'post-deploy');
    const { followUps = [], deployedAt } = releaseDetailSchema.parse(
      (await lab.json(['releases', 'show', 'v1.0'])).document,
    );
    expect(followUps.map(({ look }) => look)).toEqual(['hour', 'day', 'week']);
    expect(job?.nextRun).toBe(followUps[0]?.due);
    expect(Date.parse(followUps[0]?.due ?? '')).toBeGreaterThanOrEqual(Date.parse(deployedAt ?? '') + 3_600_000);
    expect((await lab.json(['schedule', 'run', 'post-deploy'])).exitCode).toBe(0);
    const after = releaseDetailSchema.parse((await lab.json(['releases', 'show', 'v1.0'])).document);
    const early = after.followUps?.find(({ look }) => look === 'early');
    expect(early?.checks.find(({ id }) => id === 'post-deploy.services')).toMatchObject({ verdict: 'pass' });
    expect(early?.checks.map(({ id }) => id)).toContain('post-deploy.memory-growth');
  });
  it('who asks too often is answered 429 by the edge, really (S1-17, S2-33)', async () => {
    const limited = (yaml: string) => yaml.replace(/^edge: \{/m, '$& rateLimit: { perSecond: 20, burst: 40 },');
    await withConfig(limited, async () => {
      const { exitCode, document } = await lab.json(['deploy', 'v1.0-p2', '--yes']);
      expect([exitCode, document.error]).toEqual([0, undefined]);
      const seen = await check('security');
      expect(seen.checks.find(({ id }) => id === 'security.rate-limit')).toMatchObject({
        verdict: 'pass',
        observed: expect.stringMatching(/^\d+ of 140 requests were answered 429$/),
      });
    });
  });
});
