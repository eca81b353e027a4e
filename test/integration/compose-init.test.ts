import { cp, mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { loadConfig } from '../../src/config/index.ts';
import { localTools } from '../../src/config/tools.ts';
import { run } from '../../src/host/process.ts';
import { app } from './stack-support.ts';

let root: string;
let project: string;

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'stacktest-init-'));
  project = join(root, 'repository', 'deploy');
  await mkdir(project, { recursive: true });
  await cp(app, project, { recursive: true });
  await run('git', ['init', '--quiet', join(root, 'repository')], { timeout: 10_000 });
});
afterEach(() => rm(root, { recursive: true, force: true }));

test('a draft for a real Compose project is a configuration that loads', async () => {
  await writeFile(join(project, '.env'), 'KEY=geheim\nAPPLIANCE_RELEASE=v1\n');
  const draft = await localTools.draftConfig({ compose: join(project, 'compose.yaml') });
  expect(draft.text).not.toContain('geheim');
  const path = await localTools.writeConfig({ root, text: draft.text, force: false });
  expect(await localTools.checkConfig({ root, file: undefined })).toEqual({ file: path, problems: [], warnings: [] });
  expect(await loadConfig(path)).toMatchObject({
    name: 'deploy',
    source: { repository: join(root, 'repository'), compose: ['deploy/compose.yaml'], envFile: join(project, '.env') },
    services: {
      backend: { role: 'app' },
      migrate: { role: 'migrate' },
      prepare: { role: 'job' },
      store: { role: 'core' },
    },
    routes: [{ path: '/', service: 'backend', port: 8000 }],
  });
  expect(await localTools.showConfig({ root })).toMatchObject({ deploy: { drain: 60_000 } });
  expect(draft.notes).toContain('store is core: a ready-made image with a named volume: it keeps data');
});

test('a required variable without a value: says where to put it, and that is enough', async () => {
  await rm(join(project, '.env'), { force: true });
  await writeFile(join(project, 'needy.yaml'), `services: { a: { image: "x:\${NEEDED_WORD:?}" } }`);
  const compose = join(project, 'needy.yaml');
  await expect(localTools.draftConfig({ compose })).rejects.toMatchObject({
    code: 'compose_invalid',
    message: expect.stringContaining('NEEDED_WORD'),
    left: 'nothing was written',
    hint: expect.stringContaining(`put NEEDED_WORD=… into ${join(project, '.env')}`),
  });
  await writeFile(join(project, '.env'), 'NEEDED_WORD=1\n');
  expect((await localTools.draftConfig({ compose })).text).toContain('  a:\n');
});

test('a file that exists is not overwritten without being told so', async () => {
  const path = await localTools.writeConfig({ root, text: 'name: mine\n', force: false });
  await expect(localTools.writeConfig({ root, text: 'name: other\n', force: false })).rejects.toMatchObject({
    code: 'usage',
  });
  expect(await readFile(path, 'utf8')).toBe('name: mine\n');
  await localTools.writeConfig({ root, text: 'name: other\n', force: true });
  expect(await readFile(path, 'utf8')).toBe('name: other\n');
});

test('a directory stands for the Compose file in it', async () => {
  const named = await localTools.draftConfig({ compose: join(project, 'compose.yaml') });
  expect(await localTools.draftConfig({ compose: project })).toEqual(named);
  await rename(join(project, 'compose.yaml'), join(project, 'docker-compose.yml'));
  expect((await localTools.draftConfig({ compose: project })).text).toContain('deploy/docker-compose.yml');
  await expect(localTools.draftConfig({ compose: root })).rejects.toMatchObject({
    code: 'usage',
    message: expect.stringContaining('no docker-compose.yml'),
    hint: expect.stringContaining('--from'),
  });
});

test('no Compose file, and one that Compose refuses', async () => {
  await expect(localTools.draftConfig({ compose: join(project, 'none.yaml') })).rejects.toMatchObject({
    code: 'compose_invalid',
    exit: 2,
  });
  await writeFile(join(project, 'bad.yaml'), 'services: { a: { imag: x } }');
  await expect(localTools.draftConfig({ compose: join(project, 'bad.yaml') })).rejects.toThrow(/imag/);
});
