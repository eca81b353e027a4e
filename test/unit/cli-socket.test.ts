import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { usualPatience } from '../../src/api/silence.ts';
import { connectSocket } from '../../src/api/socket.ts';
import { type Paths, pathsFor } from '../../src/lib/paths.ts';
import { temporaryRoot } from '../e2e/stage/face.ts';
import { openStage } from '../e2e/stage/stage.ts';

let place: ReturnType<typeof temporaryRoot>;
let paths: Paths;
let server: Server | undefined;

beforeEach(() => {
  place = temporaryRoot();
  paths = pathsFor(place.root);
  mkdirSync(paths.nonces, { recursive: true });
});
afterEach(() => {
  server?.close();
  server = undefined;
  place.remove();
});

/** Answers every request with the same bytes, piece by piece. */
async function answerWith(pieces: readonly string[], requests: string[] = [], pause = 0): Promise<void> {
  server = createServer((socket: Socket) => {
    socket.on('error', () => undefined);
    socket.once('data', async (request) => {
      requests.push(request.toString());
      for (const piece of pieces) {
        socket.write(Buffer.from(piece, 'latin1'));
        await new Promise((resolve) => setTimeout(resolve, pause));
      }
      socket.end();
    });
  });
  await new Promise<void>((resolve) => server?.listen(paths.operatorSocket, resolve));
}

async function client() {
  const found = await connectSocket(paths);
  if (!found) throw new Error('nobody listens');
  return found;
}

const head = (headers: string, status = '200 OK') => `HTTP/1.1 ${status}\r\n${headers}\r\n\r\n`;
const chunk = (text: string) => `${text.length.toString(16)}\r\n${text}\r\n`;
const latin1 = (text: string) => Buffer.from(text).toString('latin1');

describe('finding an agent', () => {
  it('finds none where there is no socket, or a dead one', async () => {
    expect(await connectSocket(paths)).toBeUndefined();
    writeFileSync(paths.operatorSocket, '');
    expect(await connectSocket(paths)).toBeUndefined();
  });

  it('says so when a path is too long for a socket', async () => {
    await expect(connectSocket(pathsFor(`/tmp/${'x'.repeat(200)}`))).rejects.toMatchObject({
      code: 'agent_unreachable',
    });
  });
});

describe('answers', () => {
  it('reads a document of a known length, in whatever pieces it comes', async () => {
    const body = latin1('{"name":"日本語","pid":1,"version":"1"}');
    const bytes = head(`Content-Length: ${body.length}`) + body;
    for (const size of [1, 7, 1_000]) {
      await answerWith(bytes.match(new RegExp(`.{1,${size}}`, 'gs')) ?? []);
      expect(await (await client()).ask('ping', {})).toEqual({ name: '日本語', pid: 1, version: '1' });
      server?.close();
    }
  });

  it('reads chunks that split lines and characters', async () => {
    const text = latin1('{"event":"status","time":"ä"}\n{"event":"status","time":"b"}\n');
    const pieces = [head('transfer-encoding: chunked'), ...(text.match(/.{1,13}/gs) ?? []).map(chunk), '0\r\n\r\n'];
    await answerWith(pieces, [], 1);
    const events = [];
    for await (const event of (await client()).stream('events', {})) events.push(event);
    expect(events).toEqual([
      { event: 'status', time: 'ä' },
      { event: 'status', time: 'b' },
    ]);
  });

  it('passes on the error of the agent, before and inside a stream', async () => {
    const error = '{"error":{"code":"busy","message":"deploy is running","hint":"wait","exit":5}}';
    await answerWith([head(`content-length: ${error.length}`, '409 Conflict') + error]);
    await expect((await client()).ask('status', {})).rejects.toMatchObject({ code: 'busy', hint: 'wait', exit: 5 });
    server?.close();
    await answerWith([`${head('transfer-encoding: chunked')}${chunk(`${error}\n`)}0\r\n\r\n`]);
    const stream = (await client()).stream('deploy', { tag: 'v1' });
    await expect(stream[Symbol.asyncIterator]().next()).rejects.toMatchObject({ code: 'busy' });
  });

  it.each([
    ['nothing at all', ['']],
    ['half a head', ['HTTP/1.1 200 OK\r\ncontent-']],
    ['half a document', [`${head('content-length: 100')}{"name"`]],
    ['a chunk without its end', [`${head('transfer-encoding: chunked')}40\r\n{"na`]],
    ['something that is no HTTP', ['SSH-2.0-OpenSSH\r\n\r\n']],
    ['a document that is no JSON', [`${head('content-length: 4')}oops`]],
    ['a nonsensical chunk size', [`${head('transfer-encoding: chunked')}zz\r\n`]],
  ])('takes %s for an agent that is gone or ill', async (_, pieces) => {
    await answerWith(pieces);
    const error = await (await client()).ask('status', {}).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ name: 'ApplianceError', exit: expect.any(Number) });
    expect(['agent_unreachable', 'internal']).toContain((error as { code: string }).code);
  });

  it('knows no error code that it was not taught', async () => {
    const error = '{"error":{"code":"__proto__","message":"x"}}';
    await answerWith([head(`content-length: ${error.length}`, '500 Oops') + error]);
    await expect((await client()).ask('status', {})).rejects.toMatchObject({ code: 'internal', message: 'x' });
  });
});

