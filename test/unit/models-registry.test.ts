import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Sqlite from 'better-sqlite3';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Models } from '../../src/agent/models.ts';
import { hasProvenItself, ModelRegistry, type NewVersion } from '../../src/capabilities/models/registry.ts';
import { ApplianceError } from '../../src/lib/errors.ts';
import { unmount } from '../support/mounts.ts';

let directory: string;
let time = 1_000;
const clock = { now: () => time, monotonic: () => time, sleep: () => Promise.resolve() };
const open = (access: 'read' | 'write' = 'write') => new ModelRegistry(directory, { clock, access });
const by = { actor: 'ada' };

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'registry-'));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

function version(label: string, { name = 'routing', accuracy = 0.9 } = {}): NewVersion {
  return {
    name,
    version: label,
    sha256: label.padEnd(64, '0'),
    artefacts: [
      { path: 'manifest.json', sha256: label.padEnd(64, '0'), bytes: 10 },
      { path: 'model.joblib', sha256: label.padEnd(64, '1'), bytes: 90 },
    ],
    metrics: { accuracy, 'latency_ms.p50': 4 },
    metadata: { features: ['a', 'b'], libraries: { numpy: '2.2.4' }, algorithm: null, trainedAt: null },
    source: '/somewhere',
  };
}

const code = (work: () => unknown): string => {
  try {
    work();
  } catch (error) {
    return error instanceof ApplianceError ? error.code : String(error);
  }
  return 'nothing was thrown';
};

