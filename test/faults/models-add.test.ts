import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import {
  appendFile,
  cp,
  mkdir,
  mkdtemp,
  readdir,
  rm,
  stat,
  statfs,
  symlink,
  truncate,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { execa } from 'execa';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ModelRegistry } from '../../src/capabilities/models/registry.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { writeModel } from '../support/models.ts';
import { unmount } from '../support/mounts.ts';

// Adding a version on the command line, without an agent and without an engine, killed and short of space.
const program = join(import.meta.dirname, '../../src/main.ts');
const mebibyte = 2 ** 20;
let root: string;
let source: string;

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'models-fault-'));
  source = join(root, 'source');
  await mkdir(join(root, 'etc'));
  await mkdir(models(), { recursive: true });
  await writeFile(
    join(root, 'etc/appliance.yaml'),
    [
      'name: modelfault',
      `source: { repository: ${join(root, 'repository')} }`,
      'services: { backend: { role: app, probe: { type: http, port: 8000, path: /health } } }',
      'routes: [{ path: /, service: backend, port: 8000 }]',
      'persistent: [./models]',
      '',
    ].join('\n'),
  );
});
afterEach(() => rm(root, { recursive: true, force: true }));

const models = () => join(root, 'lib/persistent/models');
const argv = (...args: string[]) => ['--no-warnings', program, '--root', root, ...args, '--json'];

async function run(...args: string[]): Promise<{ exitCode: number | undefined; document: unknown }> {
  const { exitCode, stdout } = await execa(process.execPath, argv(...args), { reject: false });
  return { exitCode, document: JSON.parse(stdout) };
}

async function bytesBelow(directory: string): Promise<number> {
  if (!existsSync(directory)) return 0;
  let bytes = 0;
  for (const entry of await readdir(directory, { recursive: true, withFileTypes: true })) {
    const found = entry.isFile() ? await stat(join(entry.parentPath, entry.name)).catch(() => undefined) : undefined;
    bytes += found?.size ?? 0;
  }
  return bytes;
}

/** Looks while nobody cleans up. */
function hasVersion(): boolean {
  const registry = new ModelRegistry(models(), { clock: systemClock, access: 'read' });
  try {
    return registry.page({ limit: 2 }).length > 0;
  } finally {
    registry.close();
  }
}

/** What must hold at any time: nothing is registered, or all of it is. @returns whether it is */
async function allOrNothing(): Promise<boolean> {
  const { exitCode, document } = await run('models', 'list');
  expect(exitCode).toBe(0);
  if (Array.isArray(document) && document.length === 0) return false;
  expect(document).toMatchObject([{ version: '1', state: 'registered' }]);
  expect(await run('models', 'verify', '1')).toMatchObject({ exitCode: 0, document: { verdict: 'pass' } });
  return true;
}

