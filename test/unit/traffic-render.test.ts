import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { reachable } from '../../src/capabilities/traffic/addresses.ts';
import { objection } from '../../src/capabilities/traffic/arrival.ts';
import { generationOf, renderEdge } from '../../src/capabilities/traffic/render.ts';
import type { Topologies } from '../../src/capabilities/traffic/topologies.ts';
import { type Config, configSchema } from '../../src/config/schema.ts';
import { proofPath, type Route, routeFor } from '../../src/lib/routes.ts';
import type { Topology } from '../../src/lib/topology.ts';

const services = {
  backend: { role: 'app', probe: { type: 'http', port: 8000, path: '/health' } },
  web: { role: 'app' },
};
const routes = [
  { path: '/api/', service: 'backend', port: 8000, timeout: '120s', maxBody: '64MiB' },
  { path: '/health', service: 'backend', port: 8000 },
  { path: '/', service: 'web', port: 3001 },
];

function config(overrides: Record<string, unknown> = {}): Config {
  return configSchema.parse({ name: 'demo', source: { repository: '/srv/demo' }, services, routes, ...overrides });
}

function topology(colour: 'blue' | 'green', release: string, addresses: Record<string, string[]>): Topology {
  return { colour, release, addresses };
}

const both: Topologies = {
  blue: topology('blue', 'v0.9', { backend: ['10.213.0.11', '10.213.0.12'], web: ['10.213.0.13'] }),
  green: topology('green', 'v1.0', { backend: ['10.213.1.11'] }),
};

