import { createServer, type Server } from 'node:http';
import { createServer as createTcpServer } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import type { StackEngine } from '../../src/capabilities/stack/steps/deps.ts';
import { askHealth, healthcheckArguments, judgeState } from '../../src/capabilities/stack/steps/health.ts';
import { askProbe } from '../../src/capabilities/stack/steps/probe.ts';
import type { ContainerDetail } from '../../src/host/docker.ts';

const detail: ContainerDetail = {
  id: 'c1',
  name: 'demo-green-api-1',
  image: 'x',
  imageId: 'sha256:x',
  state: 'running',
  running: true,
  pid: 1,
  exitCode: 0,
  outOfMemory: false,
  startedAt: '2030-01-01T00:00:00Z',
  finishedAt: '0001-01-01T00:00:00Z',
  health: null,
  restarts: 0,
  labels: {},
  tty: false,
  stopTimeout: null,
  published: {},
  addresses: {},
};

describe('judgeState', () => {
  const app = { role: 'app', restartsBefore: 0 } as const;
  test.each([
    ['a running container must be asked', app, {}, undefined],
    ['an ended service', app, { state: 'exited', running: false, exitCode: 3 }, 'failed'],
    ['a service that ended well has ended all the same', app, { state: 'exited', running: false }, 'failed'],
    ['a first restart may help', app, { state: 'restarting', running: true, restarts: 1 }, 'waiting'],
    ['a crash loop does not', app, { state: 'restarting', running: true, restarts: 3 }, 'failed'],
    ['restarts of an earlier life do not count', { ...app, restartsBefore: 7 }, { restarts: 8 }, undefined],
    ['out of memory', app, { state: 'restarting', running: true, outOfMemory: true }, 'failed'],
    ['not started yet', app, { state: 'created', running: false }, 'waiting'],
    ['unhealthy by its own healthcheck', app, { health: 'unhealthy' }, 'waiting'],
    ['a finished job', { ...app, role: 'job' }, { state: 'exited', running: false }, 'healthy'],
    ['a job at work', { ...app, role: 'job' }, {}, 'healthy'],
    ['a failed job', { ...app, role: 'job' }, { state: 'exited', running: false, exitCode: 1 }, 'failed'],
  ] as const)('%s', (_, watched, changes, expected) => {
    expect(judgeState(watched, { ...detail, ...changes })?.state).toBe(expected);
  });
});

describe('healthcheckArguments', () => {
  test.each([
    [{ test: ['CMD', 'curl', '-f', '$$URL'] }, ['curl', '-f', '$URL']],
    [{ test: ['CMD-SHELL', 'curl -f x || exit 1'] }, ['/bin/sh', '-c', 'curl -f x || exit 1']],
    [{ test: 'pg_isready' }, ['/bin/sh', '-c', 'pg_isready']],
    [{ test: ['NONE'] }, undefined],
    [{ disable: true, test: ['CMD', 'true'] }, undefined],
    [{}, undefined],
    [undefined, undefined],
  ])('%j', (healthcheck, expected) => {
    expect(healthcheckArguments({ healthcheck })).toEqual(expected);
  });
});

