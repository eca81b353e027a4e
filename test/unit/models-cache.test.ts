import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, readFileSync, rmSync, statSync, unlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Hints } from '../../src/capabilities/models/cache/hints.ts';
import type { ManifestCache } from '../../src/capabilities/models/cache/manifest-cache.ts';
import { manifestDigest, parseManifest } from '../../src/capabilities/models/manifest.ts';
import { manifest, replace, sha, WatchedModels } from '../support/watched-models.ts';

let watched: WatchedModels;
let root: string;
let models: string;
let changes: WatchedModels['changes'];
let problems: WatchedModels['problems'];
let cache: ManifestCache;
const look = (times?: number): Promise<void> => watched.look(times);
const stop = new AbortController();

beforeEach(() => {
  watched = new WatchedModels();
  ({ root, models, changes, problems, cache } = watched);
});
afterEach(() => watched.destroy());

describe('what tools do', () => {
  beforeEach(async () => {
    await look();
    expect(changes).toHaveLength(1);
  });

  const older = (): void => {
    const back = join(root, 'back');
    mkdirSync(back);
    writeFileSync(join(back, 'manifest.json'), manifest(7));
    utimesSync(join(back, 'manifest.json'), 1_000_000_000, 1_000_000_000);
  };
  for (const [what, command] of [
    ['cp -p of an older manifest', 'cp -p back/manifest.json models/a/manifest.json'],
    [
      'what rsync -a does: a copy with its old time beside it, then a rename',
      'cp -p back/manifest.json models/a/.manifest.json.Xy && mv models/a/.manifest.json.Xy models/a/manifest.json',
    ],
    [
      'what rsync --inplace does: rewritten, then its old time set',
      'cat back/manifest.json > models/a/manifest.json && touch -r back/manifest.json models/a/manifest.json',
    ],
    ['mv', 'mv back/manifest.json models/a/manifest.json'],
    ['ln -sfn', 'cp back/manifest.json models/b/manifest.json && ln -sfn b models/current'],
  ] as const)
    it(`notices ${what}`, async () => {
      older();
      execFileSync('sh', ['-c', command], { cwd: root });
      await look();
      expect(changes.at(-1)?.now.manifest.version).toBe('00000007');
      expect(changes).toHaveLength(2);
    });

  it('takes a touch for the wish to load it again', async () => {
    const path = join(models, 'a/manifest.json');
    const before = statSync(path, { bigint: true }).mtimeNs;
    // The clock of a file system goes in steps of some milliseconds.
    while (statSync(path, { bigint: true }).mtimeNs === before) execFileSync('touch', [path]);
    await look();
    expect(changes).toHaveLength(2);
    expect(changes[1]?.now.digest).toBe(changes[1]?.before?.digest);
  });

  it('does not take its own touch for that', async () => {
    const before = statSync(join(models, 'a/manifest.json')).mtimeMs;
    await delay(10);
    await cache.touch(stop.signal);
    expect(statSync(join(models, 'a/manifest.json')).mtimeMs).toBeGreaterThan(before);
    await look(4);
    expect(changes).toHaveLength(1);
  });
});