describe('hanging up', () => {
  it('ends a stream that nobody wants any more, without an error', async () => {
    const close = await openStage({ root: place.root, stepTime: 10_000, logPause: 10 });
    const stop = new AbortController();
    const lines = [];
    for await (const line of (await client()).stream('logs', { follow: true, tail: 3 }, stop.signal)) {
      lines.push(line);
      if (lines.length === 5) stop.abort();
    }
    expect(lines).toHaveLength(5);
    await close();
  });

  it('gives up a question with the reason of the signal', async () => {
    server = createServer(() => undefined).listen(paths.operatorSocket);
    const reason = new Error('enough');
    const asking = (await client()).ask('status', {}, AbortSignal.timeout(30));
    await expect(asking).rejects.toThrow(/timeout/i);
    const stopped = AbortSignal.abort(reason);
    await expect((await client()).ask('status', {}, stopped)).rejects.toBe(reason);
  });

  it('notices that the agent dies in the middle of a stream', async () => {
    const close = await openStage({ root: place.root, stepTime: 10, logPause: 10 });
    let closing: Promise<void> | undefined;
    const seen = (async () => {
      for await (const _ of (await client()).stream('logs', { follow: true, tail: 1 })) closing ??= close();
    })();
    await expect(seen).rejects.toMatchObject({ code: 'agent_unreachable' });
    await closing;
  });
});

describe('an answer that takes long', () => {
  const patience = { ...usualPatience, answerWithin: { GET: 300, POST: 300 } };
  const asked = async () => {
    // The head comes at once and the document later than an agent may take for a plain question.
    await answerWith(['', head('Content-Length: 2'), '{}'], [], 400);
    const found = await connectSocket(paths, patience);
    if (!found) throw new Error('nobody listens');
    return found;
  };

  it('is waited for where the work grows with the data, or waits for its turn', async () => {
    const client = await asked();
    expect(await client.ask('backupExport', { snapshot: 'latest' })).toEqual({});
    server?.close();
    expect(await (await asked()).ask('backups', {})).toEqual({});
  });

  it('is not waited for where it should come at once', async () => {
    const late = { code: 'agent_unreachable', message: 'the agent did not answer within 0.3 s' };
    await expect((await asked()).ask('ping', {})).rejects.toMatchObject(late);
  });
});

// Silence is waited for, of a process that has to start first: on a busy machine that takes long.
describe('an agent that is stopped, not dead', { timeout: 60_000 }, () => {
  const patience = { ...usualPatience, tick: 100, askAfter: 5, giveUpAfter: 30 };
  let agent: ChildProcess | undefined;
  afterEach(async () => {
    if (!agent || agent.exitCode !== null || agent.signalCode !== null) return;
    const ended = once(agent, 'exit');
    agent.kill('SIGKILL');
    await ended;
  });

  /** A stage in a process of its own, which can be stopped. */
  async function startAgent(stepTime: number): Promise<ChildProcess> {
    const entry = join(import.meta.dirname, '../e2e/stage/serve.ts');
    agent = spawn(process.execPath, ['--no-warnings', entry, place.root, String(stepTime)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    if (agent.stdout) await once(agent.stdout, 'data');
    return agent;
  }
  const patient = async () => {
    const found = await connectSocket(paths, patience);
    if (!found) throw new Error('nobody listens');
    return found;
  };
  const first = (stream: AsyncIterable<unknown>) => stream[Symbol.asyncIterator]().next();
  const silent = { code: 'agent_unreachable', exit: 8, hint: expect.stringContaining('appliance-service restart') };

  it.each(['logs', 'events'] as const)('ends a stream of %s that it had begun', async (name) => {
    const running = await startAgent(60_000);
    const seen = (async () => {
      for await (const _ of (await patient()).stream(name, { follow: true, tail: 1 })) running.kill('SIGSTOP');
    })();
    // The stage publishes an event when something begins.
    if (name === 'events') first((await patient()).stream('deploy', { tag: 'v1' })).catch(() => undefined);
    await expect(seen).rejects.toMatchObject(silent);
  });

  it('ends one that it never begins, and a question', async () => {
    (await startAgent(60_000)).kill('SIGSTOP');
    await expect(first((await patient()).stream('deploy', { tag: 'v1' }))).rejects.toMatchObject(silent);
    await expect((await patient()).ask('plan', { tag: 'v1' })).rejects.toMatchObject(silent);
  });

  it('waits for as long as it answers that it lives', async () => {
    await startAgent(5_000);
    const states: string[] = [];
    for await (const event of (await patient()).stream('deploy', { tag: 'v1.1' })) {
      states.push(event.event);
      if (states.filter((state) => state === 'step').length === 2) break;
    }
    expect(states).toContain('step');
  });

  it('waits for one that is busy for a while', async () => {
    const running = await startAgent(5_000);
    let lines = 0;
    for await (const _ of (await patient()).stream('logs', { follow: true, tail: 1 })) {
      lines += 1;
      if (lines === 3) break;
      running.kill('SIGSTOP');
      await delay(1_000);
      running.kill('SIGCONT');
    }
    expect(lines).toBe(3);
  });
});

describe('who calls', () => {
  it('proves it with a file of its own that is gone afterwards', async () => {
    const requests: string[] = [];
    const body = '{"container":"c","service":"s"}';
    let modes: number[] = [];
    server = createServer((socket) => {
      socket.once('data', (data) => {
        requests.push(data.toString());
        modes = readdirSync(paths.nonces).map((name) => statSync(`${paths.nonces}/${name}`).mode & 0o777);
        socket.end(head(`content-length: ${body.length}`) + body);
      });
    }).listen(paths.operatorSocket);
    await (await client()).ask('exec', { service: 's' });
    expect(requests[0]).toMatch(/\r\nx-appliance-nonce: [0-9a-f]{32}\r\n/);
    expect(modes).toEqual([0o600]);
    expect(readdirSync(paths.nonces)).toEqual([]);
  });
});