describe('an add that is killed', () => {
  it('has registered nothing or everything, wherever it was, and the next one finds a clean place', async () => {
    const size = 96 * mebibyte;
    await writeModel(source, { files: { 'large.joblib': randomBytes(size), 'small.joblib': 'x' } });
    const staging = join(models(), '.staging');
    let killed = 0;
    // By how much was copied; the last ones by time after the last byte: flush, rename, record.
    for (const share of [0, 0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 1, 1, 1, 1, 1, 1]) {
      const child = spawn(process.execPath, argv('models', 'add', source), { stdio: 'ignore' });
      const ended = once(child, 'exit');
      let over = false;
      void ended.then(() => {
        over = true;
      });
      while (!over && !existsSync(staging)) await delay(1);
      while (!over && (await bytesBelow(staging)) < share * size) await delay(1);
      if (share === 1) await delay(Math.random() * 120);
      child.kill('SIGKILL');
      const [, signal] = await ended;
      if (signal === 'SIGKILL') killed += 1;

      const registered = hasVersion();
      // Whoever writes next cleans up first; what it wants itself does not exist.
      expect(await run('models', 'archive', 'absent')).toMatchObject({ exitCode: 6 });
      expect(existsSync(staging)).toBe(false);
      const left = await bytesBelow(join(models(), 'versions'));
      if (!registered) expect(left).toBe(0);
      else expect(await allOrNothing()).toBe(true);
      if (registered) await rm(models(), { recursive: true }).then(() => mkdir(models()));
    }
    expect(killed).toBeGreaterThanOrEqual(8);
    expect(await run('models', 'add', source)).toMatchObject({ exitCode: 0, document: { added: true } });
    expect(await allOrNothing()).toBe(true);
  });

  it('is taken back when it is interrupted', async () => {
    // So large that nobody is late; it is not read to its end, where its sum would be looked at.
    const bytes = 1_024 * mebibyte;
    await writeModel(source, { manifest: { files: { 'large.joblib': { sha256: '0'.repeat(64), bytes } } } });
    await execa('fallocate', ['--length', String(bytes), join(source, 'large.joblib')]);
    const child = spawn(process.execPath, argv('models', 'add', source), { stdio: 'ignore' });
    const staging = join(models(), '.staging');
    while (!existsSync(staging)) await delay(1);
    child.kill('SIGINT');
    const [status] = await once(child, 'exit');
    expect(status).toBe(130);
    expect(await bytesBelow(staging)).toBe(0);
    expect(await allOrNothing()).toBe(false);
  });
});

describe('an add on a full disk', () => {
  /** A file system of its own for the models. */
  async function mounted(options: string, work: () => Promise<void>): Promise<boolean> {
    const mount = await execa('mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', models()], { reject: false });
    if (mount.exitCode !== 0) return false;
    try {
      await work();
    } finally {
      unmount(models());
    }
    return true;
  }

  it('is refused before a byte is copied when there is no room', async ({ skip }) => {
    await writeModel(source, { files: { 'large.joblib': Buffer.alloc(80 * mebibyte, 1) } });
    const done = await mounted('size=100m', async () => {
      expect(await run('models', 'add', source)).toMatchObject({
        exitCode: 1,
        document: {
          error: { code: 'disk_full', message: expect.stringContaining('needs 80'), left: expect.any(String) },
        },
      });
      expect(await readdir(models())).not.toContain('versions');
      expect(await allOrNothing()).toBe(false);
    });
    if (!done) skip('a tmpfs cannot be mounted here');
  });

  it('leaves nothing when the room goes while it copies', async ({ skip }) => {
    await writeModel(source, {
      files: Object.fromEntries(Array.from({ length: 40 }, (_, index) => [`part-${index}.joblib`, 'x'.repeat(100)])),
    });
    // Space for the bytes, but not for so many files: the first that fails is in the middle of the copy.
    const done = await mounted('size=200m,nr_inodes=30', async () => {
      expect(await run('models', 'add', source)).toMatchObject({
        exitCode: 1,
        document: { error: { code: 'disk_full' } },
      });
      expect(await bytesBelow(join(models(), '.staging'))).toBe(0);
      expect(await allOrNothing()).toBe(false);
      const { files, ffree } = await statfs(models());
      expect(files - ffree).toBeLessThan(10);
    });
    if (!done) skip('a tmpfs cannot be mounted here');
  });

  it('exports nothing that is not complete', async ({ skip }) => {
    await writeModel(source, { files: { 'large.joblib': Buffer.alloc(8 * mebibyte, 1) } });
    expect(await run('models', 'add', source)).toMatchObject({ exitCode: 0 });
    const target = join(root, 'target');
    await mkdir(target);
    const mount = await execa('mount', ['-t', 'tmpfs', '-o', 'size=4m', 'tmpfs', target], { reject: false });
    if (mount.exitCode !== 0) return skip('a tmpfs cannot be mounted here');
    try {
      const { exitCode, document } = await run('models', 'export', '1', join(target, 'version.tar'));
      expect({ exitCode, document }).toMatchObject({ exitCode: 1, document: { error: { code: 'disk_full' } } });
      expect(await readdir(target)).toEqual([]);
    } finally {
      unmount(target);
    }
  });
});

