import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Colour } from '../../src/lib/colour.ts';
import type { Route } from '../../src/lib/routes.ts';
import { ask } from './edge-clients.ts';
import { type EdgeLab, openLab, port } from './edge-lab.ts';

const route = (path: string, service: string): Route => ({ path, service, port, timeout: 60_000, maxBody: 1_000 });

describe('two colours with routes of their own', () => {
  let lab: EdgeLab;
  const on = (colour: Colour, path: string) => ask(`${lab.url}${path}`, { headers: { 'x-appliance-preview': colour } });

  beforeAll(async () => {
    lab = await openLab({ name: 'routes', net: 50, http: 18086, https: 18087 });
    const listens = async (colour: Colour, release: string, service: string, routes: Route[]) => {
      await lab.startRelease(colour, release, 11);
      return { colour, release, addresses: { [service]: [lab.address(colour, 11)] }, routes };
    };
    await lab.configure({
      blue: await listens('blue', 'v1', 'backend', [route('/', 'backend'), route('/old/', 'backend')]),
      green: await listens('green', 'v2', 'api', [route('/api/', 'api'), route('/gone', 'missing')]),
    });
  });
  afterAll(() => lab?.close());

  test.each<[Colour, string, number, string]>([
    ['blue', '/', 200, 'v1'],
    ['blue', '/old/x', 200, 'v1'],
    ['blue', '/api/x', 200, 'v1'],
    ['blue', '/api', 200, 'v1'],
    ['blue', '/gone', 200, 'v1'],
    ['green', '/api/x', 200, 'v2'],
    // No route leads there from green, as if blue's were not there.
    ['green', '/', 404, 'v2'],
    ['green', '/old/x', 404, 'v2'],
    ['green', '/old', 404, 'v2'],
    ['green', '/metrics', 404, 'v2'],
    // A route whose service is not there.
    ['green', '/gone', 503, 'v2'],
  ])('%s answers %s with %i', async (colour, path, status, release) => {
    const answer = await on(colour, path);
    expect({ status: answer.status, release: answer.headers['x-appliance-release'] }).toEqual({ status, release });
  });

  test('a prefix without its slash is led there on the colour that has it, with the query', async () => {
    expect(await on('green', '/api?q=1')).toMatchObject({ status: 301, headers: { location: '/api/?q=1' } });
    expect(await on('blue', '/old?q=1')).toMatchObject({ status: 301, headers: { location: '/old/?q=1' } });
  });
});
