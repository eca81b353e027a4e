import { mkdtempSync, rmSync } from 'node:fs';
import { request } from 'node:http';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { expect, it, onTestFinished } from 'vitest';
import { Engine } from '../../src/host/docker.ts';
import { WholeAnswers } from '../../src/host/docker-answers.ts';

it.each([
  ['of known length', 'Content-Length: 4000'],
  ['in pieces', 'Transfer-Encoding: chunked'],
])('an engine that goes away in the middle of an answer %s is one that does not answer', async (_, length) => {
  const path = await listening((client) =>
    client.once('data', () =>
      client.end(`HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n${length}\r\n\r\n20\r\n[{"Id`),
    ),
  );
  await expect(new Engine(path).containers(['a=b'])).rejects.toMatchObject({ code: 'engine_unreachable' });
});

it('is told in a word however many requests are under way: docker-modem writes it down with each of them', async () => {
  const path = await listening(() => undefined);
  const agent = new WholeAnswers();
  const asked = Array.from({ length: 20 }, () => request({ socketPath: path, agent }).on('error', () => undefined));
  for (const one of asked) one.end();
  await expect.poll(() => Object.values(agent.sockets).flat()).toHaveLength(asked.length);
  const written = inspect({ agent }, { showHidden: true, depth: null });
  agent.destroy();
  expect(written).toBe('{ agent: WholeAnswers }');
});

/** A server on a socket of its own until the test is over. @returns the path of the socket */
async function listening(onClient: (client: Socket) => void): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'engine-'));
  const path = join(folder, 'engine.sock');
  const server = createServer(onClient);
  await new Promise<void>((resolve) => server.listen(path, resolve));
  onTestFinished(() => {
    server.close();
    rmSync(folder, { recursive: true });
  });
  return path;
}
