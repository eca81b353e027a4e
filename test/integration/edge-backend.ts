import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { port } from './edge-lab.ts';

/** An application in this process, on the address of this host in the network of a colour. */
export interface Backend {
  /** Requests that reached it, by method and path. */
  readonly seen: string[];
  /** Lets whoever waits at `/held` and between two parts of `/parts` go on. */
  goOn(): void;
  close(): Promise<void>;
}

/**
 * Answers: `/echo` what it was sent, `/stream` three chunks 200 ms apart, `/parts` three of which each waits until the one
 * before is known to have come, `/status/<n>` that status, `/policy` its own content policy, `/cors/echo` and `/cors/all` what
 * any page may read, `/hang-up` nothing at all, `/slow/<n>` its release after n milliseconds, `/held` its release when it may,
 * `/endless` without an end, anything else its release. Upgrades to `echo`: sends back what it gets.
 */
export async function startBackend(release: string, address: string): Promise<Backend> {
  const seen: string[] = [];
  const upgraded = new Set<Duplex>();
  let held = Promise.withResolvers<void>();
  const server = createServer((incoming, outgoing) => {
    seen.push(`${incoming.method} ${incoming.url}`);
    outgoing.setHeader('x-appliance-release', release);
    void answer(incoming, outgoing, release, () => held.promise);
  });
  server.on('upgrade', (incoming, socket) => {
    seen.push(`UPGRADE ${incoming.url}`);
    upgraded.add(socket);
    socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n');
    socket.on('error', () => socket.destroy());
    socket.pipe(socket);
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, address, resolve);
  });
  const close = async () => {
    for (const socket of upgraded) socket.destroy();
    await closeAll(server);
  };
  const goOn = () => {
    held.resolve();
    held = Promise.withResolvers();
  };
  return { seen, goOn, close };
}

async function answer(
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  release: string,
  told: () => Promise<void>,
): Promise<void> {
  const path = (incoming.url ?? '/').split('?')[0] ?? '/';
  const status = /^\/status\/(\d{3})$/.exec(path)?.[1];
  const slow = /^\/slow\/(\d+)$/.exec(path)?.[1];
  if (slow) {
    await delay(Number(slow));
    outgoing.end(release);
  } else if (path === '/held') {
    await told();
    outgoing.end(release);
  } else if (path === '/parts') {
    outgoing.writeHead(200, { 'content-type': 'text/event-stream' });
    for (const part of ['one', 'two', 'three']) {
      outgoing.write(part);
      await told();
    }
    outgoing.end();
  } else if (path.startsWith('/cors/')) {
    outgoing.setHeader('access-control-allow-origin', path === '/cors/all' ? '*' : (incoming.headers.origin ?? ''));
    outgoing.setHeader('access-control-allow-credentials', 'true');
    outgoing.end(release);
  } else if (path === '/hang-up') {
    incoming.socket.destroy();
  } else if (path === '/endless') {
    outgoing.writeHead(200, { 'content-type': 'text/event-stream' });
    while (!outgoing.destroyed) {
      outgoing.write('data: more\n\n');
      await delay(100);
    }
  } else if (path === '/stream') {
    outgoing.writeHead(200, { 'content-type': 'text/event-stream' });
    for (const part of ['one', 'two', 'three']) {
      outgoing.write(`data: ${part}\n\n`);
      await delay(200);
    }
    outgoing.end();
  } else if (path === '/echo') {
    const hash = createHash('sha256');
    let size = 0;
    for await (const chunk of incoming) {
      hash.update(chunk);
      size += chunk.length;
    }
    outgoing.end(
      JSON.stringify({ method: incoming.method, headers: incoming.headers, size, sha256: hash.digest('hex') }),
    );
  } else if (path === '/policy') {
    outgoing.writeHead(200, {
      'content-security-policy': "default-src 'none'",
      'x-frame-options': 'ALLOWALL',
      'x-request-id': 'from the application',
      'strict-transport-security': 'max-age=1',
    });
    outgoing.end();
  } else if (status) {
    outgoing.writeHead(Number(status), { 'content-type': 'text/plain' });
    outgoing.end(`the application says ${status}`);
  } else {
    outgoing.end(release);
  }
}

function closeAll(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}
