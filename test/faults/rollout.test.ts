import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { OperationResult, Rollout } from '../../src/api/schema.ts';
import { eventSchema, operationResultSchema, rolloutSchema } from '../../src/api/schema.ts';
import { Load, type LoadReport } from '../support/load.ts';
import { expectConsistent } from './invariants.ts';
import { FaultLab } from './lab.ts';
import { expectNothingLost } from './traffic.ts';

// Progressive rollouts on real containers behind a real edge, under traffic, by policies of a few seconds. How they survive
// the death of their agent at each of their steps: crash-rollout.test.ts and crash-rollout-back.test.ts.
const port = 28_340;
let lab: FaultLab;
let live = '';
let count = 0;

const watched = 'every: 500ms, patience: 40s';
const errors = `
gates: [{ id: few-errors, metric: errors, below: 0.1 }]
rollback: [{ id: many-errors, metric: errors, above: 0.2 }]
`;
const policies = {
  quick: `
name: quick
title: two stages and a short watch
canary:
  stages:
    - { weight: 30, for: 2s, minRequests: 40, ${watched} }
    - { weight: 100, for: 2s, ${watched} }
bake: { for: 1s, ${watched} }
investigate: [{ id: curious, metric: request-rate, above: 0 }]
verifyRollback: { attempts: 10, every: 500ms }
${errors}`,
  patient: `
name: patient
title: a stage that ends when a person says so
canary:
  stages:
    - { weight: 40, for: 10m, ${watched} }
    - { weight: 100, for: 0s, ${watched} }
verifyRollback: { attempts: 10, every: 500ms }
${errors}`,
  watchful: `
name: watchful
title: a stage that ends by errors alone
canary:
  stages:
    - { weight: 30, for: 10m, minRequests: 40, ${watched} }
    - { weight: 100 }
verifyRollback: { attempts: 10, every: 500ms }
${errors}`,
  scarce: `
name: scarce
title: wants more requests than there are
canary:
  stages:
    - { weight: 50, for: 1s, every: 500ms, minRequests: 1000000, patience: 2s }
    - { weight: 100 }
${errors}`,
};

function traffic(good?: (status: number, release: string | undefined) => boolean): Load {
  return new Load({ port, path: '/work', keepAlive: 6, fresh: 3, pause: 10, ...(good ? { good } : {}) });
}

/** A good version; its number of answers before it begins to fail, when there is one. */
async function version(failsAfter?: number): Promise<string> {
  count += 1;
  const tag = `r${count}`;
  const server = await readFile(join(import.meta.dirname, 'app/server.pl'), 'utf8');
  // Its health stays good: only work fails, and only once there was enough of it.
  const failing = server
    .replace('while (my $header', 'my $asked = ""; while (my $header')
    .replace('last if $header', '$asked ||= $header; last if $header')
    .replace(
      '  print $client',
      `  my $is = $asked =~ m{/work} && ++$main::served > ${failsAfter} ? "500 Overloaded" : $status;\n  print $client`,
    )
    .replace('HTTP/1.1 $status', 'HTTP/1.1 $is');
  await lab.release(tag, { schema: 1, files: { 'server.pl': failsAfter === undefined ? server : failing } });
  return tag;
}

async function deploy(
  tag: string,
  policy: keyof typeof policies,
): Promise<{ exit: number; result: OperationResult; lines: string[] }> {
  const { exitCode, stdout } = await lab.run(['deploy', tag, '--policy', policy, '--json']);
  const lines = stdout.split('\n');
  const result = operationResultSchema.parse(JSON.parse(lines.at(-1) ?? ''));
  if (result.result === 'done') live = tag;
  return { exit: exitCode, result, lines };
}

/** Runs a verb on the rollout. */
async function tell(...args: string[]): Promise<Rollout> {
  const { exitCode, stdout, stderr } = await lab.run([...args, '--json']);
  expect(exitCode, stderr + stdout).toBe(0);
  return rolloutSchema.parse(JSON.parse(stdout));
}

/** Milliseconds from the verdict to all traffic on the old colour, by the events of a deploy. */
function wayBack(lines: readonly string[]): number {
  const events = lines.map((line) => eventSchema.safeParse(JSON.parse(line)).data);
  const at = (name: string, state: string): number => {
    const found = events.find((event) => event?.event === 'step' && event.name === name && event.state === state);
    return Date.parse(found?.time ?? '');
  };
  return at('shift-traffic', 'undone') - at('hold-stage', 'failed');
}

/** Waits until the running rollout is as it should be. */
async function until(what: (rollout: Rollout) => boolean): Promise<Rollout> {
  for (let last: unknown, deadline = Date.now() + 180_000; ; ) {
    const { rollout } = await lab.status();
    if (rollout && what(rollout)) return rollout;
    last = rollout ?? last;
    if (Date.now() > deadline) throw new Error(`it did not come to that: ${JSON.stringify(last)}`);
    await delay(50);
  }
}

