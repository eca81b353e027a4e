import { describe, expect, test } from 'vitest';
import { guessRole, healthUrl, portsOf } from '../../src/config/guess.ts';
import { initFrom } from '../../src/config/init.ts';
import { parseConfig } from '../../src/config/load.ts';
import { ApplianceError } from '../../src/lib/errors.ts';

const source = { repository: '/srv/shop', compose: ['compose.yaml'] };

const shop = {
  name: 'Shop_1',
  services: {
    api: {
      build: { context: '.' },
      ports: [{ target: 8000, published: '8000' }],
      healthcheck: { test: ['CMD', 'curl', '-fsS', 'http://localhost:8000/health?full=1'] },
      depends_on: { migrate: { condition: 'service_completed_successfully' }, db: { condition: 'service_healthy' } },
    },
    frontend: { build: { context: './web' }, ports: [{ target: 3000, published: '3000' }] },
    worker: { build: { context: '.' }, command: ['celery', 'worker'] },
    migrate: { build: { context: '.' }, command: ['alembic', 'upgrade', 'head'] },
    seed: { image: 'x', command: 'load-fixtures', restart: 'no' },
    db: { image: 'docker.io/library/postgres:17', volumes: [{ type: 'volume', source: 'pg', target: '/x' }] },
    cache: { image: 'redis:7@sha256:abc' },
    files: { image: 'acme/storage:2', volumes: [{ type: 'volume', source: 'f', target: '/f' }] },
    proxy: { image: 'nginx:1.27', ports: [{ target: 80, published: '80' }] },
  },
};

describe('initFrom', () => {
  test('guesses roles, routes and probes, and the draft is a good configuration', () => {
    const { text, notes } = initFrom(shop, { ...source, envFile: '/srv/shop/.env' });
    const { config, problems } = parseConfig(text);
    expect(problems).toEqual([]);
    expect(config).toMatchObject({
      name: 'shop-1',
      source: { ...source, envFile: '/srv/shop/.env' },
      services: {
        api: { role: 'app', probe: { type: 'http', port: 8000, path: '/health?full=1', releaseHeader: false } },
        frontend: { role: 'app', probe: { type: 'tcp', port: 3000 } },
        worker: { role: 'app' },
        migrate: { role: 'migrate' },
        seed: { role: 'job' },
        db: { role: 'core' },
        cache: { role: 'core' },
        files: { role: 'core' },
        proxy: { role: 'ignore' },
      },
      routes: [
        { path: '/api/', service: 'api', port: 8000 },
        { path: '/', service: 'frontend', port: 3000 },
      ],
    });
    expect(notes).toContain('proxy is ignore: nginx on port 80 or 443: the edge of the appliance takes its place');
    for (const service of Object.keys(shop.services)) expect(text).toMatch(new RegExp(`# .+\\n {2}${service}:\\n`));
  });

  test('a project that says no port gets a route that asks to be changed', () => {
    const { text } = initFrom({ services: { thing: { build: {} } } }, source);
    expect(parseConfig(text).problems).toEqual([]);
    expect(text).toContain('# CHANGE THIS');
  });

  test('a second migration becomes a job', () => {
    const services = {
      app: { build: {} },
      m1: { image: 'x', command: 'alembic', restart: 'no' },
      m2: { image: 'x', command: 'flyway', restart: 'no' },
    };
    expect(parseConfig(initFrom({ services }, source).text).config?.services).toMatchObject({
      m1: { role: 'migrate' },
      m2: { role: 'job' },
    });
  });

  test('names that YAML would misread are quoted', () => {
    const services = { true: { build: {}, expose: ['8080'] }, '1.5': { image: 'redis' } };
    const { config } = parseConfig(
      initFrom({ services }, { repository: 'https://h/a b: #c', compose: ['d: e.yaml'] }).text,
    );
    expect(config?.services).toMatchObject({ true: { role: 'app' }, '1.5': { role: 'core' } });
    expect(config?.source).toMatchObject({ repository: 'https://h/a b: #c', compose: ['d: e.yaml'] });
  });

  test('odd project names become valid ones', () => {
    for (const name of ['9lives', '---', 'Ünïcode', 'x'.repeat(60), `a${'-'.repeat(40)}b`]) {
      expect(parseConfig(initFrom({ name, services: { a: { build: {} } } }, source).text).problems).toEqual([]);
    }
  });

  test('no model, or nothing to deploy', () => {
    for (const raw of [null, [], 'x', { services: { db: { image: 'postgres' } } }])
      expect(() => initFrom(raw, source)).toThrow(ApplianceError);
  });
});

describe('guesses', () => {
  test.each([
    ['curl -f http://127.0.0.1:9000/live || exit 1', { port: 9000, path: '/live' }],
    ["wget -qO- 'http://localhost/'", { port: 80, path: '/' }],
    ['curl -k https://localhost', { port: 443, path: '/' }],
    ['curl http://other:80/x', undefined],
    ['pg_isready', undefined],
  ])('healthcheck %s', (test_, expected) => {
    expect(healthUrl({ healthcheck: { test: ['CMD-SHELL', test_] } })).toEqual(expected);
  });

  test('an nginx that serves pages of its own is an application', () => {
    const web = { image: 'nginx:1', ports: [{ target: 80, published: '3000' }] };
    expect(guessRole('web', web, { services: { web } }).role).toBe('app');
  });

  test('ports: published before exposed before checked', () => {
    const service = {
      expose: ['9000', '8000'],
      ports: [{ target: 8000 }],
      healthcheck: { test: 'curl http://localhost:7000/' },
    };
    expect(portsOf(service)).toEqual([8000, 9000, 7000]);
  });
});