describe('renderEdge', () => {
  test('writes the configuration that stands in the golden file', async () => {
    const domains = ['appliance.example.org', '*.example.net'];
    const text = renderEdge(config({ edge: { domains, rateLimit: { perSecond: 50, burst: 100 } } }), both);
    await expect(text).toMatchFileSnapshot('golden/edge.conf');
  });

  test('with everything that can be asked for, too', async () => {
    const edge = {
      domains: ['a.example.org', '*.example.net', 'b.example.org', '192.0.2.7'],
      https: '443',
      tls: { minVersion: '1.3' },
      headers: { hsts: { includeSubDomains: true }, contentPolicy: { mode: 'enforce' }, frame: 'off' },
      cors: { origins: ['https://app.example.org'], credentials: true },
      limits: { headerTimeout: '5s', requestsPerAddress: 100 },
      rateLimit: { perSecond: 50, burst: 0 },
      rateLimits: [
        { path: '/api/login', perMinute: 6 },
        { path: '/health', perSecond: 2, burst: 2 },
      ],
    };
    const sets = [
      { name: 'main', domains: ['a.example.org', '*.example.net'] },
      { name: 'inside', domains: ['b.example.org', '192.0.2.7'], issuer: 'self-signed' },
    ];
    const text = renderEdge(config({ edge, certificates: { issuer: 'imported', sets } }), both);
    await expect(text).toMatchFileSnapshot('golden/edge-hardened.conf');
    // nginx tries expressions in their order: what matches everything comes last.
    expect(text.indexOf('"~^\\[";')).toBeLessThan(text.indexOf('server_name "~^";'));
  });

  test('has nothing of shadow traffic but where appliance.yaml asks for it', () => {
    const plain = renderEdge(config(), both);
    expect(plain).not.toMatch(/shadow/i);
    const text = renderEdge(config({ shadow: { methods: ['GET', 'POST'] } }), both);
    const copied = /if \(\$appliance_shadowed = (blue|green)\) \{[^}]*proxy_pass http:\/\/(\S+);/g;
    const usual = /if \(\$appliance_colour = (blue|green)\) \{ proxy_pass http:\/\/(\S+);/g;
    const ways = (pattern: RegExp) => [...text.matchAll(pattern)].map(([, colour, pool]) => `${colour} ${pool}`);
    // A copied request goes the way that it would have gone, before it could go another.
    expect(ways(copied)).toEqual(ways(usual));
    expect(ways(copied).length).toBeGreaterThan(4);
    for (const block of text.split('location ').filter((part) => part.includes('$appliance_shadowed = blue')))
      expect(block.indexOf('$appliance_shadowed = blue')).toBeLessThan(block.indexOf('$appliance_colour = blue'));
    expect(text).toContain('"on|POST" $appliance_sampled;');
    expect(text).not.toContain('"on|PUT"');
    expect(text.match(/proxy_set_header X-Appliance-Shadow "";/g)).toHaveLength(2);
    expect(renderEdge(config({ shadow: {} }), both)).not.toContain('client_body_buffer_size 64k');
  });

  test('is the same text for the same input, whatever the order of the services', () => {
    const turned = {
      ...both,
      blue: topology('blue', 'v0.9', { web: ['10.213.0.13'], backend: ['10.213.0.11', '10.213.0.12'] }),
    };
    expect(renderEdge(config(), turned)).toBe(renderEdge(config(), both));
  });

  test('has another generation for another topology, route or limit', () => {
    const generations = [
      renderEdge(config(), both),
      renderEdge(config(), { ...both, green: null }),
      renderEdge(config({ routes: routes.slice(1) }), both),
      renderEdge(config({ edge: { rateLimit: { perSecond: 1, burst: 0 } } }), both),
    ].map(generationOf);
    expect(new Set(generations).size).toBe(4);
    expect(generations.every((generation) => /^[0-9a-f]{16}$/.test(generation ?? ''))).toBe(true);
  });

  test('does not depend on the tags: another release at the same addresses needs no reload', () => {
    const renamed = { blue: both.blue && { ...both.blue, release: 'v7' }, green: both.green };
    expect(renderEdge(config(), renamed)).toBe(renderEdge(config(), both));
  });

  test('leaves a colour without the service without a pool, and only that colour', () => {
    const text = renderEdge(config(), both);
    expect(text).toContain('upstream appliance_blue_10.213.0.13_3001');
    expect(text).not.toMatch(/upstream appliance_green_\S+_3001/);
    expect(text).toContain('upstream appliance_green_10.213.1.11_8000');
  });

  test('never repeats what was sent and is not idempotent', () => {
    expect(renderEdge(config(), both)).not.toContain('non_idempotent');
  });

  test('keeps quotes, blanks and braces of a path inside its quotes', () => {
    const odd = config({ routes: [{ path: '/a "b" {;} $c \\d', service: 'web', port: 3001 }] });
    expect(renderEdge(odd, both)).toContain(String.raw`location "/a \"b\" {;} $c \\d" {`);
  });

  test('holds no tag, so none can break out of it', () => {
    expect(renderEdge(config(), { ...both, green: topology('green', 'v1;}"$x', {}) })).not.toContain('v1;}');
  });

  test.each([
    ['a path with a line break', { routes: [{ path: '/a\nb', service: 'web', port: 1 }] }],
    ['a domain with a semicolon', { edge: { domains: ['a;b'] } }],
    ['an internal range that is none', { edge: { internal: ['10.0.0.0/33'] } }],
    ['an internal range with a line break', { edge: { internal: ['10.0.0.0/8 1;\n'] } }],
  ])('refuses %s', (_name, overrides) => {
    expect(() => renderEdge(config(overrides), both)).toThrowError(expect.objectContaining({ code: 'config_invalid' }));
  });

  test('guards the metrics page under every prefix, and with a slash behind it', () => {
    const text = renderEdge(config(), both);
    for (const location of ['= "/metrics"', '"/metrics/"', '= "/api/metrics"', '"/api/metrics/"']) {
      expect(text).toMatch(
        new RegExp(
          `location ${location.replace(/\//g, '\\/')} \\{\\s+if \\(\\$appliance_internal = 0\\) \\{ return 403; \\}`,
        ),
      );
    }
  });

  test('names the same zones as the configuration before the first release, so that a reload keeps their content', async () => {
    const bootstrap = await readFile(join(import.meta.dirname, '../../nginx/bootstrap.conf'), 'utf8');
    const zone = /js_shared_dict_zone [^;]+;/.exec(bootstrap)?.[0];
    expect(zone).toBeDefined();
    expect(renderEdge(config(), both)).toContain(zone);
    expect(generationOf(bootstrap)).toBe('bootstrap');
  });
});

describe('renderEdge of two releases with routes of their own', () => {
  const route = (path: string, service: string, about: Partial<Route> = {}): Route => ({
    ...{ path, service, port: 8000, timeout: 60_000, maxBody: 10 },
    ...about,
  });
  const blue = { ...topology('blue', 'v1', { backend: ['10.213.0.11'], web: ['10.213.0.12'] }) };
  const green = { ...topology('green', 'v2', { api: ['10.213.1.11'], web: ['10.213.1.12'] }) };
  const render = (blueRoutes: Route[], greenRoutes: Route[]) =>
    renderEdge(config(), { blue: { ...blue, routes: blueRoutes }, green: { ...green, routes: greenRoutes } });
  /** The text of a block, without those inside of it. */
  const blockOf = (text: string, head: string) =>
    text
      .slice(text.indexOf(`${head} {`))
      .split('\n')
      .slice(1)
      .join('\n')
      .split(/^\s*}$/m)[0];
  /** What a location does last: one line for each colour, then one for a request without any. */
  const waysOf = (text: string, head: string) => blockOf(text, head)?.trim().split(/\n\s*/).slice(-3) ?? [];

  test('a renamed service: each colour gets its own, without a reload', () => {
    const text = render([route('/', 'backend')], [route('/', 'api')]);
    expect(waysOf(text, 'location "/"')).toEqual([
      'if ($appliance_colour = blue) { proxy_pass http://appliance_blue_10.213.0.11_8000; break; }',
      'if ($appliance_colour = green) { proxy_pass http://appliance_green_10.213.1.11_8000; break; }',
      'return 503;',
    ]);
    const before = { ...green, addresses: { backend: ['10.213.1.11'] }, routes: [route('/', 'backend')] };
    expect(renderEdge(config(), { blue: { ...blue, routes: before.routes }, green: before })).toBe(text);
  });

  test('a path of one colour alone: the other gets what its own routes say, or 404', () => {
    const text = render([route('/api/', 'backend')], [route('/api/', 'api'), route('/api/new', 'web')]);
    expect(waysOf(text, 'location "/api/new"')).toEqual([
      'if ($appliance_colour = blue) { proxy_pass http://appliance_blue_10.213.0.11_8000; break; }',
      'if ($appliance_colour = green) { proxy_pass http://appliance_green_10.213.1.12_8000; break; }',
      'return 503;',
    ]);
    const alone = render([route('/api/', 'backend')], [route('/', 'web')]);
    expect(waysOf(alone, 'location "/"')[0]).toBe('if ($appliance_colour = blue) { return 404; }');
    expect(blockOf(alone, 'location "/api/"')).not.toContain('404');
  });

  test('a prefix that ends in a slash on one colour alone is led to its slash there, and only there', () => {
    const text = render([route('/', 'web'), route('/a b/', 'backend')], [route('/', 'web')]);
    expect(waysOf(text, 'location = "/a b"')).toEqual([
      'if ($appliance_colour = blue) { return 301 "/a%20b/$is_args$args"; }',
      'if ($appliance_colour = green) { proxy_pass http://appliance_green_10.213.1.12_8000; break; }',
      'return 503;',
    ]);
    const both = [route('/', 'web'), route('/a b/', 'web')];
    expect(render(both, both)).not.toContain('return 301');
  });

  test('the larger timeout and body of both hold', () => {
    const text = render(
      [route('/', 'web', { timeout: 5_000, maxBody: 70 })],
      [route('/', 'web', { timeout: 90_000, maxBody: 7 })],
    );
    expect(blockOf(text, 'location "/"')).toContain('client_max_body_size 70;');
    expect(blockOf(text, 'location "/"')).toContain('proxy_read_timeout 90000ms;');
  });

  test('the same routes make the same text, whatever their order and wherever they were recorded', () => {
    const mine = config().routes;
    expect(render([...mine], [...mine].reverse())).toBe(renderEdge(config(), { blue, green }));
    expect(render(mine, mine)).toBe(
      renderEdge(config({ routes: routes.slice(2) }), {
        blue: { ...blue, routes: mine },
        green: { ...green, routes: mine },
      }),
    );
  });

  test('a colour that is not there borrows the paths of the other', () => {
    const text = renderEdge(config(), { blue: null, green: { ...green, routes: [route('/only', 'api')] } });
    expect(blockOf(text, 'location "/only"')).toContain('if ($appliance_colour = blue) { return 503; }');
  });
});

