import { describe, expect, test } from 'vitest';
import {
  type CoreRequest,
  colourModel,
  coreModel,
  imagesModel,
  migrateModel,
  plannedImages,
  projectSchema,
  releaseImage,
  topologyOf,
} from '../../src/capabilities/stack/index.ts';
import { escapeDollar, modelText, unescapeDollar } from '../../src/capabilities/stack/model.ts';
import { startOrder } from '../../src/capabilities/stack/start-order.ts';
import { configSchema, probeSchema } from '../../src/config/schema.ts';
import { ApplianceError } from '../../src/lib/errors.ts';
import { topologySchema } from '../../src/lib/topology.ts';
import { imageIds, project } from './stack-project.ts';

const request = {
  name: 'demo',
  colour: 'green',
  tag: 'v1$0',
  releaseId: 'v1-0123456789',
  subnet: '10.215.1.0/24',
  project,
  imageIds,
} as const;
const { edge } = configSchema.parse({
  name: 'demo',
  source: { repository: '/r' },
  services: { api: { role: 'app' } },
  routes: [{ path: '/', service: 'api', port: 8000 }],
  edge: { https: '[::1]:8443' },
});
const coreRequest: CoreRequest = {
  config: { name: 'demo', edge },
  project,
  imageIds,
  subnets: { blue: '10.215.0.0/24', green: '10.215.1.0/24' },
  edgeDirectory: '/lib/edge',
  edgeLogDirectory: '/log/edge',
};

describe('golden models', () => {
  test('of a colour', async () => {
    await expect(colourModel(request).text).toMatchFileSnapshot('stack-golden/colour.model.txt');
  });
  test('of a migration', async () => {
    await expect(migrateModel(request)?.text).toMatchFileSnapshot('stack-golden/migrate.model.txt');
  });
  test('of the core', async () => {
    await expect(coreModel(coreRequest).text).toMatchFileSnapshot('stack-golden/core.model.txt');
  });
  test('of the images', async () => {
    const plans = plannedImages('demo', request.releaseId, project);
    await expect(modelText(imagesModel('demo', project, plans))).toMatchFileSnapshot('stack-golden/images.model.txt');
  });
});

describe('colourModel', () => {
  test('does not depend on the order of keys', () => {
    const shuffled = projectSchema.parse({
      ...project,
      model: { ...project.model, services: Object.fromEntries(Object.entries(project.model.services).reverse()) },
    });
    expect(colourModel({ ...request, project: shuffled }).text).toBe(colourModel(request).text);
  });

  test('leaves its request alone', () => {
    const before = modelText(project);
    colourModel(request);
    coreModel(coreRequest);
    expect(modelText(project)).toBe(before);
  });

  test('both colours differ in names, addresses and own volumes, in nothing else', () => {
    const green = colourModel(request).text;
    const blue = colourModel({ ...request, colour: 'blue', subnet: '10.215.0.0/24' }).text;
    expect(blue.replaceAll('blue', 'green').replaceAll('10.215.0.', '10.215.1.')).toBe(green);
  });

  test('an image that was never built is a defect, not a guess', () => {
    expect(() => colourModel({ ...request, imageIds: {} })).toThrow(ApplianceError);
  });

  test('more containers than a colour has addresses are refused', () => {
    const [api, ...rest] = project.services;
    const many = { ...project, services: [...(api ? [{ ...api, replicas: 118 }] : []), ...rest] };
    expect(() => colourModel({ ...request, project: many })).toThrow('room for 118');
  });

  test('a project without a migration has no migration model', () => {
    const services = project.services.filter(({ role }) => role !== 'migrate');
    expect(migrateModel({ ...request, project: { ...project, services } })).toBeUndefined();
  });
});