beforeAll(async () => {
  lab = await FaultLab.make({ name: 'rolltest', port, pool: '10.230.0.0/16' });
  await mkdir(join(lab.root, 'etc/policies'));
  for (const [name, text] of Object.entries(policies))
    await writeFile(join(lab.root, `etc/policies/${name}.yaml`), text);
  await lab.startAgent();
  live = await version();
  expect(await lab.operate('deploy', { tag: live })).toMatchObject({ result: 'done' });
});
afterAll(() => lab.destroy());

describe('a rollout by policy, under load', () => {
  it('plans its stages with their time and changes nothing', async () => {
    const tag = await version();
    const { stdout } = await lab.run(['plan', tag, '--policy', 'quick', '--json']);
    const plan = JSON.parse(stdout);
    expect(plan).toMatchObject({ strategy: 'canary', policy: 'quick' });
    const holds = plan.steps.filter(({ action }: { action: string }) => action === 'hold-stage');
    expect(holds.map(({ seconds }: { seconds: number }) => seconds)).toEqual([2, 2, 1]);
    expect((await lab.status()).release?.tag).toBe(live);
  });

  it.each([
    [['--policy', 'quik'], 6, /did you mean quick/],
    [['--strategy', 'canary'], 2, /a canary needs a policy[\s\S]*patient, quick/],
    [['--strategy', 'recreate', '--policy', 'quick'], 2, /nothing to compare with/],
  ])('refuses deploy %j (exit %i)', async (options, exit, message) => {
    const { exitCode, stderr } = await lab.run(['deploy', `r${count}`, ...options]);
    expect(exitCode).toBe(exit);
    expect(stderr).toMatch(message);
    expect(await lab.status()).toMatchObject({ release: { tag: live }, operation: null });
  });

  it('passes through all stages and loses nothing', async () => {
    const before = live;
    const tag = await version();
    const clients = traffic();
    try {
      const { exit, result, lines } = await deploy(tag, 'quick');
      expect(result.error).toBeUndefined();
      expect(exit).toBe(0);
      expect(result).toMatchObject({ result: 'done', from: before, to: tag });
      expect(result.verdicts).toContainEqual(
        expect.objectContaining({ id: 'few-errors (stage 1, 30 %)', verdict: 'pass' }),
      );
      const weights = lines.map((line) => JSON.parse(line)).filter(({ event }) => event === 'rollout');
      expect([...new Set(weights.map(({ rollout }) => rollout.weight))]).toEqual([30, 100]);
      // What is only to be investigated is told, and nothing more.
      expect(result.verdicts).toContainEqual(
        expect.objectContaining({ id: 'curious (stage 1, 30 %)', verdict: 'fail', role: 'investigate' }),
      );
      const { alerts } = await lab.client((client) => client.ask('alerts', {}));
      expect(alerts.map(({ name }) => name)).toEqual(expect.arrayContaining(['Investigate', 'TrafficChanged']));
      await expectConsistent(lab, { tag, result: 'done' });
    } finally {
      await expectNothingLost(clients, { releases: [before, tag], reload: false });
    }
  });

  it('takes a release back by itself that fails only under load; no other answer is lost (S0-1, S0-2, S2-17)', async () => {
    const bad = await version(60);
    const clients = traffic((status, release) => (status === 200 || release === bad) && release !== undefined);
    let report: LoadReport;
    try {
      const { exit, result, lines } = await deploy(bad, 'watchful');
      expect(exit).toBe(1);
      // Five minutes are allowed. It takes a tenth of a second where nothing else happens.
      expect(wayBack(lines)).toBeLessThan(10_000);
      expect(result).toMatchObject({ result: 'rolled_back', error: { code: 'rollout_failed' } });
      expect(result.error?.message).toMatch(/many-errors: .*expected/);
      expect(result.verdicts).toContainEqual(expect.objectContaining({ verdict: 'fail', role: 'rollback' }));
      await expectConsistent(lab, { tag: live, result: 'rolled_back' });
    } finally {
      report = await clients.stop();
    }
    expect(report.losses).toEqual([]);
    expect(report.releases.get(bad)).toBeGreaterThan(60);
  });

  it('holds what lacks samples, says how many, and goes back when its patience ends (exit 4)', async () => {
    const clients = traffic();
    try {
      const { exit, result } = await deploy(await version(), 'scarce');
      expect(exit).toBe(4);
      expect(result).toMatchObject({ result: 'rolled_back', error: { code: 'verdict_inconclusive' } });
      expect(result.error?.message).toMatch(/needs \d+ more requests/);
    } finally {
      await expectNothingLost(clients, { releases: [live, `r${count}`], reload: false });
    }
  });
});