describe('routeFor', () => {
  test.each([
    ['/api/x', '/api/'],
    ['/api', '/'],
    ['/healthz', '/health'],
    ['/', '/'],
  ])('%s goes to %s', (path, expected) => {
    expect(routeFor(config().routes, path)?.path).toBe(expected);
  });
});

describe('reachable', () => {
  test.each([
    ['127.0.0.1:8080', '127.0.0.1', 8080],
    ['8080', '127.0.0.1', 8080],
    ['0.0.0.0:80', '127.0.0.1', 80],
    ['192.168.7.9:81', '192.168.7.9', 81],
    ['[::1]:8443', '::1', 8443],
    ['[::]:8443', '127.0.0.1', 8443],
  ])('%s', (listen, host, port) => {
    expect(reachable(listen)).toEqual({ host, port });
  });
});

describe('the proof of a shift', () => {
  test('asks a probe that the routes lead to, else the first route', () => {
    const apps = [{ name: 'backend', probe: { type: 'http', port: 8000, path: '/health' } }];
    expect(proofPath(config().routes, apps)).toBe('/health');
    expect(proofPath(config({ routes: routes.slice(2) }).routes, apps)).toBe('/');
    expect(proofPath(config().routes, [{ name: 'web', probe: null }])).toBe('/api/');
  });

  const good = { status: 200, release: 'v1.0', edge: '' };
  test('believes the release, whatever the status', () => {
    expect(objection(good, 'v1.0')).toBeUndefined();
    expect(objection({ ...good, status: 404 }, 'v1.0')).toBeUndefined();
  });
  test.each([
    ['another release', { ...good, release: 'v0.9' }],
    ['no release', { ...good, release: '' }],
    ['an answer of the edge itself', { ...good, status: 503, edge: 'maintenance' }],
  ])('does not believe %s', (_name, arrival) => {
    expect(objection(arrival, 'v1.0')).toEqual(expect.any(String));
  });
});