describe('the registry', () => {
  it('S1-26 S3-5 S3-6 holds files with hashes and sizes, features, library versions and metrics', () => {
    const registry = open();
    const made = registry.register(version('1'), by);
    expect(made).toMatchObject({
      state: 'registered',
      bytes: 100,
      files: 2,
      aliases: ['latest'],
      metrics: { accuracy: 0.9, 'latency_ms.p50': 4 },
      metadata: { features: ['a', 'b'], libraries: { numpy: '2.2.4' } },
      directory: join(directory, 'versions/routing/1'),
    });
    expect(registry.artefacts(made).map(({ path, bytes }) => [path, bytes])).toEqual([
      ['manifest.json', 10],
      ['model.joblib', 90],
    ]);
    registry.close();
  });

  it('takes the same bytes again for what they are, and refuses others under the same label', () => {
    const registry = open();
    const first = registry.register(version('1'), by);
    expect(registry.register(version('1'), by)).toEqual(first);
    const other = { ...version('1'), artefacts: [{ path: 'manifest.json', sha256: 'f'.repeat(64), bytes: 10 }] };
    expect(code(() => registry.register(other, by))).toBe('model_exists');
    expect(registry.history({ limit: 9 })).toHaveLength(1);
    registry.close();
  });

  it('S3-18 says who was production when, and keeps one version in production', () => {
    const registry = open();
    const [one, two] = [registry.register(version('1'), by), registry.register(version('2'), by)];
    time = 2_000;
    registry.promoted(one, { actor: 'ada', operation: 'op-1', reason: 'first' });
    registry.promoted(one, { actor: 'ada', operation: 'op-1', reason: 'said again' });
    time = 3_000;
    registry.promoted(two, { actor: 'grace', operation: 'op-2' });
    time = 4_000;
    registry.promoted(one, { actor: 'ada', operation: 'op-3' }, 'rolled-back');
    expect(
      registry.history({ name: 'routing', limit: 3 }).map(({ event, version: label, replaced, at, actor }) => ({
        event,
        label,
        replaced,
        at,
        actor,
      })),
    ).toEqual([
      { event: 'rolled-back', label: '1', replaced: '2', at: 4_000, actor: 'ada' },
      { event: 'promoted', label: '2', replaced: '1', at: 3_000, actor: 'grace' },
      { event: 'promoted', label: '1', replaced: null, at: 2_000, actor: 'ada' },
    ]);
    expect(registry.production('routing')).toMatchObject({ version: '1', promotedAt: 4_000 });
    expect(registry.find('previous').version).toBe('2');
    expect(registry.find('routing@latest').version).toBe('2');
    expect(registry.page({ state: 'production', limit: 9 })).toHaveLength(1);
    registry.close();
  });

  it('has a history and approvals that nobody can rewrite', () => {
    const registry = open();
    const made = registry.register(version('1'), by);
    registry.approve(made, { role: 'product owner', actor: 'grace' });
    registry.close();
    const raw = new Sqlite(join(directory, 'registry.db'));
    for (const table of ['history', 'approvals']) {
      expect(() => raw.exec(`UPDATE ${table} SET actor = 'mallory'`)).toThrow('append-only');
      expect(() => raw.exec(`DELETE FROM ${table}`)).toThrow('append-only');
    }
    raw.close();
  });

  it('keeps the reports of the gates, and a version is validated by one that passes', () => {
    const registry = open();
    const made = registry.register(version('1'), by);
    registry.saveReport(made, 'inconclusive', { missing: 'samples' }, by);
    expect(registry.get(made.id).state).toBe('registered');
    registry.saveReport(made, 'pass', { checks: [1] }, by);
    expect(registry.get(made.id).state).toBe('validated');
    registry.saveReport(made, 'fail', { checks: [2] }, by);
    expect(registry.get(made.id).state).toBe('registered');
    expect(registry.reports(made).map(({ verdict, report }) => [verdict, report])).toEqual([
      ['fail', { checks: [2] }],
      ['pass', { checks: [1] }],
      ['inconclusive', { missing: 'samples' }],
    ]);
    registry.close();
  });

  it('knows which versions may come back unasked: those that passed or served, and archiving forgets neither', () => {
    const registry = open();
    const proven = (label: string) => hasProvenItself(registry.find(label));
    for (const label of ['1', '2', '3']) registry.register(version(label), by);
    registry.saveReport(registry.find('1'), 'pass', {}, by);
    registry.saveReport(registry.find('2'), 'fail', {}, by);
    expect(['1', '2', '3'].map(proven)).toEqual([true, false, false]);
    registry.promoted(registry.find('3'), by);
    expect(registry.hasAlias('routing', 'previous')).toBe(false);
    registry.promoted(registry.find('1'), by);
    expect(registry.hasAlias('routing', 'previous')).toBe(true);
    registry.archive(registry.find('3'), true, by);
    registry.archive(registry.find('3'), false, by);
    expect(['1', '2', '3'].map(proven)).toEqual([true, false, true]);
    registry.close();
  });

  it('archives, and never what is in production', () => {
    const registry = open();
    const made = registry.register(version('1'), by);
    expect(registry.archive(made, true, by).state).toBe('archived');
    expect(registry.archive(made, false, by).state).toBe('registered');
    registry.promoted(made, by);
    expect(code(() => registry.archive(made, true, by))).toBe('usage');
    expect(registry.get(made.id).state).toBe('production');
    registry.close();
  });

  it('finds by label, alias and model, with what was probably meant', () => {
    const registry = open();
    registry.register(version('2026.1'), by);
    registry.register(version('2026.1', { name: 'pricing' }), by);
    expect(code(() => registry.find('2026.1'))).toBe('usage');
    expect(registry.find('pricing@2026.1').name).toBe('pricing');
    expect(() => registry.find('pricing@2026.2')).toThrow(
      expect.objectContaining({ hint: 'did you mean pricing@2026.1?' }),
    );
    expect(code(() => registry.find('nothing'))).toBe('model_not_found');
    registry.close();
  });

  it('pages from the newest, whatever is filtered', () => {
    const registry = open();
    for (let index = 1; index <= 7; index += 1) registry.register(version(String(index)), by);
    registry.register(version('1', { name: 'pricing' }), by);
    const labels = (query: Parameters<typeof registry.page>[0]) => registry.page(query).map((row) => row.version);
    const first = registry.page({ name: 'routing', limit: 3 });
    expect(first.map((row) => row.version)).toEqual(['7', '6', '5']);
    expect(labels({ name: 'routing', limit: 3, before: first.at(-1)?.id })).toEqual(['4', '3', '2']);
    expect(labels({ state: 'archived', limit: 3 })).toEqual([]);
    expect(labels({ name: 'absent', limit: 3 })).toEqual([]);
    registry.close();
  });
});

describe('the alias latest', () => {
  it('is no version that is archived, or that its gates have refused', () => {
    const registry = open();
    const [first, second, third] = ['1', '2', '3'].map((label) => registry.register(version(label), by));
    if (!first || !second || !third) throw new Error('three were registered');
    const latest = () => registry.find('latest').version;
    expect(latest()).toBe('3');
    registry.archive(third, true, by);
    expect(latest()).toBe('2');
    registry.saveReport(second, 'fail', {}, by);
    expect(latest()).toBe('1');
    // Limits may have changed since.
    registry.saveReport(second, 'pass', {}, by);
    expect(latest()).toBe('2');
    registry.archive(third, false, by);
    expect(latest()).toBe('3');
    for (const one of [first, second, third]) registry.archive(one, true, by);
    expect(code(() => registry.find('latest'))).toBe('model_not_found');
    registry.archive(first, false, by);
    expect(latest()).toBe('1');
    registry.close();
  });
});

