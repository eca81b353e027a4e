import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { diffReleases, type ReleaseView } from '../../src/capabilities/releases/diff.ts';
import { decideRetention, type RetentionCandidate } from '../../src/capabilities/releases/retention.ts';
import {
  afterMigration,
  assertLiveKeepsReading,
  assertReadable,
  breaksLive,
} from '../../src/capabilities/releases/schema-gate.ts';
import { releaseState } from '../../src/capabilities/releases/state.ts';
import { type NewRelease, ReleaseStore, releaseMigrations } from '../../src/capabilities/releases/store.ts';
import { type Database, openDatabase } from '../../src/host/sqlite.ts';
import { systemClock } from '../../src/lib/clock.ts';

describe('schema gate', () => {
  it('a floor never sinks', () => {
    let today = afterMigration(null, { version: 1, readableFrom: 1 });
    today = afterMigration(today, { version: 3, readableFrom: 3 });
    today = afterMigration(today, { version: 4, readableFrom: 2 });
    expect(today).toEqual({ version: 4, readableFrom: 3 });
    expect(afterMigration(today, { version: 2, readableFrom: 1 })).toEqual(today);
  });

  it('refuses a release below the floor, with both numbers', () => {
    const today = { version: 3, readableFrom: 3 };
    expect(() => assertReadable('v0.9', { version: 1, readableFrom: 1 }, today)).toThrow(
      /v0\.9 was built for schema 1; the database is at schema 3/,
    );
    expect(() => assertReadable('v1.1', { version: 3, readableFrom: 3 }, today)).not.toThrow();
    expect(() =>
      assertReadable('v0.9', { version: 1, readableFrom: 1 }, { version: 2, readableFrom: 1 }),
    ).not.toThrow();
    expect(() => assertReadable('unversioned', null, today)).not.toThrow();
  });

  it('refuses to take the database from the live release', () => {
    const live = { tag: 'v1.0', schema: { version: 1, readableFrom: 1 } };
    const today = { version: 1, readableFrom: 1 };
    expect(breaksLive({ version: 3, readableFrom: 3 }, today, live.schema)).toBe(true);
    expect(breaksLive({ version: 2, readableFrom: 1 }, today, live.schema)).toBe(false);
    expect(() => assertLiveKeepsReading({ tag: 'v1.1', schema: { version: 3, readableFrom: 3 } }, today, live)).toThrow(
      /schema 3.*v1\.0.*schema 1/,
    );
    expect(() =>
      assertLiveKeepsReading({ tag: 'v1.1', schema: { version: 3, readableFrom: 3 } }, today, null),
    ).not.toThrow();
  });
});

describe('retention', () => {
  const candidate = (
    tag: string,
    deployedAt: number | null,
    about: Partial<RetentionCandidate> = {},
  ): RetentionCandidate => ({
    id: `${tag}-id`,
    tag,
    state: 'kept',
    pinned: false,
    deployedAt,
    bytes: 100,
    ...about,
  });
  const explain = (all: RetentionCandidate[], releases: number, bytes = 10_000) =>
    decideRetention([...all].reverse(), { releases, bytes }).map(
      ({ tag, keep, reason }) => `${keep ? 'keep' : 'drop'} ${tag}: ${reason}`,
    );

  it('keeps live, warm, pinned and the one before, whatever the limits', () => {
    const all = [
      candidate('v1', 1, { pinned: true }),
      candidate('v2', 2),
      candidate('v3', 3),
      candidate('v4', 4, { state: 'warm' }),
      candidate('v5', 5, { state: 'live' }),
    ];
    expect(explain(all, 2, 1)).toEqual([
      'keep v5: it is live',
      'keep v4: it is warm',
      'drop v3: more than 2 releases',
      'drop v2: more than 2 releases',
      'keep v1: it is pinned',
    ]);
  });

  it('counts releases and bytes, newest first', () => {
    const all = [
      candidate('v1', 1),
      candidate('v2', 2),
      candidate('v3', 3),
      candidate('v4', 4),
      candidate('v5', 5, { state: 'live' }),
    ];
    expect(explain(all, 4)).toEqual([
      'keep v5: it is live',
      'keep v4: it is the release before the live one',
      'keep v3: one of the last 4',
      'keep v2: one of the last 4',
      'drop v1: more than 4 releases',
    ]);
    expect(explain(all, 10, 350).slice(2)).toEqual([
      'keep v3: one of the last 10',
      'drop v2: more than 350 bytes of images',
      'drop v1: more than 350 bytes of images',
    ]);
  });

  it('leaves what is gone out, and an empty set empty', () => {
    expect(explain([candidate('v1', 1, { state: 'gone' })], 2)).toEqual([]);
  });
});