describe('an archived version', () => {
  it('frees its space on request, keeps its record, and comes back with the same bytes', async () => {
    await writeModel(source, { files: { 'large.joblib': Buffer.alloc(mebibyte, 1) } });
    expect(await run('models', 'add', source)).toMatchObject({ exitCode: 0 });
    const directory = join(models(), 'versions/routing/1');
    const refused = await run('models', 'archive', '1', '--prune');
    expect(refused).toMatchObject({ exitCode: 2, document: { error: { code: 'confirmation_needed' } } });
    expect(existsSync(directory)).toBe(true);
    const pruned = await run('models', 'archive', '1', '--prune', '--yes');
    expect(pruned).toMatchObject({ exitCode: 0, document: { state: 'archived' } });
    expect((pruned.document as { freed: number }).freed).toBeGreaterThan(mebibyte);
    expect(await bytesBelow(models())).toBeLessThan(mebibyte);
    expect(await run('models', 'archive', '1', '--prune', '--yes')).toMatchObject({
      exitCode: 0,
      document: { freed: 0 },
    });
    expect(await run('models', 'archive', '1', '--undo')).toMatchObject({
      exitCode: 2,
      document: { error: { hint: expect.stringContaining('models add DIRECTORY') } },
    });
    expect(await run('models', 'show', '1')).toMatchObject({ exitCode: 0, document: { metrics: { accuracy: 0.9 } } });
    expect(await run('models', 'add', source)).toMatchObject({ exitCode: 0, document: { added: true } });
    expect(await run('models', 'verify', '1')).toMatchObject({ exitCode: 0, document: { verdict: 'pass' } });
    expect(await run('models', 'archive', '1', '--undo')).toMatchObject({
      exitCode: 0,
      document: { state: 'registered' },
    });
    const history = await run('models', 'history');
    expect((history.document as { event: string }[]).map(({ event }) => event)).toEqual([
      'unarchived',
      'restored',
      'pruned',
      'archived',
      'registered',
    ]);
  });
});

describe('an archive of another host', () => {
  it('becomes the first version of an empty registry', async () => {
    await writeModel(source);
    expect(await run('models', 'add', source)).toMatchObject({ exitCode: 0 });
    const file = join(root, 'version.tar');
    const exported = await run('models', 'export', '1', file);
    expect(exported).toMatchObject({ exitCode: 0 });
    const { key } = exported.document as { key: string };
    // Another host: it knows neither the version nor the key.
    await rm(join(root, 'lib'), { recursive: true });
    await mkdir(models(), { recursive: true });
    expect(await run('models', 'import', file)).toMatchObject({
      exitCode: 7,
      document: { error: { code: 'model_untrusted' } },
    });
    expect(await run('models', 'import', file, '--trust', key)).toMatchObject({
      exitCode: 0,
      document: { imported: [{ version: '1', state: 'registered' }] },
    });
    expect(await run('models', 'verify', '1')).toMatchObject({ exitCode: 0 });
  });
});

