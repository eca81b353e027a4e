import { describe, expect, test } from 'vitest';
import { type CoreRequest, coreModel } from '../../src/capabilities/stack/index.ts';
import { parseConfig } from '../../src/config/load.ts';
import { configSchema } from '../../src/config/schema.ts';
import { imageIds, project } from './stack-project.ts';

const config = configSchema.parse({
  name: 'demo',
  source: { repository: '/r' },
  services: { api: { role: 'app' } },
  routes: [{ path: '/', service: 'api', port: 8000 }],
  monitoring: {},
});
if (!config.monitoring) throw new Error('the section is there');
const images = { prometheus: 'sha256:p', alertmanager: 'sha256:a', 'node-exporter': 'sha256:n' };
const directories = {
  prometheus: '/lib/m$/prometheus',
  alertmanager: '/lib/m$/alertmanager',
  textfile: '/lib/m$/textfile',
};
const request: CoreRequest = {
  config,
  project,
  imageIds: { ...imageIds, ...images },
  subnets: { blue: '10.215.0.0/24', green: '10.215.1.0/24' },
  edgeDirectory: '/lib/edge',
  edgeLogDirectory: '/log/edge',
  monitoring: { monitoring: config.monitoring, directories },
};

describe('the containers that watch', () => {
  const { model, volumes } = coreModel(request);
  const watching = Object.entries(model.services).filter(([name]) => name in images);

  test('are in the core, on both networks, from pinned images', async () => {
    expect(watching.map(([name]) => name)).toEqual(Object.keys(images));
    await expect(coreModel({ ...request, project: null }).text).toMatchFileSnapshot(
      'stack-golden/monitoring.model.txt',
    );
  });

  test.each(watching)(
    '%s publishes on loopback only and sees no socket and no file of the host but its own',
    (_, service) => {
      for (const port of service.ports ?? []) expect(port.host_ip).toBe('127.0.0.1');
      const binds = (service.volumes ?? []).filter(({ type }) => type === 'bind');
      expect(binds).toHaveLength(1);
      for (const mount of binds)
        expect(mount).toMatchObject({ source: expect.stringMatching(/^\/lib\/m\$\$\//), read_only: true });
      expect(service).toMatchObject({ read_only: true, cap_drop: ['ALL'], pull_policy: 'never' });
      expect(service).not.toHaveProperty('pid');
    },
  );

  test('their data are volumes of the appliance, so that `down --volumes` knows them', () => {
    const names = volumes.filter(({ ours }) => ours).map(({ name }) => name);
    expect(names).toEqual(expect.arrayContaining(['demo_appliance-prometheus', 'demo_appliance-alertmanager']));
  });

  test('one whose image is missing is left out, and the rest stays', () => {
    const { prometheus: _, ...others } = request.imageIds;
    expect(Object.keys(coreModel({ ...request, imageIds: others }).model.services)).not.toContain('prometheus');
    expect(Object.keys(coreModel({ ...request, imageIds: others }).model.services)).toContain('alertmanager');
  });

  test('are not there without the section', () => {
    const { monitoring: _, ...without } = request;
    for (const name of Object.keys(images)) expect(coreModel(without).model.services).not.toHaveProperty(name);
  });
});

describe('the section monitoring', () => {
  const base = `name: demo
source: { repository: /r }
services: { api: { role: app }, db: { role: core } }
routes: [{ path: /, service: api, port: 8000 }]
`;
  const problems = (text: string) =>
    parseConfig(base + text).problems.map(({ path, message }) => `${path}: ${message}`);

  test('is complete when it is empty', () => {
    expect(problems('monitoring: {}')).toEqual([]);
  });

  test.each([
    ['a service that does not exist', 'monitoring: { scrape: [{ service: apu, port: 1 }] }', /did you mean api/],
    ['a core service', 'monitoring: { scrape: [{ service: db, port: 1 }] }', /no app service/],
    ['an address that others reach', 'monitoring: { prometheus: { listen: "0.0.0.0:9090" } }', /loopback/],
    ['a port of the edge', 'monitoring: { prometheus: { listen: "127.0.0.1:8080" } }', /edge.http has port 8080/],
    ['twice the same port', 'monitoring: { alertmanager: { listen: "127.0.0.1:9090" } }', /has port 9090 already/],
    ['no port', 'monitoring: { alertmanager: { listen: "127.0.0.1:99999" } }', /99999 is no port/],
    ['an edge that hides its metrics', 'edge: { internal: [192.168.0.0/16] }\nmonitoring: {}', /network.pool/],
  ])('refuses %s', (_, text, why) => {
    const [problem, ...others] = problems(text);
    expect(others).toEqual([]);
    expect(problem).toMatch(why);
  });

  test('refuses a service of the same name as one of its own', () => {
    const text = base.replace('db: { role: core }', 'prometheus: { role: core }');
    expect(parseConfig(`${text}monitoring: {}`).problems[0]?.message).toMatch(/role ignore/);
  });
});
