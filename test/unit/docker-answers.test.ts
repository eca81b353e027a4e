import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { Engine } from '../../src/host/docker.ts';

it.each([
  ['of known length', 'Content-Length: 4000'],
  ['in pieces', 'Transfer-Encoding: chunked'],
])('an engine that goes away in the middle of an answer %s is one that does not answer', async (_, length) => {
  const folder = mkdtempSync(join(tmpdir(), 'engine-'));
  const path = join(folder, 'engine.sock');
  const server = createServer((client) => {
    client.once('data', () =>
      client.end(`HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n${length}\r\n\r\n20\r\n[{"Id`),
    );
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  onTestFinished(() => {
    server.close();
    rmSync(folder, { recursive: true });
  });
  await expect(new Engine(path).containers(['a=b'])).rejects.toMatchObject({ code: 'engine_unreachable' });
});
