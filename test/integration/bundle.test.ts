import { existsSync } from 'node:fs';
import { copyFile, mkdir, open, readdir, readFile, stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { EngineProxy } from '../faults/engine-proxy.ts';
import { type Answer, FaultLab } from '../faults/lab.ts';
import { unmount } from '../support/mounts.ts';

// A release goes from one appliance to another as one file. Both use the same engine, so what the one has is removed before
// the other loads; each build stamps its image, so a second build would be another image.
const tag = 'v0.9';
const dockerfile = `FROM debian:trixie-slim
COPY server.pl release.txt /app/
RUN cat /proc/sys/kernel/random/uuid >/stamp
CMD ["perl", "/app/server.pl"]
`;
const secret = 'planted-secret-8d1f';

let from: FaultLab;
let to: FaultLab;
let file: string;
let images: { services: string[]; id: string }[];
/** For what is to be interrupted: whatever it asks of the engine goes through this process, so it cannot be done before we look. */
let engine: EngineProxy;
const disks: string[] = [];

const last = ({ stdout }: Answer): Record<string, unknown> => JSON.parse(stdout.trim().split('\n').at(-1) ?? '{}');
const withEnvironment = async (lab: FaultLab, text: string): Promise<void> => {
  const path = join(lab.root, 'etc/environment');
  await writeFile(path, text, { mode: 0o600 });
  const yaml = await readFile(lab.config, 'utf8');
  await writeFile(lab.config, yaml.replace(/source: \{ (.*) \}/, `source: { $1, envFile: "${path}" }`));
};
const load = (...more: string[]) => to.run(['bundle', 'load', file, '--json', ...more]);
const imageIds = async (name: string) =>
  (await execa('docker', ['images', '--no-trunc', '--quiet', `appliance.local/${name}/*`])).stdout.split('\n').sort();
const servedBy = async (lab: FaultLab): Promise<string | null> =>
  (await fetch(`http://127.0.0.1:${lab.options.port}/`)).headers.get('x-appliance-release');

beforeAll(async () => {
  from = await FaultLab.make({ name: 'bundlefrom', port: 29_720, pool: '10.187.0.0/17' });
  to = await FaultLab.make({ name: 'bundleto', port: 29_724, pool: '10.187.128.0/17' });
  await withEnvironment(from, `TOKEN=${secret}\nONLY_HERE=1\n`);
  await withEnvironment(to, 'TOKEN=another\n');
  await from.release(tag, { schema: 1, dockerfile });
  file = join(to.root, 'v0.9.bundle.tar');
  engine = await EngineProxy.open(join(to.root, 'engine.sock'));
});
afterAll(async () => {
  for (const disk of disks) unmount(disk);
  await engine?.cut();
  await from.destroy();
  await to.destroy();
});

describe('bundle create', () => {
  it('refuses a release that is not there', async () => {
    const unknown = await from.run(['bundle', 'create', tag, '--output', file, '--json']);
    expect(unknown.exitCode).toBe(6);
    expect(last(unknown)).toMatchObject({ error: { code: 'release_not_found' } });
    expect(existsSync(file)).toBe(false);
  });

  it('on a disk that is too small says so, and interrupted it leaves no file', async () => {
    expect((await from.run(['deploy', tag, '--yes'])).exitCode).toBe(0);
    const nowhere = { DOCKER_HOST: 'unix:///nowhere/docker.sock' };
    const dead = await from.run(['bundle', 'create', tag, '--output', file, '--json'], nowhere);
    expect(dead.exitCode).toBe(8);
    expect(last(dead)).toMatchObject({ error: { code: 'engine_unreachable' } });
    expect(existsSync(file)).toBe(false);
    const disk = join(from.root, 'disk');
    await mkdir(disk);
    await execa('mount', ['-t', 'tmpfs', '-o', 'size=8m', 'tmpfs', disk]);
    disks.push(disk);
    const full = await from.run(['bundle', 'create', tag, '--output', join(disk, 'b.tar'), '--json']);
    expect(last(full)).toMatchObject({ error: { code: 'disk_full', left: 'no file is left' } });
    expect(full.exitCode).toBe(1);
    expect(await readdir(disk)).toEqual([]);
    unmount(disk);

    const cut = join(from.root, 'cut');
    await mkdir(cut);
    const words = ['bundle', 'create', tag, '--output', join(cut, 'b.tar'), '--json'];
    const child = from.spawnCli(words, { DOCKER_HOST: engine.host });
    await expect.poll(() => readdir(cut), { timeout: 60_000, interval: 5 }).not.toEqual([]);
    child.kill('SIGINT');
    const { exitCode, stdout } = await child;
    expect(exitCode).toBe(130);
    expect(JSON.parse(stdout)).toMatchObject({ error: { code: 'interrupted', left: 'no file is left' } });
    expect(await readdir(cut)).toEqual([]);
    expect(await readdir(join(from.root, 'lib/scratch'))).toEqual([]);
  });

  it('writes one file with the images, the source and no secret', async () => {
    const made = await from.run(['bundle', 'create', tag, '--output', file, '--json']);
    expect(made.exitCode).toBe(0);
    const document = last(made);
    const { size } = await stat(file);
    expect(document).toMatchObject({ file, tag, bytes: size, platform: expect.stringMatching(/^linux\//) });
    expect((await execa('sha256sum', [file])).stdout.split(' ')[0]).toBe(document.sha256);
    const listed = await execa('tar', ['--list', '--file', file]);
    expect(listed.stdout.split('\n')).toEqual([
      'source.gitbundle',
      'images.tar',
      'appliance-bundle.json',
      'appliance-bundle.sha256',
    ]);
    images = document.images as typeof images;
    expect(images.flatMap(({ services }) => services).sort()).toEqual(['backend', 'migrate', 'prepare', 'store']);
    expect((await readFile(file)).includes(secret)).toBe(false);
    // An existing file is never replaced.
    const again = await from.run(['bundle', 'create', tag, '--output', file, '--json']);
    expect(last(again)).toMatchObject({ error: { code: 'usage' } });
    expect((await stat(file)).size).toBe(size);
    const spoken = await from.run(['bundle', 'create', tag, '--output', `${file}.2`]);
    expect(spoken.stdout).toContain('no environment, no secrets');
  });
});

describe('bundle load', () => {
  beforeAll(() => from.destroy());

  // Every other damage: test/unit/bundle.test.ts.
  it('refuses what is damaged, and changes nothing', async () => {
    const damaged = join(to.root, 'damaged.tar');
    const refused = async () => {
      const answer = await to.run(['bundle', 'load', damaged, '--json']);
      expect(last(answer)).toMatchObject({ error: { code: 'bundle_invalid', left: 'nothing was loaded' } });
      expect(answer.exitCode).toBe(2);
    };
    const middle = Math.floor((await stat(file)).size / 2);
    await copyFile(file, damaged);
    const handle = await open(damaged, 'r+');
    const { buffer } = await handle.read(Buffer.alloc(1), 0, 1, middle);
    await handle.write(Buffer.from([(buffer[0] ?? 0) ^ 1]), 0, 1, middle);
    await handle.close();
    await refused();
    await truncate(damaged, middle);
    await refused();
    expect(await imageIds('bundleto')).toEqual(['']);
    const unknown = await to.run(['deploy', tag, '--yes', '--json']);
    expect(last(unknown)).toMatchObject({ error: { code: 'tag_not_found' } });
  });

  it('with --plan proves everything and loads nothing', async () => {
    const planned = await load('--plan');
    expect(last(planned)).toMatchObject({ tag, loaded: false, missingEnvironment: ['ONLY_HERE'] });
    expect(await imageIds('bundleto')).toEqual(['']);
    expect((await to.run(['deploy', tag, '--yes'])).exitCode).toBe(6);
  });

  it('killed in the middle it is run again, and nothing half is taken for whole', async () => {
    const child = to.spawnCli(['bundle', 'load', file], { DOCKER_HOST: engine.host });
    for await (const line of child.iterable({ from: 'stderr' })) {
      if (!line.includes('the engine has')) continue;
      child.kill('SIGKILL');
      break;
    }
    expect((await child).signal).toBe('SIGKILL');
    expect((await to.run(['deploy', tag, '--yes'])).exitCode).toBe(6);
    const done = await load();
    expect(last(done)).toMatchObject({ tag, loaded: true });
    expect(await imageIds('bundleto')).toEqual(images.map(({ id }) => id).sort());
    // Again, and through an agent, it changes nothing.
    await to.startAgent();
    expect(last(await load())).toMatchObject({ loaded: true });
    const audit = await to.run(['audit', '--json']);
    expect(audit.stdout).toContain('bundle load');
  });

  it('then the tag is deployed from it: nothing is built, with the images of the other host', async () => {
    const answer = await to.run(['deploy', tag, '--yes', '--json']);
    expect(last(answer)).toMatchObject({ result: 'done' });
    const { steps } = last(answer) as { steps: { name: string; detail: string }[] };
    expect(steps.find(({ name }) => name === 'build-images')?.detail).toBe('all images were there');
    expect(await servedBy(to)).toBe(tag);
    const shown = last(await to.run(['releases', 'show', tag, '--json'])) as {
      images: { service: string; digest: string }[];
    };
    for (const { service, digest } of shown.images)
      expect(digest, service).toBe(images.find(({ services }) => services.includes(service))?.id);
  });

  it('a tag that names another commit here is refused, as one that has moved', async () => {
    await to.release('v1.0', { schema: 1 });
    const moved = await load();
    expect(moved.exitCode).toBe(0);
    await to.release(tag, { schema: 1, files: { other: 'text\n' } });
    const deploy = await to.run(['deploy', tag, '--yes', '--json']);
    expect(last(deploy)).toMatchObject({ error: { code: 'moved_tag' } });
    const refused = await load();
    expect(refused.exitCode).toBe(2);
    expect(last(refused)).toMatchObject({ error: { code: 'moved_tag', left: 'nothing was loaded' } });
  });
});
