import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { CoreStore } from '../../src/capabilities/stack/core-store.ts';
import { configSchema } from '../../src/config/schema.ts';
import { Engine } from '../../src/host/docker.ts';
import { pathsFor } from '../../src/lib/paths.ts';

// Decision 0005 for what watches: pinned like the rest of the core, added when it is missing, replaced when asked.
const images = {
  prometheus: 'monpin/prometheus:1',
  alertmanager: 'monpin/alertmanager:1',
  nodeExporter: 'monpin/exporter:1',
};
let root: string;

const store = (monitoring: boolean): CoreStore =>
  new CoreStore({
    config: configSchema.parse({
      name: 'monpin',
      source: { repository: '/r' },
      services: { api: { role: 'app' } },
      routes: [{ path: '/', service: 'api', port: 8000 }],
      edge: { image: 'debian:trixie-slim' },
      network: { pool: '10.233.0.0/16' },
      ...(monitoring
        ? { monitoring: Object.fromEntries(Object.entries(images).map(([key, image]) => [key, { image }])) }
        : {}),
    }),
    paths: pathsFor(root),
    engine: new Engine(),
    release: () => Promise.reject(new Error('no release is asked for')),
    releaseDirectory: () => root,
  });
const services = async (core: CoreStore) => Object.entries((await core.planned()).model.services);
const imageOf = async (core: CoreStore, name: string) => (await core.planned()).model.services[name]?.image;
const tag = (from: string, to: string) => execa('docker', ['tag', from, to]);
const id = async (image: string) => (await new Engine().image(image))?.id;

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'monpin-'));
  await tag('debian:trixie-slim', images.alertmanager);
  await tag('debian:trixie-slim', images.nodeExporter);
});
afterAll(async () => {
  await execa('docker', ['rmi', ...Object.values(images)], { reject: false });
  await rm(root, { recursive: true, force: true });
});

describe('the core and what watches it', () => {
  test('has none without the section', async () => {
    const core = store(false);
    await core.adopt(null, false);
    expect((await services(core)).map(([name]) => name)).toEqual(['edge']);
  });

  test('takes the section in when it is added later, without the one whose image is missing', async () => {
    const core = store(true);
    expect(await core.adopt(null, false)).toBe(true);
    expect((await services(core)).map(([name]) => name)).toEqual(['edge', 'alertmanager', 'node-exporter']);
    expect(await core.adopt(null, false)).toBe(false);
  });

  test('takes the missing one in once its image is there', async () => {
    await tag('debian:trixie-slim', images.prometheus);
    const core = store(true);
    expect(await core.adopt(null, false)).toBe(true);
    expect((await services(core)).map(([name]) => name)).toContain('prometheus');
  });

  test('keeps the pinned image when another one gets its name, until that is asked for', async () => {
    const before = await id('debian:trixie-slim');
    await tag('appliance/base:1', images.prometheus);
    const core = store(true);
    await core.adopt(null, false);
    expect(await imageOf(core, 'prometheus')).toBe(before);
    await core.adopt(null, true);
    expect(await imageOf(core, 'prometheus')).toBe(await id('appliance/base:1'));
  });

  test('loses them with the section', async () => {
    expect((await services(store(false))).map(([name]) => name)).toEqual(['edge']);
  });
});