describe('a registry that others have open', () => {
  it('is read while somebody writes, and each reader sees what was committed', () => {
    const writer = open();
    writer.register(version('1'), by);
    const reader = open('read');
    expect(reader.find('1').state).toBe('registered');
    writer.promoted(writer.find('1'), by);
    expect(reader.find('production').version).toBe('1');
    expect(code(() => reader.register(version('2'), by))).not.toBe('nothing was thrown');
    writer.close();
    expect(reader.find('1').state).toBe('production');
    reader.close();
  });

  // Each of the 120 is on the disk before the next one begins.
  it('takes the writes of two processes at once without losing any', { timeout: 60_000 }, async () => {
    open().close();
    const script = `
      import { setTimeout as delay } from 'node:timers/promises';
      import { ModelRegistry } from ${JSON.stringify(join(import.meta.dirname, '../../src/capabilities/models/registry.ts'))};
      const clock = { now: () => 1, monotonic: () => 1, sleep: async () => {} };
      const registry = new ModelRegistry(${JSON.stringify(directory)}, { clock, access: 'write' });
      for (let index = 0; index < 60; index += 1) {
        const began = performance.now();
        registry.register({ name: 'm', version: process.argv[1] + index, sha256: '', artefacts: [{ path: 'a', sha256: process.argv[1] + index, bytes: 1 }],
          metrics: {}, metadata: { features: [], libraries: {}, algorithm: null, trainedAt: null }, source: '' }, { actor: 'x' });
        // SQLite has no queue: beside a writer that never rests, on a slow disk, another one waits in vain.
        await delay(Math.min(performance.now() - began, 50));
      }
      registry.close();`;
    const children = ['a', 'b'].map((name) =>
      spawn(process.execPath, ['--no-warnings', '--input-type=module', '-e', script, name], { stdio: 'inherit' }),
    );
    const ends = await Promise.all(children.map((child) => once(child, 'exit')));
    expect(ends.map(([status]) => status)).toEqual([0, 0]);
    const registry = open('read');
    expect(registry.page({ limit: 1_000 })).toHaveLength(120);
    expect(registry.history({ limit: 1_000 })).toHaveLength(120);
    registry.close();
  });

  it('S1-13 can be opened from a read-only mount after its writer has ended, and while it works', async ({ skip }) => {
    const writer = open();
    writer.register(version('1'), by);
    writer.close();
    const mount = `${directory}-mounted`;
    mkdirSync(mount);
    try {
      execFileSync('mount', ['--bind', directory, mount], { stdio: 'ignore' });
    } catch {
      rmSync(mount, { recursive: true });
      return skip('nothing can be mounted here');
    }
    try {
      execFileSync('mount', ['-o', 'remount,bind,ro', mount]);
      expect(() => writeFileSync(join(mount, 'x'), '')).toThrow('EROFS');
      const rows = () => {
        const raw = new Sqlite(join(mount, 'registry.db'), { readonly: true });
        try {
          return raw.prepare('SELECT version FROM versions').pluck().all();
        } finally {
          raw.close();
        }
      };
      expect(rows()).toEqual(['1']);
      const again = open();
      again.register(version('2'), by);
      expect(rows()).toEqual(['1', '2']);
      again.close();
      expect(rows()).toEqual(['1', '2']);
    } finally {
      unmount(mount);
      rmSync(mount, { recursive: true });
    }
  });
});

describe('a damaged registry', () => {
  const damage: [string, () => void][] = [
    [
      'no database at all',
      () => writeFileSync(join(directory, 'registry.db'), 'this is no database, whatever its name'),
    ],
    [
      'overwritten pages',
      () => {
        const path = join(directory, 'registry.db');
        const raw = new Sqlite(path);
        raw.pragma('journal_mode = DELETE');
        raw.close();
        const file = openSync(path, 'r+');
        for (let at = 4_096; at < readFileSync(path).length; at += 4_096)
          writeSync(file, Buffer.alloc(512, 0xa5), 0, 512, at);
      },
    ],
  ];

  it.each(damage)('is refused and left as it is, with the way back: %s', (_, harm) => {
    const registry = open();
    for (let index = 0; index < 200; index += 1) registry.register(version(`v${index}`), by);
    registry.close();
    harm();
    for (const access of ['write', 'read'] as const) {
      const before = readFileSync(join(directory, 'registry.db'));
      let thrown: unknown;
      try {
        open(access).find('v1');
      } catch (error) {
        thrown = error;
      }
      expect(thrown).toMatchObject({ code: 'state_corrupt', exit: 1 });
      expect(thrown).toHaveProperty('hint', expect.stringMatching(/restore .*registry\.db from a backup/));
      expect(readFileSync(join(directory, 'registry.db')).equals(before)).toBe(true);
    }
    expect(existsSync(join(directory, 'registry.db'))).toBe(true);
  });

  it('keeps nobody from starting who sweeps first, such as the agent', async () => {
    const models = join(directory, 'persistent/models');
    mkdirSync(models, { recursive: true });
    writeFileSync(join(models, 'registry.db'), 'this is no database, whatever its name');
    const options = { config: {}, paths: { lib: directory }, clock, writes: true };
    const damaged = new Models(options as unknown as ConstructorParameters<typeof Models>[0]);
    await damaged.sweep();
    expect(code(() => damaged.registry())).toBe('state_corrupt');
  });
});
