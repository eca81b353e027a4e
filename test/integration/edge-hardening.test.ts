import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { run } from '../../src/host/process.ts';
import { type Backend, startBackend } from './edge-backend.ts';
import { ask } from './edge-clients.ts';
import { awaitEdge, context, type EdgeLab, openLab } from './edge-lab.ts';

describe('what the edge grants its clients', () => {
  let lab: EdgeLab;
  let backend: Backend;
  const topologies = () => lab.topologies({ blue: { release: 'v1', addresses: [lab.address('blue', 1)] } });
  const configure = (config: Record<string, unknown>) =>
    lab.withConfig(config).traffic.configureEdge.bind({ topologies: topologies() }).apply(context());
  const host = 'app.example.org';
  const at = (path: string, headers: Record<string, string> = {}) =>
    ask(`${lab.url}${path}`, { headers: { host, ...headers } });
  const secureAt = (path: string, headers: Record<string, string> = {}) =>
    ask(`${lab.secureUrl}${path}`, { headers: { host, ...headers } });

  beforeAll(async () => {
    lab = await openLab({
      ...{ name: 'hardening', net: 80, http: 18180, https: 18181 },
      config: { edge: { domains: [host] } },
    });
    backend = await startBackend('v1', lab.address('blue', 1));
    await awaitEdge(lab.traffic);
    await lab.configure(topologies());
    await lab.shift('blue', 'blue', 'v1');
  });
  afterAll(async () => {
    await backend?.close();
    await lab?.close();
  });

  describe('headers on every kind of answer (S1-18)', () => {
    const everywhere = {
      'x-content-type-options': 'nosniff',
      'x-frame-options': 'DENY',
      'referrer-policy': 'no-referrer',
      'permissions-policy': 'camera=()',
      'content-security-policy': "default-src 'self'; frame-ancestors 'none'; report-uri /csp",
    };
    const headers = {
      hsts: { maxAge: '730d', includeSubDomains: true, preload: true },
      contentPolicy: { mode: 'enforce', policy: "default-src 'self';", report: '/csp' },
      frame: 'DENY',
      referrer: 'no-referrer',
      permissions: 'camera=()',
    };
    beforeAll(async () => {
      const rateLimits = [{ path: '/limited', perMinute: 1 }];
      await configure({ edge: { headers, rateLimits, redirect: 'never' } });
    });
    afterAll(() => lab.configure(topologies()));

    test.each([
      ['200 of the application', '/', 200],
      ['404 of the application', '/status/404', 404],
      ['502 of the edge', '/hang-up', 502],
      ['429 of the edge', '/limited', 429],
      ['404 of the edge', '/_appliance/nothing', 404],
      ['a reading of the edge', '/_appliance/status', 200],
      ['a redirect of the edge', '/_appliance/preview/off', 302],
      ['health of the edge', '/_appliance/health', 200],
    ])('%s', async (_kind, path, status) => {
      if (status === 429) await Promise.all([at(path), secureAt(path)]);
      const [plain, secure] = [await at(path), await secureAt(path)];
      for (const answer of [plain, secure]) {
        expect(answer.status).toBe(status);
        expect(answer.headers).toMatchObject(everywhere);
        expect(answer.headers['x-appliance-release']).toBeDefined();
      }
      // RFC 6797 §7.2.
      expect(plain.headers['strict-transport-security']).toBeUndefined();
      expect(secure.headers['strict-transport-security']).toBe('max-age=63072000; includeSubDomains; preload');
    });

    test('the maintenance page', async () => {
      const nobody = lab.withConfig({ edge: { headers } }).traffic.configureEdge;
      await nobody.bind({ topologies: { blue: null, green: null } }).apply(context());
      const { status, headers: got } = await secureAt('/');
      expect(status).toBe(503);
      expect(got).toMatchObject({ ...everywhere, 'x-appliance-edge': 'maintenance', 'retry-after': '10' });
    });
  });

  test('the content policy only reports until it is enforced, and can be left out', async () => {
    const policy = "default-src 'self'";
    const names = async (mode: string) => {
      await configure({ edge: { headers: { contentPolicy: { mode, policy } } } });
      const { headers } = await at('/');
      return [headers['content-security-policy-report-only'], headers['content-security-policy']];
    };
    const value = "default-src 'self'; frame-ancestors 'self'";
    expect(await names('report-only')).toEqual([value, undefined]);
    expect(await names('enforce')).toEqual([undefined, value]);
    expect(await names('off')).toEqual([undefined, undefined]);
    expect((await at('/policy')).headers['content-security-policy']).toBe("default-src 'none'");
    await lab.configure(topologies());
  });

  describe('HTTP leads to HTTPS', () => {
    beforeAll(() => configure({ edge: { redirect: 'always', internal: ['192.0.2.0/24'] } }));
    afterAll(() => lab.configure(topologies()));

    test('by 308, with path, query and method; the challenge is answered', async () => {
      const { status, headers } = await ask(`${lab.url}/a%20b?c=d`, { method: 'POST', headers: { host }, body: 'x' });
      expect([status, headers.location]).toEqual([308, `https://${host}:${lab.options.https}/a%20b?c=d`]);
      expect(headers).toMatchObject({ 'x-appliance-edge': 'redirect', 'x-frame-options': 'SAMEORIGIN' });
      expect(headers['strict-transport-security']).toBeUndefined();
      expect((await secureAt('/')).status).toBe(200);
      expect((await at('/.well-known/acme-challenge/absent')).status).toBe(404);
      expect((await at('/_appliance/status')).status).toBe(404);
    });

    test('whoever is not internal is led there by an address as well', async () => {
      const { status, headers } = await ask(`${lab.url}/x`);
      expect([status, headers.location]).toEqual([308, `https://127.0.0.1:${lab.options.https}/x`]);
      expect(headers).toMatchObject({ 'x-appliance-edge': 'redirect', 'x-appliance-release': 'none' });
      expect((await ask(`${lab.url}/.well-known/acme-challenge/absent`)).status).toBe(404);
      // A shift is proven by what clients get, also where this host is not internal.
      const { shiftTraffic } = lab.withConfig({ edge: { redirect: 'always', internal: ['192.0.2.0/24'] } }).traffic;
      const all = { blue: 100, green: 0 };
      await shiftTraffic.bind({ from: all, to: all, release: 'v1' }).apply(context());
      await expect(shiftTraffic.bind({ from: all, to: all, release: 'v9' }).apply(context())).rejects.toThrow(
        /came from v1/,
      );
    });

    test('tools on the spot ask by address, and shifts are proven', async () => {
      await configure({ edge: { redirect: 'always' } });
      expect((await ask(`${lab.url}/`)).headers['x-appliance-release']).toBe('v1');
      expect((await at('/')).status).toBe(308);
      expect((await at('/_appliance/status')).status).toBe(200);
      expect((await at('/_appliance/health')).body).toBe('ok\n');
      const step = lab.withConfig({ edge: { redirect: 'always' } }).traffic.shiftTraffic;
      const all = { blue: 100, green: 0 };
      await step.bind({ from: all, to: all, release: 'v1' }).apply(context());
    });
  });

  test('a redirect, and a name of nobody, count for no release', async () => {
    await configure({ edge: { redirect: 'always' } });
    const { traffic } = lab.withConfig({ edge: { redirect: 'always' } });
    await at('/counted-nowhere');
    await ask(`${lab.secureUrl}/`, { headers: { host: 'evil.example.com' }, servername: '' });
    await expect
      .poll(
        async () => {
          const { stdout } = await run('grep', ['-h', 'counted-nowhere', `${lab.paths.log}/edge/access.log`], {
            timeout: 10_000,
          });
          return stdout;
        },
        { timeout: 20_000 },
      )
      .toMatch(/"status":308.*"colour":"","release":"none"/);
    expect((await traffic.status()).weights).toEqual({ blue: 100, green: 0 });
    await lab.configure(topologies());
  });

  describe('limits (S1-17, S2-33, S3-13)', () => {
    afterAll(() => lab.configure(topologies()));

    test('a path has a limit of its own, also below it; the others go on; 429 says when to come back', async () => {
      await configure({
        edge: {
          rateLimit: { perSecond: 500, burst: 500 },
          rateLimits: [{ path: '/login', perMinute: 4, burst: 2 }],
        },
      });
      const tries = await Promise.all(Array.from({ length: 10 }, (_, index) => at(`/login/${index}`)));
      expect(tries.filter(({ status }) => status === 200)).toHaveLength(3);
      const limited = tries.filter(({ status }) => status === 429);
      expect(limited).toHaveLength(7);
      expect(limited[0]?.headers).toMatchObject({ 'retry-after': '15', 'x-appliance-edge': 'rate-limit' });
      const others = await Promise.all(Array.from({ length: 50 }, () => at('/')));
      expect(others.every(({ status }) => status === 200)).toBe(true);
    });

    test('each address has so many requests under way, and no more', async () => {
      await configure({ edge: { limits: { requestsPerAddress: 3 } } });
      const refused: (string | undefined)[] = [];
      const asked = Array.from({ length: 8 }, async () => {
        const { status, headers } = await at('/held');
        if (status === 429) refused.push(headers['retry-after']);
        return status;
      });
      await vi.waitFor(
        () => {
          expect(refused).toEqual(['1', '1', '1', '1', '1']);
          expect(backend.seen.filter((line) => line === 'GET /held')).toHaveLength(3);
        },
        { timeout: 15_000 },
      );
      backend.goOn();
      expect((await Promise.all(asked)).filter((status) => status === 200)).toHaveLength(3);
      expect((await at('/')).status).toBe(200);
    });

    test('slow clients are cut while good ones go on', async () => {
      await configure({ edge: { limits: { headerTimeout: '2s', bodyTimeout: '2s' } } });
      const slowHeaders = Array.from({ length: 200 }, () => drip(lab.options.http, 'GET / HTTP/1.1\r\n', 'X-A: b\r\n'));
      const body = `POST /echo HTTP/1.1\r\nHost: ${host}\r\nContent-Length: 10\r\n\r\n`;
      const slowBody = drip(lab.options.http, body, '');
      const good: number[] = [];
      const cut = Promise.all([...slowHeaders, slowBody]);
      let waiting = true;
      void cut.then(() => {
        waiting = false;
      });
      while (waiting) good.push((await at('/')).status);
      expect((await cut).every(({ ended }) => ended)).toBe(true);
      expect(good.length).toBeGreaterThan(5);
      expect(good.every((status) => status === 200)).toBe(true);
    });

    test('a header that is too long is refused', async () => {
      await configure({ edge: { limits: { headerLine: '2KiB' } } });
      expect((await at('/', { 'x-long': 'x'.repeat(1_900) })).status).toBe(200);
      expect((await at('/', { 'x-long': 'x'.repeat(2_200) })).status).toBe(400);
      expect((await at(`/${'x'.repeat(2_200)}`)).status).toBe(414);
    });
  });

  describe('other origins (S1-10)', () => {
    const app = 'https://app.example.org';
    const other = 'https://evil.example.com';
    const allow = 'access-control-allow-origin';
    const credentials = 'access-control-allow-credentials';
    const asked = async (path: string, origin: string) => {
      const { headers } = await at(path, { origin });
      return [headers[allow], headers[credentials]];
    };
    afterAll(() => lab.configure(topologies()));

    test('without cors, what the application says stands', async () => {
      expect(await asked('/cors/echo', other)).toEqual([other, 'true']);
    });

    test('only listed origins may read; credentials need a word of their own', async () => {
      await configure({ edge: { cors: { origins: [app] } } });
      expect(await asked('/cors/echo', app)).toEqual([app, undefined]);
      expect(await asked('/cors/echo', other)).toEqual([undefined, undefined]);
      expect(await asked('/cors/all', app)).toEqual([app, undefined]);
      expect(await asked('/', app)).toEqual([undefined, undefined]);
      expect((await at('/cors/echo', { origin: app })).headers.vary).toBe('Origin');
      await configure({ edge: { cors: { origins: [app], credentials: true } } });
      expect(await asked('/cors/echo', app)).toEqual([app, 'true']);
      expect(await asked('/cors/echo', other)).toEqual([undefined, undefined]);
      // What the application grants to all never comes with credentials.
      expect(await asked('/cors/all', app)).toEqual([app, undefined]);
      await configure({ edge: { cors: { origins: ['*'] } } });
      expect(await asked('/cors/all', other)).toEqual(['*', undefined]);
    });
  });

  describe('TLS (S2-33, S4-4)', () => {
    const openssl = async (...options: string[]) => {
      const argv = ['s_client', '-connect', `127.0.0.1:${lab.options.https}`, '-servername', host, ...options];
      const { stdout, stderr } = await run('openssl', argv, { timeout: 30_000, input: '' });
      return `${stdout}\n${stderr}`;
    };
    const spoken = (output: string) => /^New, (\S+), Cipher is (\S+)$/m.exec(output)?.slice(1);
    afterAll(() => lab.configure(topologies()));

    test('speaks 1.2 and 1.3 with forward secrecy alone', async () => {
      expect(spoken(await openssl('-tls1_3'))).toEqual(['TLSv1.3', expect.stringMatching(/^TLS_AES_(128|256)_GCM/)]);
      expect(spoken(await openssl('-tls1_2'))).toEqual(['TLSv1.2', 'ECDHE-ECDSA-AES128-GCM-SHA256']);
      for (const old of ['-tls1_1', '-tls1']) {
        const output = await openssl(old, '-cipher', 'ALL:@SECLEVEL=0');
        expect(output).toMatch(/alert protocol version|no protocols available|unsupported protocol/);
      }
      for (const weak of ['AES128-SHA', 'ECDHE-ECDSA-AES128-SHA256', 'NULL', 'DHE-RSA-AES128-GCM-SHA256'])
        expect(await openssl('-tls1_2', '-cipher', `${weak}:@SECLEVEL=0`)).toMatch(/handshake failure|no cipher match/);
      // A phone without AES in hardware says so by its order.
      const chacha = 'ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-ECDSA-AES128-GCM-SHA256';
      expect(spoken(await openssl('-tls1_2', '-cipher', chacha))?.[1]).toBe('ECDHE-ECDSA-CHACHA20-POLY1305');
    });

    test('hands out no session tickets', async () => {
      expect(await openssl('-tls1_2')).not.toMatch(/TLS session ticket:/);
      expect(await openssl('-tls1_2', '-no_ticket')).toMatch(/Session-ID: [0-9A-F]{64}/);
    });

    test('curves of today alone', async () => {
      expect(spoken(await openssl('-tls1_3', '-groups', 'X25519'))?.[0]).toBe('TLSv1.3');
      expect(spoken(await openssl('-tls1_3', '-groups', 'P-384'))?.[0]).toBe('TLSv1.3');
      expect(await openssl('-tls1_3', '-groups', 'P-521')).toMatch(/handshake failure/);
    });

    test('1.3 alone where it is asked for', async () => {
      await configure({ edge: { tls: { minVersion: '1.3' } } });
      expect(await openssl('-tls1_2')).toMatch(/alert protocol version/);
      expect(spoken(await openssl('-tls1_3'))?.[0]).toBe('TLSv1.3');
      const { status } = await ask(`${lab.secureUrl}/`);
      expect(status).toBe(200);
    });

    test('a name of nobody gets no handshake', async () => {
      expect(await openssl('-servername', 'evil.example.com')).toMatch(/tlsv1 unrecognized name/);
    });
  });
});

/** A client that sends a piece now and then, and never comes to an end. */
function drip(port: number, first: string, piece: string): Promise<{ ended: boolean }> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => socket.write(first));
    const timer = setInterval(() => piece !== '' && socket.write(piece), 300);
    const end = (ended: boolean) => {
      clearInterval(timer);
      clearTimeout(limit);
      socket.destroy();
      resolve({ ended });
    };
    const limit = setTimeout(() => end(false), 60_000);
    socket.on('error', () => end(true));
    socket.on('close', () => end(true));
    socket.resume();
  });
}
