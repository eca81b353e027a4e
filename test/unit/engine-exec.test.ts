import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Engine } from '../../src/host/docker.ts';

// An engine that closes the streams of a program before it knows how that has ended, as a busy one does.

let directory: string;
let close: () => void;
/** How often it was asked for the exit status. */
let asked: number;
/** What it answers, one after the other; the last one stays. */
let statuses: (number | null)[];

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'engine-exec-'));
  asked = 0;
  const server = createServer((request, response) => {
    request.resume();
    response.setHeader('content-type', 'application/json');
    if (request.method === 'POST') {
      response.writeHead(201).end(JSON.stringify({ Id: 'e1' }));
      return;
    }
    const ExitCode = statuses[Math.min(asked, statuses.length - 1)] ?? null;
    asked += 1;
    response.end(JSON.stringify({ ID: 'e1', Running: ExitCode === null, ExitCode, Pid: 0 }));
  });
  server.on('upgrade', (_, socket) => {
    socket.write('HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n');
    // A frame of standard output (docs.docker.com/reference/api/engine, "Stream format").
    socket.end(Buffer.from([1, 0, 0, 0, 0, 0, 0, 4, ...Buffer.from('said')]));
  });
  close = () => {
    server.closeAllConnections();
    server.close();
  };
  await new Promise<void>((resolve) => server.listen(join(directory, 'engine.sock'), resolve));
});
afterEach(() => {
  close();
  rmSync(directory, { recursive: true });
});

const engine = () => new Engine(join(directory, 'engine.sock'));
const ways = {
  exec: (signal?: AbortSignal) => engine().exec('c1', ['true'], { timeout: 15_000, ...(signal ? { signal } : {}) }),
  execStream: (signal?: AbortSignal) =>
    engine().execStream('c1', { argv: ['true'], timeout: 15_000, ...(signal ? { signal } : {}) }),
};

describe.each(Object.entries(ways))('%s', (_, run) => {
  test('waits until the engine knows how a program has ended', async () => {
    statuses = [...Array.from({ length: 12 }, () => null), 7];
    expect(await run()).toMatchObject({ exitCode: 7, stdout: 'said' });
    expect(asked).toBe(13);
  });

  test('waits no longer than whoever asks', async () => {
    statuses = [null];
    const enough = new AbortController();
    setTimeout(() => enough.abort(new Error('enough')), 300);
    await expect(run(enough.signal)).rejects.toThrow('enough');
  });
});
