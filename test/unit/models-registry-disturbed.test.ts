import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Sqlite from 'better-sqlite3';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Models } from '../../src/agent/models.ts';
import { ModelRegistry, type NewVersion } from '../../src/capabilities/models/registry.ts';
import { ApplianceError } from '../../src/lib/errors.ts';

// What somebody else does to registry.db while an agent holds it open.
let root: string;
let directory: string;
let told: string[];
let models: Models;
const clock = { now: () => 1_000, monotonic: () => 1_000, sleep: () => Promise.resolve() };
const by = { actor: 'ada' };
const file = () => join(directory, 'registry.db');

function version(label: string): NewVersion {
  return {
    name: 'routing',
    version: label,
    sha256: label.padEnd(64, '0'),
    artefacts: [{ path: 'manifest.json', sha256: label.padEnd(64, '0'), bytes: 10 }],
    metrics: { accuracy: 0.9 },
    metadata: { features: [], libraries: {}, algorithm: null, trainedAt: null },
    source: '/somewhere',
  };
}

const labels = () =>
  models
    .registry()
    .page({ limit: 1_000 })
    .map((one) => one.version);
const codeOf = (work: () => unknown): string => {
  try {
    work();
  } catch (error) {
    return error instanceof ApplianceError ? error.code : String(error);
  }
  return 'nothing was thrown';
};

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'disturbed-'));
  directory = join(root, 'persistent/models');
  mkdirSync(join(directory, 'versions/routing/1'), { recursive: true });
  told = [];
  const options = {
    config: {},
    paths: { lib: root },
    clock,
    writes: true,
    onDisturbed: (what: string) => told.push(what),
  };
  models = new Models(options as unknown as ConstructorParameters<typeof Models>[0]);
  models.writable().register(version('1'), by);
});
afterEach(() => {
  models.close();
  rmSync(root, { recursive: true, force: true });
});

/** Another registry, as a backup of it would be, that was closed well. */
function another(...versions: string[]): string {
  const elsewhere = join(root, 'elsewhere');
  mkdirSync(elsewhere);
  const registry = new ModelRegistry(elsewhere, { clock, access: 'write' });
  for (const label of versions) registry.register(version(label), by);
  registry.close();
  return join(elsewhere, 'registry.db');
}

describe('a registry that somebody else changes under a running agent', () => {
  it('is opened again when another one is put in its place, with nothing of the old log in it', () => {
    renameSync(another('7', '8'), file());
    expect(labels()).toEqual(['8', '7']);
    expect(told).toEqual([expect.stringMatching(/was replaced by another file/)]);
    models.writable().register(version('9'), by);
    models.close();
    const proof = new Sqlite(file(), { readonly: true });
    expect(proof.pragma('quick_check', { simple: true })).toBe('ok');
    expect(proof.prepare('SELECT count(*) AS n FROM versions').get()).toEqual({ n: 3 });
    proof.close();
  });

  it('is opened again when many pages are put in place of few', () => {
    renameSync(another(...Array.from({ length: 400 }, (_, index) => String(100 + index))), file());
    expect(labels()).toHaveLength(400);
    expect(models.registry().history({ limit: 1_000 })).toHaveLength(400);
  });

  it('is written anew from what the agent holds when it is removed, and nothing is lost', () => {
    models.writable().register(version('2'), by);
    rmSync(file());
    expect(labels()).toEqual(['2', '1']);
    expect(existsSync(file())).toBe(true);
    expect(told).toEqual([expect.stringMatching(/was removed.*written anew/)]);
    models.writable().register(version('3'), by);
    models.close();
    expect(labels()).toEqual(['3', '2', '1']);
    expect(statSync(file()).mode & 0o777).toBe(0o644);
    expect(readdirSync(directory).filter((name) => name.endsWith('.tmp'))).toEqual([]);
  });

  it('is written anew with its log and index removed as well', () => {
    for (const suffix of ['', '-wal', '-shm']) rmSync(`${file()}${suffix}`);
    expect(labels()).toEqual(['1']);
  });

  for (const size of [0, 100, 4_096])
    it(`is written anew when it is truncated to ${size} bytes while all of it is in memory`, () => {
      models.close();
      models.writable().register(version('2'), by);
      truncateSync(file(), size);
      expect(labels()).toEqual(['2', '1']);
      expect(told).toEqual([expect.stringMatching(/was truncated.*written anew/)]);
      models.close();
      expect(labels()).toEqual(['2', '1']);
    });

  for (const size of [100, 4_096])
    it(`is refused when it was truncated to ${size} bytes while no agent ran, and left as it is`, () => {
      models.close();
      truncateSync(file(), size);
      expect(codeOf(labels)).toBe('state_corrupt');
      // Again and again, and never an empty one in its place.
      expect(codeOf(labels)).toBe('state_corrupt');
      expect(codeOf(() => models.writable())).toBe('state_corrupt');
      expect(statSync(file()).size).toBe(size);
    });

  it('is used again when a good one is put back', () => {
    models.close();
    copyFileSync(file(), join(root, 'copy'));
    truncateSync(file(), 100);
    expect(codeOf(labels)).toBe('state_corrupt');
    renameSync(join(root, 'copy'), file());
    expect(labels()).toEqual(['1']);
  });

  it('that was emptied while no agent ran is no new one', () => {
    models.close();
    for (const suffix of ['-wal', '-shm']) rmSync(`${file()}${suffix}`, { force: true });
    writeFileSync(file(), '');
    expect(codeOf(labels)).toBe('state_corrupt');
    expect(readFileSync(file(), 'utf8')).toBe('');
  });

  it('is not touched by a look at it', () => {
    const before = statSync(file()).mtimeMs;
    for (let look = 0; look < 5; look += 1) labels();
    expect(told).toEqual([]);
    expect(statSync(file()).mtimeMs).toBe(before);
  });
});
