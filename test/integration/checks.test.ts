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
  it('smoke tests run on the colour and through the edge, and stay with the release (S0-28, S1-33 to S1-36)', async () => {
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
    const yaml = await readFile(lab.config, 'utf8');
    await writeFile(lab.config, yaml.replace('"<html"', '"never written"'));
    const { exitCode, document } = await lab.json(['deploy', 'v1.0-p2', '--yes']);
    expect(exitCode).toBe(3);
    expect(document).toMatchObject({ result: 'failed', error: { code: 'verdict_fail' } });
    expect(await served()).toBe('v1.0');
    await writeFile(lab.config, yaml);
  });
  it('what must pass refuses a deploy before anything is touched', async () => {
    const yaml = await readFile(lab.config, 'utf8');
    await writeFile(
      lab.config,
      yaml
        .replace('run: [git, --version]', 'run: [git, nonsense]')
        .replace('  commands:', '  refuse: [preflight.command.tests]\n  commands:'),
    );
    const { exitCode, document } = await lab.json(['deploy', 'v1.0-p2', '--yes']);
    expect([exitCode, operationResultSchema.parse(document).steps.filter(({ state }) => state === 'done')]).toEqual([
      3,
      [],
    ]);
    await writeFile(lab.config, yaml);
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
  it('an agent answers the same', async () => {
    await lab.startAgent();
    expect((await check('preflight')).checks.length).toBeGreaterThan(10);
    await lab.stopAgent();
  });
});