describe('askHealth', () => {
  const signal = new AbortController().signal;
  const watched = {
    name: 'api',
    role: 'app',
    address: undefined,
    probe: null,
    check: ['check'],
    restartsBefore: 0,
  } as const;
  /** An engine on which a healthcheck ends with a status, or hangs. */
  const engineWith = (exec: StackEngine['exec']): StackEngine => {
    const refuse = async (): Promise<never> => {
      throw new Error('not expected');
    };
    return {
      containers: refuse,
      inspect: refuse,
      image: refuse,
      tagImage: refuse,
      start: refuse,
      unpause: refuse,
      connect: refuse,
      disconnect: refuse,
      restart: refuse,
      stop: refuse,
      remove: refuse,
      exec,
      logs: () => {
        throw new Error('not expected');
      },
      volumes: refuse,
      removeVolume: refuse,
    };
  };

  test('runs the healthcheck itself while the engine still waits for its first interval', async () => {
    const asked: (readonly string[])[] = [];
    const engine = engineWith(async (_, argv) => {
      asked.push(argv);
      return { exitCode: asked.length === 1 ? 1 : 0, stdout: '', stderr: 'not yet' };
    });
    const starting = { ...detail, health: 'starting' };
    expect(await askHealth(engine, watched, starting, 'v1', signal)).toEqual({
      state: 'waiting',
      said: 'healthcheck ends with 1: not yet',
    });
    expect((await askHealth(engine, watched, starting, 'v1', signal)).state).toBe('healthy');
    expect(asked).toEqual([['check'], ['check']]);
  });

  test('a healthcheck that cannot be run is no health, and no crash', async () => {
    const engine = engineWith(async () => {
      throw new Error('exec took too long');
    });
    const health = await askHealth(engine, watched, { ...detail, health: 'starting' }, 'v1', signal);
    expect(health).toEqual({ state: 'waiting', said: 'healthcheck: exec took too long' });
  });

  test('an image with a healthcheck of its own is waited for', async () => {
    const engine = engineWith(async () => ({ exitCode: 0, stdout: '', stderr: '' }));
    const unknown = { ...watched, check: undefined };
    expect((await askHealth(engine, unknown, { ...detail, health: 'starting' }, 'v1', signal)).state).toBe('waiting');
    expect((await askHealth(engine, unknown, { ...detail, health: 'healthy' }, 'v1', signal)).state).toBe('healthy');
  });
});

describe('askProbe', () => {
  const servers: { close(): unknown }[] = [];
  afterEach(() => {
    for (const server of servers.splice(0)) server.close();
  });
  const signal = new AbortController().signal;

  async function listening(server: Server | ReturnType<typeof createTcpServer>): Promise<number> {
    servers.push(server);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = server.address();
    if (typeof address !== 'object' || address === null) throw new Error('no port');
    return address.port;
  }
  const http = (port: number) =>
    ({ type: 'http', port, path: '/health?x=1', status: 200, releaseHeader: true }) as const;
  const ask = (probe: Parameters<typeof askProbe>[0]['probe'], timeout = 10_000) =>
    askProbe({ address: '127.0.0.1', probe, tag: 'v1' }, timeout, signal);

  test('http: status and release must both be right', async () => {
    let [status, release]: [number, string | undefined] = [200, 'v1'];
    const paths: (string | undefined)[] = [];
    const port = await listening(
      createServer((request, response) => {
        paths.push(request.url);
        response.writeHead(status, release === undefined ? {} : { 'x-appliance-release': release }).end('body');
      }),
    );
    expect(await ask(http(port))).toMatchObject({ ok: true });
    release = 'v0';
    expect(await ask(http(port))).toMatchObject({
      ok: false,
      said: expect.stringContaining('X-Appliance-Release is v0 instead of v1'),
    });
    release = undefined;
    expect(await ask(http(port))).toMatchObject({
      ok: false,
      said: expect.stringContaining('no X-Appliance-Release header'),
    });
    expect(await ask({ ...http(port), releaseHeader: false })).toMatchObject({ ok: true });
    status = 500;
    expect(await ask(http(port))).toMatchObject({
      ok: false,
      said: expect.stringContaining('status 500 instead of 200'),
    });
    expect(new Set(paths)).toEqual(new Set(['/health?x=1']));
  });

  test('silence is an answer, after the time that was given', async () => {
    const port = await listening(createTcpServer(() => undefined));
    const began = performance.now();
    expect(await ask(http(port), 200)).toMatchObject({
      ok: false,
      said: expect.stringContaining('no answer in 0.2 s'),
    });
    // Its server never answers: without a limit nothing would end it.
    expect(performance.now() - began).toBeLessThan(10_000);
  });

  test('tcp: a connection is all that counts', async () => {
    const port = await listening(createTcpServer((socket) => socket.destroy()));
    expect(await ask({ ...http(port), type: 'tcp' })).toMatchObject({ ok: true });
    expect(await ask({ ...http(1), type: 'tcp' })).toMatchObject({
      ok: false,
      said: expect.stringContaining('ECONNREFUSED'),
    });
  });

  test('garbage instead of HTTP does not throw', async () => {
    const port = await listening(createTcpServer((socket) => socket.end('garbage\r\n\r\n')));
    expect(await ask(http(port))).toMatchObject({ ok: false });
  });
});