describe('what a person reads', () => {
  const failed = async (...args: string[]) => {
    const { exitCode, document } = await run(...args);
    const { error } = document as { error: { code: string; message: string; hint?: string } };
    return { exitCode, code: error.code, message: error.message, hint: error.hint ?? '' };
  };

  it('says that there is no such directory', async () => {
    await appendFile(join(root, 'etc/appliance.yaml'), 'models: { service: backend, port: 8000 }\n');
    for (const path of ['/nonexistent', '/etc/hostname'])
      expect(await failed('models', 'scan', path)).toMatchObject({
        exitCode: 2,
        code: 'usage',
        message: expect.stringMatching(/^(there is no directory \/nonexistent|\/etc\/hostname is no directory)$/),
      });
  });

  it('points to import before anything is registered, and to promote before anything is in production', async () => {
    expect(await failed('models', 'show')).toMatchObject({
      exitCode: 6,
      hint: expect.stringContaining('models import'),
    });
    await writeModel(source);
    expect(await run('models', 'add', source)).toMatchObject({ exitCode: 0 });
    expect(await failed('models', 'show')).toMatchObject({
      exitCode: 6,
      message: 'no version is in production',
      hint: expect.stringContaining('models promote'),
    });
  });

  for (const args of [
    ['show', ''],
    ['archive', ''],
    ['diff', '', 'latest'],
    ['list', '--before', ''],
  ])
    it(`asks for a version where ${args[0]} gets an empty one`, async () => {
      const { exitCode, code, message } = await failed('models', ...args);
      expect({ exitCode, code }).toEqual({ exitCode: 2, code: 'usage' });
      expect(message).toMatch(/name a version: VERSION, NAME@VERSION or an alias$/);
    });

  it('says that the models directory cannot be written', async ({ skip }) => {
    await writeModel(source);
    const mount = await execa('mount', ['-t', 'tmpfs', '-o', 'ro', 'tmpfs', models()], { reject: false });
    if (mount.exitCode !== 0) return skip('a tmpfs cannot be mounted here');
    try {
      expect(await failed('models', 'add', source)).toMatchObject({
        exitCode: 7,
        code: 'not_permitted',
        message: `${models()} cannot be written: it is mounted read-only`,
      });
    } finally {
      unmount(models());
    }
    await execa('chattr', ['+i', models()]);
    try {
      expect(await failed('models', 'add', source)).toMatchObject({ exitCode: 7, code: 'not_permitted' });
    } finally {
      await execa('chattr', ['-i', models()]);
    }
  });
});

describe('a lost registry', () => {
  it('is made again from what lies there, and nothing of it is removed meanwhile', async () => {
    await writeModel(source);
    expect(await run('models', 'add', source)).toMatchObject({ exitCode: 0 });
    await writeModel(source, { version: '2' });
    expect(await run('models', 'add', source)).toMatchObject({ exitCode: 0 });
    await writeFile(join(models(), 'registry.db'), 'damaged');
    for (const suffix of ['-wal', '-shm']) await rm(join(models(), `registry.db${suffix}`), { force: true });
    const refused = {
      exitCode: 1,
      document: { error: { code: 'state_corrupt', hint: expect.stringContaining('models verify --repair') } },
    };
    expect(await run('models', 'list')).toMatchObject(refused);
    expect(await run('models', 'add', source)).toMatchObject(refused);
    await cp(join(models(), 'registry.db'), join(root, 'registry.damaged'));
    await rm(join(models(), 'registry.db'));
    expect(await run('models', 'import')).toMatchObject({
      exitCode: 0,
      document: { imported: [{ version: '1' }, { version: '2' }] },
    });
    expect(await run('models', 'verify', 'latest')).toMatchObject({ exitCode: 0 });
  });

  it('is set aside and made again by one command', async () => {
    await writeModel(source);
    expect(await run('models', 'add', source)).toMatchObject({ exitCode: 0 });
    await writeModel(join(models(), 'versions/routing/9'), { version: '8' });
    await symlink('versions/routing/1', join(models(), 'current'));
    await truncate(join(models(), 'registry.db'), 4_096);
    expect(await run('models', 'show')).toMatchObject({ exitCode: 1, document: { error: { code: 'state_corrupt' } } });
    const { exitCode, document } = await run('models', 'verify', '--repair');
    expect({ exitCode, document }).toMatchObject({
      exitCode: 0,
      document: {
        verdict: 'pass',
        repaired: {
          setAside: expect.stringMatching(/registry\.db\.damaged-/),
          imported: [{ version: '1', state: 'production', inForce: true }],
          skipped: [{ reason: expect.stringContaining('its manifest calls it routing@8') }],
        },
      },
    });
    const { repaired } = document as { repaired: { setAside: string } };
    expect((await stat(repaired.setAside)).size).toBe(4_096);
    const again = await run('models', 'verify', '--repair');
    expect(again).toMatchObject({ exitCode: 0, document: { repaired: { setAside: null, imported: [] } } });
  });
});
