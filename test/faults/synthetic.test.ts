import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { execa } from 'execa';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type OperationResult, operationResultSchema, type Rollout } from '../../src/api/schema.ts';
import { edgeFiles } from '../../src/capabilities/traffic/files.ts';
import { pathsFor } from '../../src/lib/paths.ts';
import { expectConsistent } from './invariants.ts';
import { FaultLab } from './lab.ts';

// Declared requests on real containers that no user asks for anything: what would wait for ever comes to a verdict.
const port = 28_690;
let lab: FaultLab;
let live = '';
let count = 0;

const stage = 'every: 500ms, patience: 60s';
const gates = 'gates: [{ id: few-errors, metric: errors, below: 0.05 }, { id: fast, metric: latency-p95, below: 2 }]';
const policies = {
  filled: `
name: filled
title: declared requests fill up what users do not send
canary:
  stages:
    - { weight: 50, for: 3s, minRequests: 60, ${stage} }
    - { weight: 100 }
synthetic: { most: 400 }
verifyRollback: { attempts: 10, every: 500ms }
rollback: [{ id: many-errors, metric: errors, above: 0.3 }]
${gates}`,
  unfilled: `
name: unfilled
title: the same, by users alone
canary:
  stages:
    - { weight: 50, for: 1s, minRequests: 60, every: 500ms, patience: 4s }
    - { weight: 100 }
verifyRollback: { attempts: 10, every: 500ms }
${gates}`,
  endless: `
name: endless
title: wants more than it may be given
canary:
  stages:
    - { weight: 50, for: 10m, minRequests: 1000000, ${stage} }
    - { weight: 100 }
synthetic: { most: 100000 }
verifyRollback: { attempts: 10, every: 500ms }
${gates}`,
};

/** A version that writes down every request with its mark, and does with those that bear it what `does` says. */
async function version(does = ''): Promise<string> {
  count += 1;
  const tag = `s${count}`;
  const server = await readFile(join(import.meta.dirname, 'app/server.pl'), 'utf8');
  const telling = server
    .replace('while (my $header', 'my ($asked, $mark) = ("", ""); while (my $header')
    .replace(
      'last if $header',
      '$asked ||= $1 if $header =~ m{^\\w+ (\\S+)}; $mark = "synthetic" if $header =~ /^x-appliance-synthetic: 1/i; last if $header',
    )
    .replace('  print $client', `  print "request $asked $mark\\n" if $asked ne "/health"; ${does}\n  print $client`);
  await lab.release(tag, { schema: 1, replicas: 2, files: { 'server.pl': telling } });
  return tag;
}

async function deploy(tag: string, policy: keyof typeof policies): Promise<{ exit: number; result: OperationResult }> {
  const { exitCode, stdout } = await lab.run(['deploy', tag, '--policy', policy, '--json']);
  const result = operationResultSchema.parse(JSON.parse(stdout.split('\n').at(-1) ?? ''));
  if (result.result === 'done') live = tag;
  return { exit: exitCode, result };
}

async function until(what: (rollout: Rollout) => boolean): Promise<Rollout> {
  for (let last: unknown, deadline = Date.now() + 180_000; ; ) {
    const { rollout } = await lab.status();
    if (rollout && what(rollout)) return rollout;
    last = rollout ?? last;
    if (Date.now() > deadline) throw new Error(`it did not come to that: ${JSON.stringify(last)}`);
    await delay(50);
  }
}

/** Lines `request /x synthetic` of each container of a colour. */
async function requests(colour: 'blue' | 'green'): Promise<string[][]> {
  const containers = (await lab.containers(colour)).filter(({ labels }) => labels['appliance.service'] === 'backend');
  return Promise.all(
    containers.map(async ({ id }) => {
      const { stdout } = await execa('docker', ['logs', id]);
      return stdout.split('\n').filter((line) => line.startsWith('request '));
    }),
  );
}
const sent = async (colour: 'blue' | 'green') => (await requests(colour)).flat().length;

/** Waits until what was under way when the last request was sent has been written down. @returns how many there were */
async function sentAtLast(colour: 'blue' | 'green'): Promise<number> {
  for (let last = await sent(colour); ; ) {
    await delay(1_000);
    const now = await sent(colour);
    if (now === last) return now;
    last = now;
  }
}

beforeAll(async () => {
  lab = await FaultLab.make({ name: 'synttest', port, pool: '10.244.0.0/16' });
  await writeFile(
    lab.config,
    `${await readFile(lab.config, 'utf8')}synthetic:\n  rate: 20\n  concurrency: 2\n  timeout: 1s\n  requests: [{ path: "/price?of=1" }, { method: POST, path: /order, body: "{}" }]\n`,
  );
  await mkdir(join(lab.root, 'etc/policies'));
  for (const [name, text] of Object.entries(policies))
    await writeFile(join(lab.root, `etc/policies/${name}.yaml`), text);
  await lab.startAgent();
  live = await version();
  const first = await lab.operate('deploy', { tag: live });
  expect(first, JSON.stringify(first.error)).toMatchObject({ result: 'done' });
});
afterAll(() => lab.destroy());