describe('what cannot be used', () => {
  beforeEach(() => look());

  const bad: readonly (readonly [string, () => void, RegExp])[] = [
    ['half a manifest', () => writeFileSync(join(models, 'a/manifest.json'), '{"name": "m", '), /cannot be used/],
    [
      'a repeated key',
      () => writeFileSync(join(models, 'a/manifest.json'), manifest(3).replace('"version"', '"version":"x","version"')),
      /twice/,
    ],
    [
      'a manifest of 100 MB',
      () => writeFileSync(join(models, 'a/manifest.json'), ' '.repeat(100_000_000)),
      /larger than/,
    ],
    [
      'bytes that are no UTF-8',
      () => writeFileSync(join(models, 'a/manifest.json'), Buffer.from([0x7b, 0xff, 0x7d])),
      /cannot be used/,
    ],
    [
      'a file outside of the directory',
      () => writeFileSync(join(models, 'a/manifest.json'), manifest(3).replace('weights.json', '../b/weights.json')),
      /files\[/,
    ],
    [
      'an artefact with another hash',
      () => writeFileSync(join(models, 'a/manifest.json'), manifest(3, 'WEIGHTS')),
      /does not have the hash/,
    ],
    [
      'an artefact that is missing',
      () => writeFileSync(join(models, 'a/manifest.json'), manifest(3).replace('weights.json', 'other.json')),
      /not there/,
    ],
    [
      'a directory in its place',
      () => {
        unlinkSync(join(models, 'a/manifest.json'));
        mkdirSync(join(models, 'a/manifest.json'));
      },
      /no plain file/,
    ],
    ['no manifest', () => unlinkSync(join(models, 'a/manifest.json')), /there is no/],
  ];
  for (const [what, plant, why] of bad)
    it(`leaves the one before in force and says why: ${what}`, async () => {
      const before = cache.active?.digest;
      plant();
      await look(4);
      expect(cache.active?.digest).toBe(before);
      expect(changes).toHaveLength(1);
      expect(problems.at(-1)).toMatch(why);
      rmSync(join(models, 'a/manifest.json'), { recursive: true, force: true });
      writeFileSync(join(models, 'a/manifest.json'), manifest(9));
      await look();
      expect(cache.active?.manifest.version).toBe('00000009');
      expect(problems.at(-1)).toBeNull();
    });

  for (const [what, to, why] of [
    ['that is absolute', () => join(models, 'b'), /absolute path .*inside of containers/],
    ['that leads out', () => '../outside', /leads out of the models directory/],
  ] as const)
    it(`leaves the one before in force when current becomes a link ${what}: containers cannot follow it`, async () => {
      cpSync(join(models, 'b'), join(root, 'outside'), { recursive: true });
      watched.swap(to());
      await look(4);
      expect(changes).toHaveLength(1);
      expect(problems.at(-1)).toMatch(why);
      watched.swap('b');
      await look();
      expect(changes).toHaveLength(2);
      expect(problems.at(-1)).toBeNull();
    });

  it('takes it over once an artefact that came late is there', async () => {
    unlinkSync(join(models, 'a/weights.json'));
    writeFileSync(join(models, 'a/manifest.json'), manifest(5));
    await look(3);
    expect(changes).toHaveLength(1);
    writeFileSync(join(models, 'a/weights.json'), 'weights');
    // The pause until the next try is the longer, the oftener it was refused.
    await expect
      .poll(async () => {
        await look();
        return changes.at(-1)?.now.manifest.version;
      })
      .toBe('00000005');
  });
});

describe('on its own', () => {
  for (const hints of [true, false])
    it(`follows changes ${hints ? 'by inotify' : 'by polling alone'}`, async () => {
      cache = watched.make({ hints, period: hints ? 60_000 : 100 });
      const following = new AbortController();
      const done = cache.follow(following.signal);
      await expect.poll(() => cache.active?.manifest.version).toBe('00000001');
      for (let number = 20; number < 26; number += 1) {
        if (number % 2 === 0) replace(join(models, 'a/manifest.json'), manifest(number));
        else writeFileSync(join(models, 'a/manifest.json'), manifest(number));
        await expect.poll(() => cache.active?.manifest.version, { interval: 10 }).toBe(String(number).padStart(8, '0'));
      }
      writeFileSync(join(models, 'b/manifest.json'), manifest(40));
      watched.swap('b');
      await expect.poll(() => cache.active?.manifest.version, { interval: 10 }).toBe('00000040');
      following.abort();
      await done;
    });
});

it('knows a manifest by the hash of its bytes', () => {
  const bytes = readFileSync(join(models, 'a/manifest.json'));
  expect(manifestDigest(bytes)).toBe(sha(bytes.toString()));
  expect(parseManifest(bytes).files['weights.json']?.bytes).toBe(7);
});

it('a hint that comes while nobody waits for one is not lost to who has stopped waiting', async () => {
  const hints = new Hints(true);
  try {
    hints.watch([models, undefined]);
    const given = hints.next();
    writeFileSync(join(models, 'new'), '');
    await given;
    // The one above stands for a look that went on because its time was over, and read the directory a moment too early.
    await hints.next();
  } finally {
    hints.close();
  }
});
