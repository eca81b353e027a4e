import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { reachable } from '../../src/capabilities/traffic/addresses.ts';
import { objection, probePath } from '../../src/capabilities/traffic/arrival.ts';
import { generationOf, renderEdge } from '../../src/capabilities/traffic/render.ts';
import { routeFor } from '../../src/capabilities/traffic/routes.ts';
import type { Topologies } from '../../src/capabilities/traffic/topologies.ts';
import { type Config, configSchema } from '../../src/config/schema.ts';
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
    expect(text).toContain('upstream appliance_blue_web_3001');
    expect(text).not.toContain('upstream appliance_green_web_3001');
    expect(text).toContain('upstream appliance_green_backend_8000');
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
    expect(probePath(config())).toBe('/health');
    expect(probePath(config({ routes: routes.slice(2) }))).toBe('/');
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