describe('a rollout that people steer', () => {
  it('is paused, resumed, promoted', async () => {
    const before = live;
    const tag = await version();
    const clients = traffic();
    try {
      const ended = deploy(tag, 'patient');
      await until(({ stage, findings }) => stage === 1 && findings.length > 0);
      expect((await tell('pause')).state).toBe('paused');
      const paused = await until(({ waiting }) => waiting?.startsWith('paused') ?? false);
      await delay(1_200);
      expect(await until(() => true)).toMatchObject({ stage: 1, weight: 40, secondsHeld: paused.secondsHeld });
      expect((await lab.status()).traffic).toMatchObject({ [await lab.idleColour()]: 40 });
      const text = await lab.run(['status']);
      expect(text.stdout).toMatch(new RegExp(`rollout\\s+${tag}, stage 1 of \\d+: 40 % .*policy patient \\(paused\\)`));
      expect((await lab.run(['deploy', tag])).exitCode).toBe(5);
      expect((await tell('resume')).state).toBe('running');
      await tell('promote');
      const { exit, result } = await ended;
      expect(exit).toBe(0);
      expect(result.steps.find(({ name }) => name === 'hold-stage')?.detail).toMatch(/passed by hand/);
      await expectConsistent(lab, { tag, result: 'done' });
    } finally {
      await expectNothingLost(clients, { releases: [before, tag], reload: false });
    }
  });

  it('is called off: all traffic is back within a second', async () => {
    const tag = await version();
    const clients = traffic();
    try {
      const ended = deploy(tag, 'patient');
      await until(({ stage, findings }) => stage === 1 && findings.length > 0);
      const { exitCode, stdout } = await lab.run(['abort', '--json']);
      expect(exitCode).toBe(0);
      expect(JSON.parse(stdout)).toMatchObject({ result: 'rolled_back', error: { code: 'rollout_aborted' } });
      expect((await ended).exit).toBe(1);
      await expectConsistent(lab, { tag: live, result: 'rolled_back' });
    } finally {
      await expectNothingLost(clients, { releases: [live, tag], reload: false });
    }
  });

  it('is called off before its first request', async () => {
    const ended = deploy(await version(), 'patient');
    await expect
      .poll(async () => (await lab.status()).operation?.kind, { timeout: 60_000, interval: 20 })
      .toBe('deploy');
    const { exitCode, stdout } = await lab.run(['abort', '--json']);
    expect(exitCode).toBe(0);
    expect(JSON.parse(stdout).result).toMatch(/failed|rolled_back/);
    expect((await ended).exit).toBeGreaterThan(0);
    await expectConsistent(lab, { tag: live });
  });

  it.each([['pause'], ['resume'], ['promote'], ['abort']])(
    '%s without a rollout is not found (exit 6)',
    async (verb) => {
      const { exitCode, stdout } = await lab.run([verb, '--json']);
      expect(exitCode).toBe(6);
      expect(JSON.parse(stdout)).toMatchObject({ error: { code: 'rollout_not_found' } });
    },
  );
});

describe('a rollout whose agent goes away', () => {
  it.each(['SIGKILL', 'SIGTERM'] as const)('by %s goes on where it was', async (signal) => {
    const before = live;
    const tag = await version();
    const clients = traffic();
    try {
      const ended = deploy(tag, 'patient').catch((error: unknown) => error);
      await until(({ secondsHeld }) => secondsHeld > 2);
      await lab.stopAgent(signal);
      await ended;
      // Nobody watches, and users are served by the same shares as before.
      await lab.startAgent();
      expect(await until(({ findings }) => findings.length > 0)).toMatchObject({ to: tag, stage: 1, weight: 40 });
      expect((await until(() => true)).secondsHeld).toBeGreaterThan(1.5);
      await tell('promote', '--all');
      live = tag;
      await expectConsistent(lab, { tag, result: 'done' });
    } finally {
      await expectNothingLost(clients, { releases: [before, tag], reload: false });
    }
  });

  it('can be called off without an agent', async () => {
    const tag = await version();
    const clients = traffic();
    try {
      const ended = deploy(tag, 'patient').catch((error: unknown) => error);
      await until(({ secondsHeld }) => secondsHeld > 1);
      await lab.stopAgent('SIGKILL');
      await ended;
      expect((await lab.run(['deploy', live, '--json'])).exitCode).toBe(5);
      expect((await lab.run(['abort', '--json'])).exitCode).toBe(0);
      await lab.startAgent();
      await expectConsistent(lab, { tag: live, result: 'rolled_back' });
    } finally {
      await expectNothingLost(clients, { releases: [live, tag], reload: false });
    }
  });
});
