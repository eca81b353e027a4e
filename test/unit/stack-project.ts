import { type Project, projectSchema } from '../../src/capabilities/stack/index.ts';

/** A frozen project with one of everything, for tests that need no engine. */
export const project: Project = projectSchema.parse({
  model: {
    name: 'demo',
    services: {
      api: {
        image: 'demo/api:v1',
        build: { context: '/release/source', tags: ['demo/api:latest'] },
        command: null,
        container_name: 'api',
        depends_on: {
          postgres: { condition: 'service_healthy', required: true },
          migrate: { condition: 'service_completed_successfully', required: true },
          seed: { condition: 'service_completed_successfully', required: true },
        },
        deploy: { replicas: 2, resources: { limits: { memory: '67108864' } } },
        environment: { PRICE: '5$$', UNSET: null },
        healthcheck: {
          test: ['CMD-SHELL', 'curl -f http://localhost:8000/health'],
          interval: '30s',
          start_interval: '1s',
        },
        networks: { default: { aliases: ['backend'] } },
        ports: [{ target: 8000, published: '8000', mode: 'ingress' }],
        restart: 'always',
        secrets: [{ source: 'key', target: '/run/secrets/key' }],
        volumes: [
          { type: 'volume', source: 'data', target: '/data' },
          { type: 'volume', source: 'cache', target: '/cache' },
          { type: 'bind', source: '/release/files/conf', target: '/conf', read_only: true },
        ],
        'x-unknown': { kept: true },
      },
      web: {
        image: 'demo/web:v1',
        build: { context: '/release/source/web' },
        depends_on: { api: { condition: 'service_started' } },
      },
      seed: { image: 'demo/api:v1', command: ['seed'], restart: 'no' },
      migrate: { image: 'demo/api:v1', command: ['alembic', 'upgrade', 'head'], secrets: [{ source: 'key' }] },
      postgres: {
        image: 'postgres:17',
        ports: [
          { target: 5432, published: '5432' },
          { target: 5432, published: '5432', host_ip: '127.0.0.1' },
        ],
        volumes: [{ type: 'volume', source: 'pg', target: '/var/lib/postgresql/data' }],
      },
    },
    secrets: { key: { file: '/release/secrets/key' }, unused: { file: '/release/secrets/unused' } },
    volumes: { data: { name: 'demo_data' }, cache: { name: 'demo_cache' }, pg: { name: 'demo_pg' } },
  },
  services: [
    { name: 'api', role: 'app', replicas: 2, builtBy: 'api', imageRef: 'demo/api:v1', healthcheck: true, probe: null },
    {
      name: 'migrate',
      role: 'migrate',
      replicas: 1,
      builtBy: 'api',
      imageRef: 'demo/api:v1',
      healthcheck: false,
      probe: null,
    },
    {
      name: 'postgres',
      role: 'core',
      replicas: 1,
      builtBy: null,
      imageRef: 'postgres:17',
      healthcheck: false,
      probe: null,
    },
    {
      name: 'seed',
      role: 'job',
      replicas: 1,
      builtBy: 'api',
      imageRef: 'demo/api:v1',
      healthcheck: false,
      probe: null,
    },
    { name: 'web', role: 'app', replicas: 1, builtBy: 'web', imageRef: 'demo/web:v1', healthcheck: false, probe: null },
  ],
  perColour: ['cache'],
  schema: null,
  files: {},
  notes: [],
});

export const imageIds = {
  api: 'sha256:aaaa',
  migrate: 'sha256:aaaa',
  seed: 'sha256:aaaa',
  web: 'sha256:cccc',
  postgres: 'sha256:bbbb',
  edge: 'sha256:dddd',
};