describe('startOrder', () => {
  const on = (...targets: [string, string][]) => ({
    depends_on: Object.fromEntries(targets.map(([target, condition]) => [target, { condition }])),
  });

  test('one stage when nobody waits for health', () => {
    const services = { a: on(['b', 'service_started']), b: on(['job', 'service_completed_successfully']), job: {} };
    expect(startOrder(services)).toEqual({ services, stages: [{ services: ['a', 'b', 'job'], gates: [] }] });
  });

  test('a stage for each step of a chain; who follows a follower comes no earlier', () => {
    const { stages, services } = startOrder({
      web: on(['api', 'service_healthy'], ['cache', 'service_healthy']),
      api: on(['store', 'service_healthy']),
      cache: {},
      helper: on(['web', 'service_started']),
      store: {},
    });
    expect(stages).toEqual([
      { services: ['cache', 'store'], gates: ['cache', 'store'] },
      { services: ['api'], gates: ['api'] },
      { services: ['helper', 'web'], gates: [] },
    ]);
    expect(JSON.stringify(services)).not.toContain('service_healthy');
  });

  test('nothing to start is one empty stage', () => {
    expect(startOrder({})).toEqual({ services: {}, stages: [{ services: [], gates: [] }] });
  });
});

test('the topology names the addresses that the model fixes', () => {
  const topology = topologySchema.parse(topologyOf(request));
  expect(topology).toEqual({
    colour: 'green',
    release: 'v1$0',
    addresses: { api: ['10.215.1.10', '10.215.1.11'], web: ['10.215.1.12'] },
  });
  const text = colourModel(request).text;
  for (const address of Object.values(topology.addresses).flat())
    expect(text).toContain(`"ipv4_address": "${address}"`);
});

test('the topology carries the routes of the release, and a path to prove it by; an old release has neither', () => {
  const route = (path: string, service: string) => ({ path, service, port: 8000, timeout: 60_000, maxBody: 1 });
  const routes = [route('/', 'web'), route('/api/', 'api')];
  const services = project.services.map((service) =>
    service.name === 'api'
      ? { ...service, probe: probeSchema.parse({ type: 'http', port: 8000, path: '/api/health' }) }
      : service,
  );
  const recorded = topologyOf({ ...request, project: { ...project, services, routes } });
  expect(topologySchema.parse(recorded)).toMatchObject({ routes, proofPath: '/api/health' });
  expect(Object.keys(topologyOf(request))).toEqual(['colour', 'release', 'addresses']);
});

test('before the first deploy the core is the edge alone', () => {
  const { model, volumes } = coreModel({ ...coreRequest, project: null });
  expect(Object.keys(model.services)).toEqual(['edge']);
  expect(volumes).toEqual([]);
});

describe('images', () => {
  test('services that share a build share the image; nothing keeps a name that can move', () => {
    const plans = plannedImages('demo', 'v1-1', project);
    expect(plans).toEqual([
      {
        services: ['api', 'migrate', 'seed'],
        name: 'appliance.local/demo/api:v1-1',
        builtBy: 'api',
        ref: 'demo/api:v1',
      },
      { services: ['postgres'], name: 'appliance.local/demo/postgres:v1-1', builtBy: null, ref: 'postgres:17' },
      { services: ['web'], name: 'appliance.local/demo/web:v1-1', builtBy: 'web', ref: 'demo/web:v1' },
    ]);
    expect(modelText(imagesModel('demo', project, plans))).not.toContain('latest');
  });

  test('names are valid and never meet', () => {
    expect(releaseImage('demo', 'api', 'v1.0+rc-1')).toBe('appliance.local/demo/api:v1.0_rc-1');
    const names = ['api', 'API', 'a.pi', 'a-pi', 'a_pi'].map((service) => releaseImage('demo', service, 'v1'));
    expect(new Set(names).size).toBe(5);
    for (const name of names) expect(name).toMatch(/^appliance\.local\/demo\/[a-z0-9]+(?:-[a-z0-9]+)*:v1$/);
  });
});

test('dollars survive the way to Compose and back', () => {
  for (const text of ['', '$', '$$', 'a$b', `\${A}`, '$$$']) expect(unescapeDollar(escapeDollar(text))).toBe(text);
});
