import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { execa } from 'execa';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { EngineProxy } from './engine-proxy.ts';
import { expectConsistent } from './invariants.ts';
import { FaultLab } from './lab.ts';
import { expectNothingLost, startTraffic } from './traffic.ts';

// An engine that goes away and comes back, as it does when it is restarted. The containers go on (live-restore, or an
// engine that only hangs), so production must go on too, and every command must end with a clear word.
/** Milliseconds that the engine is away. */
const outage = 3_000;

let lab: FaultLab;
let proxy: EngineProxy;
let live = '';
let count = 0;

async function nextVersion(): Promise<string> {
  count += 1;
  await lab.release(`e${count}`, { schema: count });
  return `e${count}`;
}

beforeAll(async () => {
  lab = await FaultLab.make({ name: 'enginefault', port: 28_296, pool: '10.225.0.0/16' });
  proxy = await EngineProxy.open(join(lab.root, 'engine.sock'));
  await lab.startAgent({ DOCKER_HOST: proxy.host });
  for (let index = 0; index < 2; index += 1) {
    live = await nextVersion();
    expect(await lab.operate('deploy', { tag: live })).toMatchObject({ result: 'done' });
  }
});
afterAll(async () => {
  await lab.destroy();
  await proxy.cut();
});

describe('an engine that goes away during a deploy', () => {
  it.each(['build-images', 'start-core', 'migrate', 'start-colour'])(
    'at %s: the deploy is taken back once it answers again (exit 8)',
    async (step) => {
      const tag = await nextVersion();
      const clients = startTraffic(lab);
      try {
        let away: Promise<void> | undefined;
        const result = await lab.operate('deploy', { tag }, (event) => {
          if (event.event === 'step' && event.name === step) away ??= goAway();
        });
        await away;
        await lab.recovered();
        expect(result).toMatchObject({ result: 'failed', error: { code: 'engine_unreachable', exit: 8 } });
        await expectConsistent(lab, { tag: live });
      } finally {
        await expectNothingLost(clients, { releases: [live], reload: false });
      }
    },
  );

  it('in the middle of the shift: the deploy is finished, because traffic needs no engine', async () => {
    const before = live;
    live = await nextVersion();
    const clients = startTraffic(lab);
    try {
      let away: Promise<void> | undefined;
      const result = await lab.operate('deploy', { tag: live }, (event) => {
        if (event.event === 'step' && event.name === 'shift-traffic') away ??= goAway();
      });
      await away;
      await lab.recovered();
      expect(result).toMatchObject({ result: 'done' });
      await expectConsistent(lab, { tag: live });
    } finally {
      await expectNothingLost(clients, { releases: [before, live], reload: false });
    }
  });

  it('a command that hosts the deploy itself ends with 8 and says so', async () => {
    await lab.stopAgent();
    const tag = await nextVersion();
    let away: Promise<void> | undefined;
    const onStep = (name: string) => {
      if (name === 'start-colour') away ??= goAway();
    };
    const { exitCode, stdout } = await lab.followCli(['deploy', tag, '--yes'], onStep, { DOCKER_HOST: proxy.host });
    await away;
    expect(exitCode).toBe(8);
    expect(JSON.parse(stdout.split('\n').at(-1) ?? '')).toMatchObject({
      result: 'failed',
      error: { code: 'engine_unreachable', exit: 8, message: expect.stringContaining('Docker Engine') },
    });
    await lab.startAgent({ DOCKER_HOST: proxy.host });
    await expectConsistent(lab, { tag: live });
  });
});

describe('an engine that was killed', () => {
  it('has stopped what ran: the agent starts that again, and leaves alone what a person had stopped', async () => {
    const before = await running();
    const [byHand, ...others] = before.filter((name) => name.includes('backend'));
    expect(others.length).toBeGreaterThan(0);
    await execa('docker', ['stop', '--time', '0', String(byHand)]);
    const states = async () => (await lab.status()).services.map(({ state }) => state);
    await expect.poll(states, { timeout: 30_000 }).toContain('exited');
    await proxy.cut();
    // An engine that finds its containers alive stops them like this while it starts.
    await execa('docker', ['stop', '--time', '1', ...before]);
    await proxy.restore();
    await expect.poll(running, { timeout: 60_000, interval: 500 }).toEqual(before.filter((name) => name !== byHand));
    await execa('docker', ['start', String(byHand)]);
    await lab.recovered();
    await expectConsistent(lab, { tag: live });
  });

  it('together with the agent: the next agent finds all of it stopped, and starts it again', async () => {
    const serving = (await running()).filter((name) => name !== '');
    await lab.stopAgent('SIGKILL');
    await proxy.cut();
    await execa('docker', ['stop', '--time', '1', ...serving]);
    // Both come back at once, and the agent is the quicker one.
    await lab.startAgent({ DOCKER_HOST: proxy.host });
    await proxy.restore();
    await lab.recovered();
    await expect.poll(async () => (await lab.status()).verdict, { timeout: 60_000, interval: 500 }).toBe('pass');
    await expectConsistent(lab, { tag: live });
  });

  it('an appliance that was taken down stays down, whoever starts', async () => {
    expect(await lab.operate('down', {})).toMatchObject({ result: 'done' });
    await lab.stopAgent('SIGKILL');
    await lab.startAgent({ DOCKER_HOST: proxy.host });
    await delay(2_000);
    expect(await running()).toEqual(['']);
    expect(await lab.operate('up', {})).toMatchObject({ result: 'done' });
    await expectConsistent(lab, { tag: live });
  });
});

describe('an engine that does not answer', () => {
  beforeAll(async () => {
    await lab.stopAgent();
    await proxy.cut();
  });
  afterAll(() => proxy.restore());

  it.each([['deploy', 'e1', '--yes'], ['rollback', 'e1'], ['restart'], ['up'], ['ps'], ['logs']])(
    'appliance %s ends with 8',
    async (...args) => {
      const begun = Date.now();
      const { exitCode, stdout } = await lab.run([...args, '--json'], { DOCKER_HOST: proxy.host });
      expect(exitCode, stdout).toBe(8);
      expect(stdout).toContain('engine_unreachable');
      expect(Date.now() - begun).toBeLessThan(60_000);
    },
  );

  it('status answers all the same, and is no pass', async () => {
    const { exitCode, stdout } = await lab.run(['status', '--json'], { DOCKER_HOST: proxy.host });
    expect(exitCode).not.toBe(8);
    expect(JSON.parse(stdout)).toMatchObject({ release: { tag: live }, verdict: 'fail' });
  });
});

async function goAway(): Promise<void> {
  await proxy.cut();
  await delay(outage);
  await proxy.restore();
}

/** Names of the containers that run. */
async function running(): Promise<string[]> {
  const { stdout } = await execa('docker', [
    'ps',
    '--filter',
    'label=appliance.name=enginefault',
    '--format',
    '{{.Names}}',
  ]);
  return stdout.split('\n').sort();
}