describe('diff', () => {
  const view = (about: Partial<ReleaseView['manifest']>, environment: Record<string, string> = {}): ReleaseView => ({
    manifest: {
      format: 1,
      id: 'x',
      tag: 'x',
      commit: 'a'.repeat(40),
      createdAt: '',
      schema: { version: 1, readableFrom: 1 },
      services: [{ name: 'web', role: 'app', replicas: 1, image: 'web:1', built: false }],
      environment: { keys: [], sha256: '' },
      files: {},
      model: '',
      ...about,
    },
    images: undefined,
    environment,
  });

  it('shows what changed, and of values only that they changed', () => {
    const from = view({}, { SAME: '1', CHANGED: 'old-hash', GONE: 'x' });
    const to = view(
      {
        schema: { version: 2, readableFrom: 1 },
        services: [{ name: 'web', role: 'app', replicas: 3, image: 'web:2', built: false }],
      },
      { SAME: '1', CHANGED: 'new-hash', NEW: 'y' },
    );
    expect(diffReleases(from, to, [])).toEqual([
      { area: 'schema', name: 'schema', kind: 'changed', from: '1', to: '2' },
      { area: 'topology', name: 'web', kind: 'changed', from: '1 ×', to: '3 ×' },
      { area: 'image', name: 'web', kind: 'changed', from: 'web:1', to: 'web:2' },
      { area: 'environment', name: 'CHANGED', kind: 'changed', from: null, to: null },
      { area: 'environment', name: 'GONE', kind: 'removed', from: null, to: null },
      { area: 'environment', name: 'NEW', kind: 'added', from: null, to: null },
    ]);
    expect(diffReleases(from, from, [])).toEqual([]);
  });

  it('shows routes that came, went and changed; those of appliance.yaml hold where none were recorded', () => {
    const route = (path: string, service = 'web') => ({ path, service, port: 80, timeout: 60_000, maxBody: 2 ** 20 });
    const old = view({ routes: [route('/'), route('/old/'), route('/same/')] });
    const now = view({ routes: [{ ...route('/', 'shop'), timeout: 90_000 }, route('/same/'), route('/new/')] });
    const changes = [
      {
        area: 'topology',
        name: '/',
        kind: 'changed',
        from: 'web:80, 1 min 00 s, 1.0 MiB',
        to: 'shop:80, 1 min 30 s, 1.0 MiB',
      },
      { area: 'topology', name: '/new/', kind: 'added', from: null, to: 'web:80, 1 min 00 s, 1.0 MiB' },
      { area: 'topology', name: '/old/', kind: 'removed', from: 'web:80, 1 min 00 s, 1.0 MiB', to: null },
    ];
    expect(diffReleases(old, now, [])).toEqual(changes);
    expect(diffReleases(view({}), now, [route('/'), route('/old/'), route('/same/')])).toEqual(changes);
  });

  it('an image that is not resolved yet is no change while its name, or the commit it is built from, is the same', () => {
    const services = [
      { name: 'cache', role: 'core', replicas: 1, image: 'redis:7', built: false },
      { name: 'web', role: 'app', replicas: 1, image: '', built: true },
    ];
    const image = (digit: string) => ({ ref: 'x', id: `sha256:${digit.repeat(64)}`, bytes: 1 });
    const live = { ...view({ services }), images: { cache: image('1'), web: image('2') } };
    const web = { area: 'image', name: 'web', kind: 'changed', from: '2'.repeat(12), to: 'to be built' };
    expect(diffReleases(live, view({ services }), [])).toEqual([]);
    const commit = 'b'.repeat(40);
    expect(diffReleases(live, view({ services, commit }), [])).toEqual([
      expect.objectContaining({ area: 'commit' }),
      web,
    ]);
    const newer = services.map((service) => (service.built ? service : { ...service, image: 'redis:8' }));
    expect(diffReleases(live, view({ services: newer }), [])).toEqual([
      { area: 'image', name: 'cache', kind: 'changed', from: 'redis:7', to: 'redis:8' },
    ]);
    // Both resolved: the same name may mean another image.
    const moved = { ...live, images: { ...live.images, cache: image('3') } };
    expect(diffReleases(live, moved, [])).toEqual([
      { area: 'image', name: 'cache', kind: 'changed', from: '1'.repeat(12), to: '3'.repeat(12) },
    ]);
  });
});

