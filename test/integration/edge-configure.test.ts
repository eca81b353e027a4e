import { existsSync, writeFileSync } from 'node:fs';
import { mkdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { renderEdge } from '../../src/capabilities/traffic/index.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { pause } from '../support/pause.ts';
import { ask, startCrowd } from './edge-clients.ts';
import { awaitEdge, context, docker, type EdgeLab, openLab } from './edge-lab.ts';

describe('configuring the edge', () => {
  let lab: EdgeLab;
  /** Blue as it is, and green at an address that differs from label to label: `v2` is another configuration than `v3`. */
  const only = (label: string) =>
    lab.topologies({
      blue: { release: 'v1', addresses: [lab.address('blue', 11)] },
      green: { release: label, addresses: [lab.address('green', 100 + Number(label.slice(1)))] },
    });
  const conf = () => join(lab.paths.edge, 'conf', 'nginx.conf');
  const generationOf = (text: string) => /# generation (\S+)/.exec(text)?.[1] ?? '';
  /** That nginx serves one configuration, and serves it well. */
  const expectServed = async (label: string) => {
    expect((await lab.traffic.status()).generation).toBe(generationOf(renderEdge(lab.config, only(label))));
    expect((await ask(`${lab.url}/`)).headers['x-appliance-release']).toBe('v1');
  };

  beforeAll(async () => {
    lab = await openLab({ name: 'configure', net: 20, http: 18082, https: 18083 });
    await lab.startRelease('blue', 'v1', 11);
    await lab.configure(only('v1'));
    await lab.shift('blue', 'blue', 'v1');
  });
  afterAll(() => lab?.close());

  test('what nginx refuses never stands on disk, and the old one goes on serving', async () => {
    const before = await readFile(conf(), 'utf8');
    const tall = { path: `/${'x'.repeat(5_000)}`, service: 'backend', port: 9000 };
    const { traffic } = lab.withConfig({ routes: [tall] });
    const step = traffic.configureEdge.bind({ topologies: only('v2') });
    await expect(step.apply(context())).rejects.toMatchObject({
      code: 'edge_refused',
      message: expect.stringMatching(/too long parameter/),
    });
    expect(await readFile(conf(), 'utf8')).toBe(before);
    expect(existsSync(`${conf()}.next`)).toBe(false);
    await step.undo?.(context());
    expect(await readFile(conf(), 'utf8')).toBe(before);
    await expectServed('v1');
  });

  test('what passes the test but fails in the running nginx is taken back from disk too', async () => {
    const before = await readFile(conf(), 'utf8');
    const key = join(lab.paths.edge, 'certs', 'self-signed', 'key.pem');
    const step = lab.traffic.configureEdge.bind({ topologies: only('v3') });
    const kept = await readFile(key);
    // Between `nginx -t` and the reload the key becomes unusable.
    const meddling = { ...context(), progress: () => writeFileSync(key, 'no key') };
    await expect(step.apply(meddling)).rejects.toMatchObject({ code: 'edge_refused' });
    await writeFile(key, kept);
    expect(await readFile(conf(), 'utf8')).toBe(before);
    await expectServed('v1');
    await step.undo?.(context());
    expect(await readFile(conf(), 'utf8')).toBe(before);
  });

  test('undo brings the previous configuration back, twice the same', async () => {
    const before = await readFile(conf(), 'utf8');
    const step = lab.traffic.configureEdge.bind({ topologies: only('v4') });
    await step.apply(context());
    await expectServed('v4');
    await step.undo?.(context());
    await step.undo?.(context());
    expect(await readFile(conf(), 'utf8')).toBe(before);
    await expectServed('v1');
  });

  test('undo of a change that changed nothing leaves all as it is', async () => {
    const first = lab.traffic.configureEdge.bind({ topologies: only('v5') });
    await first.apply(context());
    const second = lab.traffic.configureEdge.bind({ topologies: only('v5') });
    expect(await second.apply(context())).toMatch(/unchanged/);
    await second.undo?.(context());
    await expectServed('v5');
  });

  test('a change that was cut short before the reload is finished by running it again, and can still be undone', async () => {
    const before = await readFile(conf(), 'utf8');
    const wanted = renderEdge(lab.config, only('v6'));
    await writeFile(`${conf()}.previous`, before);
    await writeFile(join(lab.paths.edge, 'conf', 'pending'), `${generationOf(wanted)}\n`);
    await writeFile(conf(), wanted);
    const step = lab.traffic.configureEdge.bind({ topologies: only('v6') });
    await step.apply(context());
    await expectServed('v6');
    await step.undo?.(context());
    expect(await readFile(conf(), 'utf8')).toBe(before);
    expect((await lab.traffic.status()).generation).toBe(generationOf(before));
  });

  test('an edge that does not run: the error says so and nothing is replaced', async () => {
    const before = await readFile(conf(), 'utf8');
    await docker('stop', lab.container);
    await expect(lab.configure(only('v7'))).rejects.toMatchObject({ code: 'edge_unreachable' });
    expect(await readFile(conf(), 'utf8')).toBe(before);
    await docker('start', lab.container);
    await awaitEdge(lab.traffic);
  });

  test('an edge that hangs: where nothing was installed, undo does not wait for it', async () => {
    await lab.configure(only('v9')); // An earlier change, with all that it keeps for its undo.
    const before = await readFile(conf(), 'utf8');
    await pause(lab.container);
    try {
      const step = lab.traffic.configureEdge.bind({ topologies: only('v7') });
      await expect(step.apply(context())).rejects.toMatchObject({ code: 'edge_unreachable' });
      const began = performance.now();
      await step.undo?.(context());
      expect(performance.now() - began).toBeLessThan(1_000);
      expect(await readFile(conf(), 'utf8')).toBe(before);
    } finally {
      await docker('unpause', lab.container);
      await awaitEdge(lab.traffic);
    }
  });

  test('starts with the maintenance page where the configuration on disk is broken, and is mended by the next', async () => {
    await docker('stop', lab.container);
    await writeFile(conf(), 'this is no configuration');
    await docker('start', lab.container);
    await awaitEdge(lab.traffic);
    expect((await ask(`${lab.url}/`)).status).toBe(503);
    expect(await readFile(`${conf()}.refused`, 'utf8')).toBe('this is no configuration');
    await rm(`${conf()}.refused`);
    await lab.configure(only('v8'));
    await expectServed('v8');
  });

  test('a worker of the old configuration that still takes requests is waited for', async () => {
    const inside = (script: string) => docker('exec', lab.container, 'sh', '-c', script);
    const worker = await inside("grep -lzxs 'nginx[:] worker process' /proc/[0-9]*/cmdline | head -n 1 | tr -dc 0-9");
    await inside(`kill -STOP ${worker}`);
    let done = false;
    const configured = lab.configure(only('v7')).finally(() => {
      done = true;
    });
    await systemClock.sleep(2_000);
    const early = done;
    await inside(`kill -CONT ${worker}`);
    await configured;
    expect(early).toBe(false);
    await expectServed('v7');
  });

  test('a reload loses no request of clients that open new connections', async () => {
    const crowd = startCrowd(`${lab.url}/`, { kept: 0, fresh: 8 });
    for (const release of ['v9', 'v10', 'v11']) await lab.configure(only(release));
    const { failed, reasons, requests } = await crowd.stop();
    expect([...reasons]).toEqual([]);
    expect(failed).toBe(0);
    expect(requests).toBeGreaterThan(50);
  });

  test('the control socket and the private key lie where only root enters', async () => {
    for (const directory of ['run', 'certs']) {
      expect((await stat(join(lab.paths.edge, directory))).mode & 0o777).toBe(0o700);
    }
    expect((await stat(join(lab.paths.edge, 'certs', 'self-signed', 'key.pem'))).mode & 0o777).toBe(0o600);
  });

  test('serves challenges of a certificate authority from /edge/acme, on any host name', async () => {
    await mkdir(join(lab.paths.edge, 'acme'), { recursive: true });
    await writeFile(join(lab.paths.edge, 'acme', 'token-1'), 'proof');
    const path = '/.well-known/acme-challenge/token-1';
    expect((await ask(`${lab.url}${path}`)).body).toBe('proof');
    expect((await ask(`${lab.url}${path}`, { headers: { host: 'elsewhere.example.org' } })).body).toBe('proof');
  });

  test('logs JSON without query strings, and rotates within its bounds without losing a line', async () => {
    const log = join(lab.paths.log, 'edge', 'access.log');
    /** Asks until there is something to rotate. */
    const rotated = async (keep: number) => {
      const rotate = async () => {
        await ask(`${lab.url}/`);
        return lab.traffic.rotateAccessLog({ maxBytes: 100, keep });
      };
      await expect.poll(rotate, { timeout: 30_000, interval: 200 }).toContain(log);
    };
    const ids = Array.from({ length: 40 }, (_, index) => `request-id-${index}`);
    for (const [index, id] of ids.entries()) {
      const odd = index % 2 === 0 ? '?token=hunter2' : '%22%0a%5c?password=hunter2';
      await ask(`${lab.url}/path${odd}`, { headers: { 'x-request-id': id } });
      if (index === 10 || index === 20) await rotated(9);
    }
    // nginx keeps lines for a second.
    const { text, lines } = await vi.waitFor(
      async () => {
        const found = await Promise.all([log, `${log}.1`, `${log}.2`].map((file) => readFile(file, 'utf8')));
        const parsed = found
          .flatMap((part) => part.split('\n'))
          .filter((line) => line !== '')
          .map((line): Record<string, unknown> => JSON.parse(line));
        const seen = parsed.map(({ id }) => String(id)).filter((id) => ids.includes(id));
        expect(seen.sort()).toEqual(ids.toSorted());
        return { text: found.join(''), lines: parsed };
      },
      { timeout: 30_000, interval: 200 },
    );
    expect(text).not.toContain('hunter2');
    const line = lines.find((candidate) => candidate.id === 'request-id-0');
    expect(line).toMatchObject({
      method: 'GET',
      uri: '/path',
      status: 200,
      colour: 'blue',
      release: 'v1',
      upstream: `${lab.address('blue', 11)}:9000`,
      upstreamStatus: '200',
      protocol: 'HTTP/1.1',
    });
    expect(line?.time).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00$/);
    expect(typeof line?.seconds).toBe('number');
    expect(typeof line?.bytes).toBe('number');
    for (let turn = 0; turn < 3; turn += 1) await rotated(2);
    expect([1, 2, 3].map((index) => existsSync(`${log}.${index}`))).toEqual([true, true, false]);
  });
});
