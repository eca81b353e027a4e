import { createServer, type Server, type Socket } from 'node:net';
import { afterEach, expect, it } from 'vitest';
import { askHttp } from '../../src/host/http.ts';

const sockets = new Set<Socket>();
let server: Server;
afterEach(async () => {
  for (const socket of sockets) socket.destroy();
  await new Promise((resolve) => server.close(resolve));
});

it('does not ask by a connection that its server has given up meanwhile', async () => {
  // It promises to keep the connection, as one that is about to be restarted does, and then forgets it.
  server = createServer((socket) => {
    sockets.add(socket);
    let asked = 0;
    socket
      .on('error', () => undefined)
      .on('data', () => {
        asked += 1;
        if (asked === 1) socket.write('HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok');
        else socket.destroy();
      });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  const port = typeof address === 'object' ? address?.port : undefined;
  const ask = () =>
    askHttp(`http://127.0.0.1:${port}/`, { maxBytes: 100, signal: AbortSignal.timeout(10_000), method: 'POST' });
  for (let time = 0; time < 3; time += 1) expect(await ask()).toEqual({ status: 200, text: 'ok' });
});
