import { existsSync } from 'node:fs';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { systemClock } from '../../src/lib/clock.ts';
import { ask, startCrowd } from './edge-clients.ts';
import { awaitEdge, context, docker, type EdgeLab, openLab, quietly } from './edge-lab.ts';

describe('shifting traffic', () => {
  let lab: EdgeLab;
  const both = () =>
    lab.topologies({
      blue: { release: 'v1', addresses: [lab.address('blue', 11)] },
      green: { release: 'v2', addresses: [lab.address('green', 11)] },
    });
  const bodyOf = async (headers: Record<string, string> = {}) => (await ask(`${lab.url}/`, { headers })).body.trim();

  beforeAll(async () => {
    lab = await openLab({ name: 'shift', net: 10, http: 18080, https: 18081 });
    await lab.startRelease('blue', 'v1', 11);
    await lab.startRelease('green', 'v2', 11);
  });
  afterAll(() => lab?.close());

  test('before the first release every request gets the maintenance page, and no weights are known', async () => {
    const answer = await ask(`${lab.url}/anything`);
    expect(answer.status).toBe(503);
    expect(answer.headers['x-appliance-edge']).toBe('maintenance');
    expect(answer.headers['x-appliance-release']).toBe('none');
    expect(await lab.traffic.weights()).toBeNull();
    expect((await lab.traffic.status()).releases).toEqual({ blue: null, green: null });
  });

  test('configures once, then finds nothing to change', async () => {
    expect(await lab.configure(both())).toMatch(/serves generation/);
    const { generation } = await lab.traffic.status();
    expect(await lab.configure(both())).toMatch(/unchanged/);
    expect((await lab.traffic.status()).generation).toBe(generation);
    expect((await lab.traffic.status()).releases).toEqual({ blue: 'v1', green: 'v2' });
  });

  test('a shift flips every answer, of kept connections too', async () => {
    await lab.shift('blue', 'blue', 'v1');
    expect(await bodyOf()).toBe('v1');
    await lab.shift('blue', 'green', 'v2');
    const answers = await Promise.all(Array.from({ length: 50 }, () => bodyOf()));
    expect(new Set(answers)).toEqual(new Set(['v2']));
    expect(await lab.traffic.weights()).toEqual({ blue: 0, green: 100 });
  });

  test('20 shifts under clients that do not retry lose no request', async () => {
    const crowd = startCrowd(`${lab.url}/`, { kept: 32, fresh: 4 });
    for (let turn = 0; turn < 20; turn += 1) {
      const [from, to] = turn % 2 === 0 ? (['green', 'blue'] as const) : (['blue', 'green'] as const);
      await lab.shift(from, to, to === 'blue' ? 'v1' : 'v2');
      await systemClock.sleep(100);
    }
    const { requests, failed, reasons, releases } = await crowd.stop();
    expect([...reasons]).toEqual([]);
    expect(failed).toBe(0);
    expect(requests).toBeGreaterThan(1_000);
    expect([...releases.keys()].sort()).toEqual(['v1', 'v2']);
  });

  test('undo takes a shift back, also when it never began or was taken back already', async () => {
    const step = lab.traffic.shiftTraffic.bind({
      from: { blue: 0, green: 100 },
      to: { blue: 100, green: 0 },
      release: 'v1',
    });
    await step.undo?.(context());
    expect(await bodyOf()).toBe('v2');
    await step.apply(context());
    expect((await step.verify?.(context()))?.verdict).toBe('pass');
    expect(await bodyOf()).toBe('v1');
    await step.undo?.(context());
    await step.undo?.(context());
    expect(await bodyOf()).toBe('v2');
    expect((await step.verify?.(context()))?.verdict).toBe('fail');
  });

  test('a shift that was cut short after the file is finished by running it again', async () => {
    const weights = join(lab.paths.edge, 'state', 'weights.json');
    await writeFile(weights, '{"blue":100,"green":0}\n');
    expect(await lab.traffic.weights()).toEqual({ blue: 0, green: 100 });
    await lab.shift('green', 'blue', 'v1');
    expect(await bodyOf()).toBe('v1');
    await lab.shift('blue', 'green', 'v2');
  });

  test('a colour that the edge cannot reach gets no request, however healthy it is (S0-27)', async () => {
    await docker('network', 'disconnect', 'edgetest-shift-blue', lab.container);
    try {
      const crowd = startCrowd(`${lab.url}/`, { kept: 4, fresh: 2 });
      await expect(lab.shift('green', 'blue', 'v1')).rejects.toMatchObject({
        code: 'step_failed',
        left: expect.stringContaining('green 100 %'),
      });
      const { requests, failed, releases } = await crowd.stop();
      expect(failed).toBe(0);
      expect(requests).toBeGreaterThan(100);
      expect([...releases.keys()]).toEqual(['v2']);
    } finally {
      await docker('network', 'connect', '--ip', lab.address('blue', 2), 'edgetest-shift-blue', lab.container);
    }
    await lab.shift('green', 'blue', 'v1');
    await lab.shift('blue', 'green', 'v2');
  });

  test('where no address may preview, a shift is proven by what comes after it', async () => {
    const { traffic } = lab.withConfig({ edge: { internal: ['203.0.113.1'] } });
    await traffic.configureEdge.bind({ topologies: both() }).apply(context());
    const [from, to] = [
      { blue: 0, green: 100 },
      { blue: 100, green: 0 },
    ];
    expect(await traffic.shiftTraffic.bind({ from, to, release: 'v1' }).apply(context())).toMatch(/proven/);
    expect(await bodyOf()).toBe('v1');
    await lab.configure(both());
    await lab.shift('blue', 'green', 'v2');
  });

  test('a strict rate limit slows the proof down, but is no objection to the release', async () => {
    const { traffic } = lab.withConfig({ edge: { rateLimit: { perSecond: 2, burst: 2 } } });
    await traffic.configureEdge.bind({ topologies: both() }).apply(context());
    const [from, to] = [
      { blue: 0, green: 100 },
      { blue: 100, green: 0 },
    ];
    expect(await traffic.shiftTraffic.bind({ from, to, release: 'v1' }).apply(context())).toMatch(/proven/);
    await lab.configure(both());
    expect(await bodyOf()).toBe('v1');
    await lab.shift('blue', 'green', 'v2');
  });

  test('refuses to believe a shift to a colour that answers with another release', async () => {
    await expect(lab.shift('green', 'blue', 'v3')).rejects.toMatchObject({ code: 'step_failed' });
    await lab.shift('blue', 'green', 'v2');
  });

  test.each([
    ['one colour', { blue: 0, green: 100 }],
    ['a canary', { blue: 60, green: 40 }],
  ])('an edge that was killed comes back with %s', async (_name, to) => {
    const from = { blue: 0, green: 100 };
    await lab.traffic.shiftTraffic.bind({ from, to, release: 'v2' }).apply(context());
    await docker('kill', '--signal', 'KILL', lab.container);
    expect(existsSync(join(lab.paths.edge, 'run', 'control.sock'))).toBe(true);
    expect(await lab.traffic.weights()).toEqual(to);
    await docker('start', lab.container);
    await awaitEdge(lab.traffic);
    expect(await lab.traffic.weights()).toEqual(to);
    expect((await ask(`${lab.url}/`)).status).toBe(200);
  });

  test('a canary gives its share of clients to green, and a client stays where it was as the share grows (S3-25)', async () => {
    const at = async (green: number) => {
      const to = { blue: 100 - green, green };
      await lab.traffic.shiftTraffic.bind({ from: to, to, release: 'v2' }).apply(context());
    };
    await at(20);
    const first = await Promise.all(Array.from({ length: 600 }, () => ask(`${lab.url}/`)));
    const cookies = first.map((answer) => (answer.headers['set-cookie'] ?? []).join(';').split(';')[0] ?? '');
    expect(cookies.every((cookie) => /^appliance_bucket=\d{1,2}$/.test(cookie))).toBe(true);
    const green = first.filter((answer) => answer.body.trim() === 'v2').length;
    // 120 expected, standard deviation 9.8: six of them on either side.
    expect(green).toBeGreaterThan(60);
    expect(green).toBeLessThan(180);
    for (const share of [20, 50]) {
      await at(share);
      for (const [index, answer] of first.slice(0, 60).entries()) {
        const again = await ask(`${lab.url}/`, { headers: { cookie: `other=1; ${cookies[index]}` } });
        if (answer.body.trim() === 'v2') expect(again.body.trim()).toBe('v2');
        if (share === 20) expect(again.body).toBe(answer.body);
        expect(again.headers['set-cookie']).toBeUndefined();
      }
    }
    const users = Array.from({ length: 200 }, (_, index) => `user-${index}`);
    const twice = await Promise.all(
      users.map(async (user) => [
        await bodyOf({ 'x-appliance-sticky': user }),
        await bodyOf({ 'x-appliance-sticky': user }),
      ]),
    );
    expect(twice.every(([a, b]) => a === b)).toBe(true);
    expect(new Set(twice.map(([a]) => a))).toEqual(new Set(['v1', 'v2']));
    await lab.shift('blue', 'green', 'v2');
    expect((await ask(`${lab.url}/`)).headers['set-cookie']).toBeUndefined();
  });

  test('addresses decide, not names: containers made anew in the other order do not cross colours', async () => {
    await quietly('rm', '-f', '-v', 'edgetest-shift-blue-11', 'edgetest-shift-green-11');
    await lab.startRelease('green', 'v2', 11);
    await lab.startRelease('blue', 'v1', 11);
    expect(await bodyOf()).toBe('v2');
    await lab.shift('green', 'blue', 'v1');
    expect(await bodyOf()).toBe('v1');
  });

  test('an edge that is down: the error says so, and the files say what was before', async () => {
    await docker('kill', '--signal', 'KILL', lab.container);
    await expect(lab.shift('blue', 'green', 'v2')).rejects.toMatchObject({ code: 'edge_unreachable' });
    expect(await lab.traffic.weights()).toEqual({ blue: 100, green: 0 });
    expect(JSON.parse(await readFile(join(lab.paths.edge, 'state', 'weights.json'), 'utf8'))).toEqual({
      blue: 100,
      green: 0,
    });
    const step = lab.traffic.shiftTraffic.bind({
      from: { blue: 0, green: 100 },
      to: { blue: 100, green: 0 },
      release: 'v1',
    });
    await step.undo?.(context());
    expect(await lab.traffic.weights()).toEqual({ blue: 0, green: 100 });
    await docker('start', lab.container);
    await awaitEdge(lab.traffic);
    expect(await bodyOf()).toBe('v2');
  });

  test('damaged weights: requests get the maintenance page, nothing crashes, and a shift repairs it', async () => {
    await docker('stop', lab.container);
    await rm(join(lab.paths.edge, 'state', 'all-green'), { force: true });
    await writeFile(join(lab.paths.edge, 'state', 'weights.json'), '{"blue":100,"gre');
    await expect(lab.traffic.weights()).rejects.toMatchObject({ code: 'state_corrupt' });
    await docker('start', lab.container);
    await awaitEdge(lab.traffic);
    expect((await ask(`${lab.url}/`)).status).toBe(503);
    expect(await lab.traffic.weights()).toBeNull();
    await lab.shift('blue', 'green', 'v2');
    expect(await bodyOf()).toBe('v2');
  });
});
