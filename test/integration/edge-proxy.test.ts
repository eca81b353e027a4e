import { createHash, randomBytes } from 'node:crypto';
import { request } from 'node:http';
import { connect as connectSecurely } from 'node:http2';
import { connect } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { type Backend, startBackend } from './edge-backend.ts';
import { ask } from './edge-clients.ts';
import { context, type EdgeLab, openLab, port } from './edge-lab.ts';

describe('what passes through the edge', () => {
  let lab: EdgeLab;
  let blue: Backend;
  let green: Backend;
  /** Nobody listens there. */
  const nowhere = () => lab.address('blue', 99);
  const both = () =>
    lab.topologies({
      blue: { release: 'v1', addresses: [lab.address('blue', 1)] },
      green: { release: 'v2', addresses: [lab.address('green', 1)] },
    });
  const configureWith = (config: Record<string, unknown>, topologies = both()) =>
    lab.withConfig(config).traffic.configureEdge.bind({ topologies }).apply(context());

  beforeAll(async () => {
    lab = await openLab({ name: 'proxy', net: 30, http: 18084, https: 18085 });
    blue = await startBackend('v1', lab.address('blue', 1));
    green = await startBackend('v2', lab.address('green', 1));
    await lab.configure(both());
    await lab.shift('blue', 'blue', 'v1');
  });
  afterAll(async () => {
    await blue?.close();
    await green?.close();
    await lab?.close();
  });

  test('every answer carries release, request id and security headers; HSTS over TLS alone', async () => {
    const plain = await ask(`${lab.url}/`);
    const secure = await ask(`${lab.secureUrl}/`);
    for (const { headers } of [plain, secure]) {
      expect(headers).toMatchObject({
        'x-appliance-release': 'v1',
        'x-content-type-options': 'nosniff',
        'x-frame-options': 'SAMEORIGIN',
        'referrer-policy': 'strict-origin-when-cross-origin',
        'content-security-policy-report-only': expect.stringContaining("default-src 'self'"),
        'permissions-policy': expect.stringContaining('camera=()'),
        'x-request-id': expect.stringMatching(/^[0-9.-]{8,64}$/),
        server: 'nginx',
      });
    }
    expect(plain.headers['strict-transport-security']).toBeUndefined();
    expect(secure.headers['strict-transport-security']).toBe('max-age=31536000');
    expect(plain.headers['x-request-id']).not.toBe(secure.headers['x-request-id']);
  });

  test("the application's content policy stands; release, request id and the other headers are the edge's", async () => {
    const { headers } = await ask(`${lab.secureUrl}/policy`, { headers: { 'x-request-id': 'my-request-0001' } });
    expect(headers).toMatchObject({
      'content-security-policy': "default-src 'none'",
      'x-frame-options': 'SAMEORIGIN',
      'x-request-id': 'my-request-0001',
      'strict-transport-security': 'max-age=31536000',
    });
  });

  test.each(['short', 'with blank inside', `${'x'.repeat(65)}`, 'semi;colon', '"quoted-id"'])(
    'does not pass on the request id %j',
    async (id) => {
      const { headers, body } = await ask(`${lab.url}/echo`, { headers: { 'x-request-id': id } });
      expect(headers['x-request-id']).not.toBe(id);
      expect(JSON.parse(body).headers['x-request-id']).toBe(headers['x-request-id']);
    },
  );

  test('tells the application who asks, and not what the client claims', async () => {
    const claims = { 'x-forwarded-for': '6.6.6.6', 'x-real-ip': '6.6.6.6', 'x-forwarded-proto': 'https' };
    const { body } = await ask(`${lab.url}/echo`, { headers: { ...claims, host: 'localhost:1234' } });
    const gateway = lab.address('blue', 1);
    expect(JSON.parse(body).headers).toMatchObject({
      host: 'localhost:1234',
      'x-forwarded-for': gateway,
      'x-real-ip': gateway,
      'x-forwarded-proto': 'http',
    });
  });

  test('a body of some megabytes arrives whole; one beyond the limit is refused with 413', async () => {
    const body = randomBytes(6 * 1024 * 1024);
    const answer = await ask(`${lab.url}/echo`, { method: 'POST', body });
    expect(JSON.parse(answer.body)).toMatchObject({
      method: 'POST',
      size: body.length,
      sha256: createHash('sha256').update(body).digest('hex'),
    });
    const tooMuch = await ask(`${lab.url}/echo`, {
      method: 'POST',
      headers: { 'content-length': String(11 * 1024 * 1024), expect: '100-continue' },
    }).catch((error: unknown) => error);
    expect(tooMuch).toMatchObject({ status: 413 });
  });

  test('chunks of a stream arrive as they are sent', async () => {
    // The application says nothing more before the last part is here: an edge that kept one would have both wait.
    const parts = await new Promise<string[]>((resolve, reject) => {
      const came: string[] = [];
      const outgoing = request(`${lab.url}/parts`, { signal: AbortSignal.timeout(60_000) }, (incoming) => {
        incoming.on('data', (part: Buffer) => {
          came.push(part.toString('utf8'));
          blue.goOn();
        });
        incoming.on('end', () => resolve(came));
        incoming.on('error', reject);
      });
      outgoing.on('error', reject);
      outgoing.end();
    });
    expect(parts).toEqual(['one', 'two', 'three']);
  });

  test('an upgraded connection passes bytes both ways, and outlives a shift', async () => {
    const socket = connect(lab.options.http, '127.0.0.1');
    const received: string[] = [];
    socket.on('data', (chunk) => received.push(chunk.toString('utf8')));
    const until = (text: string) =>
      vi.waitFor(() => expect(received.join('')).toContain(text), { timeout: 30_000, interval: 20 });
    socket.write('GET /socket HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n');
    await until('101 Switching Protocols');
    socket.write('hello');
    await until('hello');
    await lab.shift('blue', 'green', 'v2');
    socket.write('still there');
    await until('still there');
    socket.destroy();
    await lab.shift('green', 'blue', 'v1');
  });

  test('speaks HTTP/2 and TLS 1.3, but no TLS before 1.2', async () => {
    const session = connectSecurely(lab.secureUrl, { rejectUnauthorized: false });
    const headers = await new Promise<Record<string, unknown>>((resolve, reject) => {
      session.on('error', reject);
      const stream = session.request({ ':path': '/echo' });
      const chunks: Buffer[] = [];
      let response: Record<string, unknown> = {};
      stream.on('response', (got) => {
        response = got;
      });
      stream.on('data', (chunk: Buffer) => chunks.push(chunk));
      stream.on('end', () =>
        resolve({ ...response, sent: JSON.parse(Buffer.concat(chunks).toString('utf8')).headers }),
      );
      stream.end();
    });
    session.close();
    expect(headers).toMatchObject({
      ':status': 200,
      'x-appliance-release': 'v1',
      sent: { host: `127.0.0.1:${lab.options.https}` },
    });
    const handshake = (options: { minVersion: 'TLSv1.1' | 'TLSv1.3'; maxVersion: 'TLSv1.1' | 'TLSv1.3' }) =>
      new Promise<string>((resolve, reject) => {
        const socket = connectTls({
          port: lab.options.https,
          host: '127.0.0.1',
          rejectUnauthorized: false,
          ciphers: 'DEFAULT@SECLEVEL=0',
          ...options,
        });
        socket.on('secureConnect', () => {
          resolve(socket.getProtocol() ?? '');
          socket.destroy();
        });
        socket.on('error', reject);
      });
    expect(await handshake({ minVersion: 'TLSv1.3', maxVersion: 'TLSv1.3' })).toBe('TLSv1.3');
    await expect(handshake({ minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1' })).rejects.toThrow();
  });

  test.each([500, 502, 503, 504, 429, 404])('what the application answers with %d passes untouched', async (status) => {
    const { status: got, body, headers } = await ask(`${lab.url}/status/${status}`, { method: 'POST', body: 'x' });
    expect([got, body]).toEqual([status, `the application says ${status}`]);
    expect(headers['x-appliance-edge']).toBeUndefined();
    expect(headers['x-appliance-release']).toBe('v1');
  });

  test('an application that hangs up gives 502 from the edge, whatever the method', async () => {
    for (const method of ['GET', 'POST']) {
      const { status, headers } = await ask(`${lab.url}/hang-up`, { method });
      expect(status).toBe(502);
      expect(headers).toMatchObject({
        'x-appliance-edge': 'bad-gateway',
        'x-appliance-release': 'v1',
        'retry-after': '5',
      });
    }
  });

  test('answers to its own names alone', async () => {
    await expect(ask(`${lab.url}/`, { headers: { host: 'evil.example.org' } })).rejects.toThrow(/hang up|ECONNRESET/);
    for (const host of ['10.1.2.3', '[fd00::1]:8443'])
      expect((await ask(`${lab.secureUrl}/`, { headers: { host }, servername: '' })).status).toBe(200);
    const misdirected = await ask(`${lab.secureUrl}/`, { headers: { host: 'evil.example.org' }, servername: '' });
    expect([misdirected.status, misdirected.headers['x-appliance-edge']]).toEqual([421, 'unknown-host']);
    expect((await ask(`${lab.url}/`, { headers: { host: 'localhost:8080' } })).status).toBe(200);
    await configureWith({ edge: { domains: ['appliance.example.org', '*.example.net'] } });
    for (const host of ['appliance.example.org', 'a.example.net', 'APPLIANCE.example.org:8080', '127.0.0.1']) {
      expect((await ask(`${lab.url}/`, { headers: { host } })).status).toBe(200);
    }
    await lab.configure(both());
  });

  test('previews the idle colour for internal addresses, by header and by cookie', async () => {
    const preview = await ask(`${lab.url}/`, { headers: { 'x-appliance-preview': 'green' } });
    expect(preview.body).toBe('v2');
    expect(preview.headers).toMatchObject({ 'x-appliance-release': 'v2', 'x-appliance-upstream-release': 'v2' });
    const entered = await ask(`${lab.url}/_appliance/preview/green`);
    expect([entered.status, entered.headers.location]).toEqual([302, '/']);
    const cookie = entered.headers['set-cookie']?.[0]?.split(';')[0] ?? '';
    expect(cookie).toBe('appliance_preview=green');
    expect((await ask(`${lab.url}/`, { headers: { cookie } })).body).toBe('v2');
    expect((await ask(`${lab.url}/`, { headers: { cookie, 'x-appliance-preview': 'blue' } })).body).toBe('v1');
    expect((await ask(`${lab.url}/_appliance/preview/off`)).headers['set-cookie']?.[0]).toContain('Max-Age=0');
    const seen = await ask(`${lab.url}/echo`, { headers: { 'x-appliance-preview': 'green' } });
    expect(JSON.parse(seen.body).headers['x-appliance-preview']).toBeUndefined();
  });

  test('shows status and metrics to internal addresses', async () => {
    const status = await ask(`${lab.url}/_appliance/status`);
    expect(JSON.parse(status.body)).toMatchObject({
      weights: { blue: 100, green: 0 },
      releases: { blue: 'v1', green: 'v2' },
      generation: (await lab.traffic.status()).generation,
    });
    const metrics = await ask(`${lab.url}/_appliance/metrics`);
    expect(metrics.body).toContain('appliance_edge_weight{colour="blue"} 100');
    expect((await ask(`${lab.url}/metrics`)).body).toBe('v1');
  });

  test('shows none of that to others', async () => {
    await configureWith({ edge: { internal: ['192.0.2.0/24'] } });
    const headers = { 'x-appliance-preview': 'green', cookie: 'appliance_preview=green' };
    const answer = await ask(`${lab.url}/`, { headers });
    expect(answer.body).toBe('v1');
    expect(answer.headers['x-appliance-upstream-release']).toBeUndefined();
    for (const path of ['status', 'metrics', 'preview/green', 'preview/off', 'anything']) {
      expect((await ask(`${lab.url}/_appliance/${path}`)).status).toBe(404);
    }
    for (const path of ['/metrics', '/metrics/', '//metrics', '/%6detrics', '/x/../metrics', '/metrics?x']) {
      expect([path, (await ask(`${lab.url}${path}`)).status]).toEqual([path, 403]);
    }
    await lab.configure(both());
  });

  test('answers 429 beyond the limit, says when to come back, and lets others pass again after it', async () => {
    await configureWith({ edge: { rateLimit: { perSecond: 5, burst: 3 } } });
    // So many that most are refused even if it takes seconds to send them.
    const answers = await Promise.all(Array.from({ length: 80 }, () => ask(`${lab.url}/`)));
    const limited = answers.filter(({ status }) => status === 429);
    expect(limited.length).toBeGreaterThan(40);
    expect(answers.filter(({ status }) => status === 200).length).toBeGreaterThanOrEqual(4);
    expect(limited[0]?.headers).toMatchObject({
      'retry-after': '1',
      'x-appliance-edge': 'rate-limit',
      'x-appliance-release': 'v1',
    });
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    expect((await ask(`${lab.url}/`)).status).toBe(200);
    await lab.configure(both());
  });

  test('a colour that lacks a service answers 503 for that route alone, the other colour as ever', async () => {
    const services = { backend: { role: 'app' }, extra: { role: 'app' } };
    const routes = [
      { path: '/', service: 'backend', port },
      { path: '/extra', service: 'extra', port },
    ];
    const { blue: withBlue, green: withGreen } = both();
    if (!withBlue) throw new Error('the lab has a blue side');
    const addresses = { ...withBlue.addresses, extra: withBlue.addresses.backend ?? [] };
    await configureWith({ services, routes }, { blue: { ...withBlue, addresses }, green: withGreen });
    const green = { 'x-appliance-preview': 'green' };
    expect((await ask(`${lab.url}/extra`)).status).toBe(200);
    expect((await ask(`${lab.url}/`, { headers: green })).body).toBe('v2');
    const missing = await ask(`${lab.url}/extra`, { headers: green, method: 'POST' });
    expect(missing.status).toBe(503);
    expect(missing.headers).toMatchObject({
      'x-appliance-release': 'v2',
      'x-appliance-edge': 'maintenance',
      'retry-after': '10',
    });
    await lab.configure(both());
  });

  test('a colour without a topology answers 503 and nothing breaks', async () => {
    await lab.configure({ ...both(), green: null });
    const { status, headers } = await ask(`${lab.url}/`, { headers: { 'x-appliance-preview': 'green' } });
    expect([status, headers['x-appliance-release']]).toEqual([503, 'none']);
    expect((await ask(`${lab.url}/`)).body).toBe('v1');
    await lab.configure(both());
  });

  test('a replica that is gone: another of the same colour takes over, and no request is lost', async () => {
    const addresses = [nowhere(), lab.address('blue', 1)];
    await lab.configure({ ...both(), blue: { colour: 'blue', release: 'v1', addresses: { backend: addresses } } });
    const answers = await Promise.all(
      Array.from({ length: 8 }, () => ask(`${lab.url}/echo`, { method: 'POST', body: 'x' })),
    );
    expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200));
    expect(new Set(answers.map(({ headers }) => headers['x-appliance-release']))).toEqual(new Set(['v1']));
    await lab.configure(both());
  });

  test('what was sent and is not idempotent is never sent twice', async () => {
    const addresses = [lab.address('blue', 1), lab.address('green', 1)];
    await lab.configure({ ...both(), blue: { colour: 'blue', release: 'v1', addresses: { backend: addresses } } });
    const count = (line: string) => [...blue.seen, ...green.seen].filter((entry) => entry === line).length;
    expect((await ask(`${lab.url}/hang-up?once`, { method: 'POST', body: 'x' })).status).toBe(502);
    expect(count('POST /hang-up?once')).toBe(1);
    await lab.configure(both());
  });
});