describe('a rollout that no user sends anything to', () => {
  it('passes by declared requests: marked, to every replica of the new colour, and to it alone', async () => {
    const before = live;
    const green = await lab.idleColour();
    const blue = green === 'green' ? 'blue' : 'green';
    const asked = await sent(blue);
    const { exit, result } = await deploy(await version(), 'filled');
    expect(result.error).toBeUndefined();
    expect(exit).toBe(0);
    expect(result).toMatchObject({ result: 'done', from: before });
    const seen = (id: string) => result.verdicts.find((one) => one.id === `${id} (stage 1, 50 %)`);
    expect(seen('few-errors')).toMatchObject({
      verdict: 'pass',
      observed: expect.stringMatching(/0 of (\d+) requests, \1 of all synthetic/),
    });
    expect(seen('synthetic')?.observed).toMatch(/^\d+ declared requests of s\d+ answered$/);
    const replicas = await requests(green);
    expect(replicas).toHaveLength(2);
    for (const lines of replicas) {
      expect(lines).toContain('request /price?of=1 synthetic');
      expect(lines).toContain('request /order synthetic');
    }
    // Not a flood: what was lacking, and what was under way between two looks.
    expect(replicas.flat().length).toBeGreaterThanOrEqual(60);
    expect(replicas.flat().length).toBeLessThan(160);
    expect(await sent(blue)).toBe(asked);
    // The figures of users know nothing of it.
    expect(await readFile(edgeFiles(pathsFor(lab.root)).accessLog, 'utf8')).not.toContain('/price');
  });

  it('is not filled up under a policy that does not say so (exit 4)', async () => {
    const { exit, result } = await deploy(await version(), 'unfilled');
    expect(exit).toBe(4);
    expect(result.error?.message).toMatch(/needs 60 more requests; none come at the moment/);
    expect(result.verdicts.filter(({ id }) => id.startsWith('synthetic'))).toEqual([]);
    await expectConsistent(lab, { tag: live, result: 'rolled_back' });
  });

  it.each([
    ['dies of them', 'exit 1 if $mark;'],
    ['hangs on them', 'sleep 30 if $mark;'],
    ['refuses them', '$status = $mark ? "500 No" : "200 OK";'],
  ])('is taken back when the new release %s, and does not hang', async (_, does) => {
    const began = performance.now();
    const { exit, result } = await deploy(await version(does), 'filled');
    expect(exit).toBe(1);
    expect(result).toMatchObject({ result: 'rolled_back', error: { code: 'rollout_failed' } });
    expect(performance.now() - began).toBeLessThan(180_000);
    await expectConsistent(lab, { tag: live, result: 'rolled_back' });
  });
});

describe('declared requests end', () => {
  it('with a pause, begin again with it, and end with the agent and with abort', async () => {
    const green = await lab.idleColour();
    const ended = deploy(await version(), 'endless').catch((error: unknown) => error);
    const hint = await until(({ waiting }) => /about .* at this rate/.test(waiting ?? ''));
    // A million at twenty a second.
    expect(hint.waiting).toMatch(/needs (?:9\d{5}|1000000) more requests, about (?:9|1\d) h/);
    expect((await lab.run(['pause'])).exitCode).toBe(0);
    await until(({ waiting }) => waiting?.startsWith('paused') ?? false);
    const paused = await sentAtLast(green);
    expect(paused).toBeGreaterThan(0);
    await delay(1_500);
    expect(await sent(green)).toBe(paused);
    expect((await lab.run(['resume'])).exitCode).toBe(0);
    await until(() => true);
    for (const late = Date.now() + 60_000; (await sent(green)) === paused; await delay(100))
      expect(Date.now()).toBeLessThan(late);
    await lab.stopAgent('SIGTERM');
    await ended;
    const stopped = await sentAtLast(green);
    await delay(1_000);
    expect(await sent(green)).toBe(stopped);
    await lab.startAgent();
    for (const late = Date.now() + 60_000; (await sent(green)) === stopped; await delay(100))
      expect(Date.now()).toBeLessThan(late);
    expect((await lab.run(['abort'])).exitCode).toBe(0);
    const after = await sentAtLast(green);
    await delay(1_000);
    expect(await sent(green)).toBe(after);
    await expectConsistent(lab, { tag: live, result: 'rolled_back' });
  });
});
