import { existsSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { get } from 'node:http';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { operationResultSchema, type Rollout, releaseDetailSchema } from '../../src/api/schema.ts';
import { edgeFiles } from '../../src/capabilities/traffic/files.ts';
import { pathsFor } from '../../src/lib/paths.ts';
import { Load } from '../support/load.ts';
import { expectConsistent } from './invariants.ts';
import { FaultLab } from './lab.ts';

// Copies of requests for a release that has none yet, and what is in flight when a colour is stopped, on real containers
// behind a real edge, with an agent that dies.
const port = 28_710;
let lab: FaultLab;
let count = 0;

const policy = `
name: copied
title: copies first
shadow: { share: 100, for: 15s, every: 300ms }
canary:
  stages:
    - { weight: 50, for: 1s, minRequests: 20, every: 300ms, patience: 40s }
    - { weight: 100 }
gates: [{ id: few-errors, metric: errors, below: 0.2 }]
verifyRollback: { attempts: 10, every: 500ms }
`;

/** A version that answers `body`, and to `/slow` only after a minute. */
async function version(body: string): Promise<string> {
  count += 1;
  const tag = `c${count}`;
  const server = await readFile(join(import.meta.dirname, 'app/server.pl'), 'utf8');
  const changed = server
    .replace('while (my $header', 'my $asked = ""; while (my $header')
    .replace('last if $header', '$asked ||= $header; last if $header')
    .replace(
      '  print $client',
      '  if ($asked =~ m{/slow}) { if (fork) { close $client; next } sleep 60 }\n  print $client',
    )
    .replace('\\r\\nok', `\\r\\n${body}`);
  expect(changed).toContain(`${body}\\n`);
  await lab.release(tag, { schema: 1, files: { 'server.pl': changed } });
  return tag;
}

function traffic(): Load {
  return new Load({ port, path: '/work', keepAlive: 4, fresh: 2, pause: 20 });
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

const copying = () => existsSync(edgeFiles(pathsFor(lab.root)).shadow);

beforeAll(async () => {
  lab = await FaultLab.make({ name: 'shadowtest', port, pool: '10.245.0.0/16' });
  const text = await readFile(lab.config, 'utf8');
  await writeFile(lab.config, `${text.replace('drain: 2s', 'drain: 6s, retire: remove')}shadow: {}\n`);
  await mkdir(join(lab.root, 'etc/policies'));
  await writeFile(join(lab.root, 'etc/policies/copied.yaml'), policy);
  await lab.startAgent();
  expect(await lab.operate('deploy', { tag: await version('ok') })).toMatchObject({ result: 'done' });
});
afterAll(() => lab?.destroy());

describe('shadow traffic of a rollout', () => {
  it('survives its agent, ends before the first share, and loses nothing', async () => {
    const tag = await version('no');
    const clients = traffic();
    expect((await lab.run(['deploy', tag, '--policy', 'copied', '--detach'])).exitCode).toBe(0);
    const before = await until(({ kind, shadow }) => kind === 'shadow' && (shadow?.compared ?? 0) > 5);
    expect(before).toMatchObject({ weight: 0, stage: 1, stages: 2, shadow: { from: 'c1', to: tag, equal: 0 } });
    expect(before.findings.find(({ id }) => id === 'shadow')).toMatchObject({ verdict: 'fail', role: 'investigate' });
    const text = (await lab.run(['status'])).stdout;
    expect(text).toMatch(/stage 1 of 2: copies of requests alone/);
    expect(text).toMatch(
      /shadow: 0 of \d+ copies answered alike, \d+ with another body(?:, \d+ requests not copied)?; most often GET \/work: body/,
    );
    await lab.stopAgent('SIGKILL');
    expect(copying()).toBe(true);
    await delay(1_000);
    await lab.startAgent();
    await until(({ kind, shadow }) => kind === 'shadow' && (shadow?.compared ?? 0) > (before.shadow?.compared ?? 0));
    expect((await lab.settled()).release?.tag).toBe(tag);
    expect(copying()).toBe(false);
    const { requests, losses, releases } = await clients.stop();
    expect(losses).toEqual([]);
    expect(requests).toBeGreaterThan(100);
    expect([...releases.keys()]).toEqual(['c1', tag]);
    const told = (await lab.run(['releases', 'show', tag])).stdout;
    expect(told).toMatch(/Shadow traffic, beside c1\n {2}0 of \d+ copies answered alike[\s\S]*GET \/work +body +\d+/);
    const shown = JSON.parse((await lab.run(['releases', 'show', tag, '--json'])).stdout);
    const [entry] = releaseDetailSchema.parse(shown).history;
    expect(entry?.result).toBe('done');
    expect(entry?.shadow?.differentBody).toBeGreaterThan(before.shadow?.differentBody ?? 0);
    expect(entry?.shadow).toMatchObject({ from: 'c1', to: tag, share: 100, equal: 0, differentStatus: 0 });
    await expectConsistent(lab, { tag });
  });

  it('ends when the rollout is called off', async () => {
    const live = (await lab.status()).release?.tag ?? '';
    const tag = await version('ok');
    const clients = traffic();
    const deploying = lab.run(['deploy', tag, '--policy', 'copied', '--json']);
    await until(({ kind, shadow }) => kind === 'shadow' && (shadow?.compared ?? 0) > 5);
    expect((await lab.run(['abort'])).exitCode).toBe(0);
    const { stdout, exitCode } = await deploying;
    expect(exitCode).toBe(1);
    const result = operationResultSchema.parse(JSON.parse(stdout.split('\n').at(-1) ?? ''));
    expect(result.error?.message).toContain('before its first request');
    expect(result.shadow?.differentBody).toBeGreaterThan(5);
    expect(copying()).toBe(false);
    const { losses, releases } = await clients.stop();
    expect(losses).toEqual([]);
    expect([...releases.keys()]).toEqual([live]);
    await expectConsistent(lab, { tag: live });
  });
});

it('a deploy says who was still connected when the old colour was removed', async () => {
  const tag = await version('ok');
  const cut = new Promise<void>((resolve) => {
    get({ host: '127.0.0.1', port, path: '/slow?token=tell-nobody' }, (incoming) => {
      incoming.resume();
      incoming.on('end', resolve);
    }).on('error', () => resolve());
  });
  await delay(300);
  const { stdout, exitCode } = await lab.run(['deploy', tag, '--json']);
  expect(exitCode).toBe(0);
  const result = operationResultSchema.parse(JSON.parse(stdout.split('\n').at(-1) ?? ''));
  const [drain] = result.drains ?? [];
  expect(drain).toMatchObject({ limitSeconds: 6, open: 1, requests: [{ method: 'GET', path: '/slow' }] });
  expect(drain?.seconds).toBeGreaterThan(5.9);
  expect(drain?.requests[0]?.seconds).toBeGreaterThan(6);
  const detail = result.steps.find(({ name, detail }) => name === 'remove-colour' && detail !== '')?.detail;
  expect(detail).toMatch(
    /containers of (blue|green) removed; 1 connection was still open after \d+(?:\.\d+)? s .*GET \/slow/,
  );
  expect(JSON.stringify(result)).not.toContain('tell-nobody');
  await cut;
  // With nobody connected it says that, and says nothing to people.
  const next = await lab.run(['deploy', await version('ok')]);
  expect(next.exitCode).toBe(0);
  expect(next.stderr).not.toMatch(/still open/);
  await expectConsistent(lab, { tag: `c${count}` });
});