describe('state of a release', () => {
  it.each([
    ['live', { live: 'a', running: new Set(['a']), imagesPresent: true }],
    ['warm', { live: 'b', running: new Set(['a', 'b']), imagesPresent: true }],
    ['kept', { live: 'b', running: new Set(['b']), imagesPresent: true }],
    ['gone', { live: 'b', running: new Set(['b']), imagesPresent: false }],
  ] as const)('%s', (state, seen) => {
    expect(releaseState('a', seen)).toBe(state);
  });
});

describe('store', () => {
  let root: string;
  let database: Database;
  let store: ReleaseStore;
  let now = 1_000;
  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'store-'));
    database = openDatabase(join(root, 'state.db'), [releaseMigrations]);
    store = new ReleaseStore({
      database,
      directory: join(root, 'releases'),
      clock: { ...systemClock, now: () => (now += 1) },
    });
  });
  afterEach(() => {
    database.close();
    rmSync(root, { recursive: true, force: true });
  });

  const made = (model = 'm1', environment: Record<string, string> = { KEY: 'value' }): NewRelease => ({
    content: {
      schema: null,
      services: [],
      environment: { keys: Object.keys(environment), sha256: JSON.stringify(environment) },
      files: {},
      model,
    },
    environment,
    model: (from, to) => JSON.stringify({ path: join(from.source, 'x').replace(from.directory, to.directory) }),
  });
  const add = (tag: string, release = made()) =>
    store.add(tag, 'c'.repeat(40), async ({ source }) => {
      await writeFile(join(source, 'file'), 'content');
      return release;
    });

  it('gives the same content the same id, and other content another', async () => {
    const first = await add('v1');
    expect((await add('v1')).id).toBe(first.id);
    const second = await add('v1', made('m1', { KEY: 'other' }));
    expect(second.id).not.toBe(first.id);
    expect(store.lastResolved('v1').id).toBe(second.id);
    await add('v1');
    expect(store.lastResolved('v1').id).toBe(first.id);
    expect(readdirSync(join(root, 'releases'))).toHaveLength(2);
  });

  it('writes the model with the paths of its final place', async () => {
    const { id } = await add('v1');
    expect(JSON.parse(await readFile(store.files(id).model, 'utf8'))).toEqual({
      path: join(store.files(id).source, 'x'),
    });
  });

  it('leaves nothing behind when making a release fails', async () => {
    const failing = store.add('v1', 'c', async () => {
      throw new Error('no');
    });
    await expect(failing).rejects.toThrow('no');
    expect(readdirSync(join(root, 'releases'))).toEqual([]);
    expect(store.all()).toEqual([]);
  });

  it('sweeps what a killed process left', async () => {
    const { id } = await add('v1');
    await mkdir(join(root, 'releases/.staging-dead'));
    await store.sweep();
    expect(readdirSync(join(root, 'releases'))).toEqual([id]);
  });

  it('remembers what is live, and takes it back', async () => {
    const [a, b] = [await add('v1'), await add('v2', made('m2'))];
    const by = { actor: 'root', verdict: 'pass' } as const;
    store.setLive(a.id, 'blue', by);
    const before = store.live();
    store.setLive(b.id, 'green', by);
    expect(store.live()).toMatchObject({ release: b.id, colour: 'green' });
    expect(store.previous()?.id).toBe(a.id);
    store.restoreLive(before);
    expect(store.live()).toEqual(before);
    store.setLive(a.id, 'blue', by);
    expect(store.live()?.since).toBe(before?.since);
  });

  it('offers near matches for an unknown release', async () => {
    await add('v1.0-p2');
    expect(() => store.find('v1.0-p3')).toThrow(/no release v1\.0-p3/);
    expect(store.find('v1.0-p2').tag).toBe('v1.0-p2');
  });

  it('refuses a damaged manifest and leaves it as it is', async () => {
    const { id } = await add('v1');
    const path = join(store.files(id).directory, 'manifest.json');
    await writeFile(path, '{"format":1');
    await expect(store.manifest(id)).rejects.toMatchObject({ code: 'state_corrupt' });
    expect(await readFile(path, 'utf8')).toBe('{"format":1');
  });
});
