import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Duplex, PassThrough, Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import Docker from 'dockerode';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Engine } from '../../src/host/docker.ts';
import { execFed } from '../../src/host/docker-exec.ts';
import { runTask, type Task } from '../../src/host/docker-task.ts';

/** A part of an output as the engine packs it: 1 is standard output, 2 standard error. */
function frame(stream: 1 | 2, said: string): Buffer {
  const header = Buffer.alloc(8);
  header[0] = stream;
  header.writeUInt32BE(Buffer.byteLength(said), 4);
  return Buffer.concat([header, Buffer.from(said)]);
}

/** What the engine answers to a request; undefined: nothing yet. */
type Answer = { readonly status: number; readonly body: unknown } | undefined;

describe('an engine that takes its time', () => {
  let folder: string;
  let server: Server;
  let engine: Engine;
  let answer: (request: IncomingMessage) => Answer;
  let started: (socket: Socket) => void;
  const sockets = new Set<Socket>();

  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'engine-'));
    const socket = join(folder, 'docker.sock');
    server = createServer((request: IncomingMessage, response: ServerResponse) => {
      request.resume();
      const said = answer(request);
      if (said) response.writeHead(said.status, { 'content-type': 'application/json' }).end(JSON.stringify(said.body));
    });
    server.on('upgrade', (_request, upgraded: Socket) => {
      upgraded.write('HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n');
      started(upgraded);
    });
    server.on('connection', (connection: Socket) => {
      sockets.add(connection);
      connection.on('error', () => undefined);
    });
    await new Promise<void>((resolve) => server.listen(socket, resolve));
    engine = new Engine(socket);
  });
  afterEach(async () => {
    for (const socket of sockets) socket.destroy();
    sockets.clear();
    await new Promise((resolve) => server.close(resolve));
    rmSync(folder, { recursive: true, force: true });
  });

  it('does not hold up a caller who gives up before the program has begun', async () => {
    answer = ({ url }) => (url?.endsWith('/exec') ? { status: 201, body: { Id: 'e1' } } : undefined);
    const caller = new AbortController();
    let begun = false;
    started = () => {
      begun = true;
      caller.abort(new Error('somebody has had enough'));
    };
    const running = engine.exec('c1', ['sleep', 'inf'], { timeout: 15_000, signal: caller.signal });
    await expect(running).rejects.toThrow('somebody has had enough');
    expect(begun).toBe(true);
  });

  it('is not waited for where the container is gone, and the program with it', async () => {
    started = (socket) => socket.end();
    answer = ({ url }) =>
      url?.endsWith('/exec')
        ? { status: 201, body: { Id: 'e1' } }
        : { status: 404, body: { message: 'No such exec instance' } };
    expect(await engine.exec('c1', ['true'], { timeout: 15_000 })).toMatchObject({ exitCode: -1 });
  });
});

it('an engine that breaks off in the middle of an output leaves nobody waiting for the rest', async () => {
  const connection = new Duplex({ read: () => undefined, write: (_chunk, _encoding, done) => done() });
  const exec = { start: async () => connection, inspect: async () => ({ ExitCode: 0 }) };
  const docker = { getContainer: () => ({ exec: async () => exec }) } as unknown as Docker;
  const stdout = new PassThrough();
  const running = execFed(docker, 'c1', { argv: ['dump'], stdout, timeout: 15_000 }, async () => {
    connection.push(frame(1, 'the first half'));
    setImmediate(() => connection.destroy(new Error('the engine was killed')));
    await text(stdout);
  });
  await expect(running).rejects.toThrow('the engine was killed');
});

it('half of what a task has printed is not taken for all of it', async () => {
  const stream = new PassThrough();
  const lines: string[] = [];
  const container = {
    attach: async () => stream,
    start: async () => {
      stream.write(frame(1, 'the first line\n'));
      setImmediate(() => stream.destroy(new Error('the engine was killed')));
    },
    inspect: async () => ({ State: { ExitCode: 0 } }),
    remove: async () => undefined,
  };
  const docker = {
    createContainer: async () => container,
    modem: {
      demuxStream: new Docker().modem.demuxStream,
      dial: (_: unknown, done: (error: null, answer: Readable) => void) => done(null, Readable.from(['{}'])),
    },
  } as unknown as Docker;
  const task: Task = {
    ...{ name: 'task', image: 'image', argv: ['list'], mounts: [], network: 'none' as const, hostname: 'host' },
    ...{ capabilities: [], cpus: 1, share: 'half' as const, memory: 1, labels: {}, timeout: 15_000 },
    ...{ signal: new AbortController().signal, onLine: (line: string) => lines.push(line) },
  };
  await expect(runTask(docker, task)).rejects.toMatchObject({ code: 'engine_unreachable' });
  expect(lines).toEqual(['the first line']);
});
