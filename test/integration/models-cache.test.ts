import {
  copyFileSync,
  mkdirSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { ManifestCache } from '../../src/capabilities/models/cache/manifest-cache.ts';
import { random as randomFrom } from '../support/random.ts';
import { manifest, replace, sha, WatchedModels } from '../support/watched-models.ts';

let watched: WatchedModels;
let models: string;
let changes: WatchedModels['changes'];
let cache: ManifestCache;
const look = (times?: number): Promise<void> => watched.look(times);

beforeEach(() => {
  watched = new WatchedModels();
  ({ models, changes, cache } = watched);
});
afterEach(() => watched.destroy());

describe('ten thousand changes (S1-77)', () => {
  it('notices each of them, and acts on none that is half-written', async () => {
    const random = randomFrom(20_261_121);
    const pick = (count: number): number => Math.floor(random() * count);
    let [number, current, missed, early] = [10, 'a', 0, 0];
    const counts = new Map<string, number>();
    await look();
    expect(cache.active?.manifest.version).toBe('00000001');

    const path = (): string => join(models, current, 'manifest.json');
    const still = async (): Promise<void> => {
      const before = cache.active?.digest;
      await look(3);
      if (cache.active?.digest !== before) early += 1;
    };
    const ways: Readonly<Record<string, (text: string) => Promise<void> | void>> = {
      'rename over it': (text) => replace(path(), text),
      'rename over it, equal mtime': (text) => replace(path(), text, statSync(path()).mtime),
      'rewrite in place': (text) => writeFileSync(path(), text),
      'rewrite in place, mtime restored': (text) => {
        const { mtime } = statSync(path());
        writeFileSync(path(), text);
        utimesSync(path(), mtime, mtime);
      },
      'older mtime': (text) => replace(path(), text, new Date(1_000_000_000_000 + number)),
      'coarse mtime': (text) => {
        writeFileSync(path(), text);
        const seconds = Math.floor(Date.now() / 2_000) * 2;
        utimesSync(path(), seconds, seconds);
      },
      'half, then whole': async (text) => {
        writeFileSync(path(), text.slice(0, 1 + pick(text.length - 1)));
        await still();
        writeFileSync(path(), text);
      },
      'emptied, then written': async (text) => {
        writeFileSync(path(), '');
        await still();
        writeFileSync(path(), text);
      },
      'deleted, then restored': async (text) => {
        unlinkSync(path());
        await still();
        writeFileSync(path(), text);
      },
      'symlink swapped': (text) => {
        current = current === 'a' ? 'b' : 'a';
        writeFileSync(path(), text);
        watched.swap(current);
      },
      'symlink removed, then made': async (text) => {
        current = current === 'a' ? 'b' : 'a';
        writeFileSync(path(), text);
        unlinkSync(join(models, 'current'));
        await still();
        symlinkSync(current, join(models, 'current'));
      },
      'directory moved away, another in its place': (text) => {
        const directory = join(models, current);
        mkdirSync(`${directory}.new`);
        copyFileSync(join(directory, 'weights.json'), join(`${directory}.new`, 'weights.json'));
        writeFileSync(join(`${directory}.new`, 'manifest.json'), text);
        renameSync(directory, `${directory}.old`);
        renameSync(`${directory}.new`, directory);
        rmSync(`${directory}.old`, { recursive: true });
      },
    };
    const names = Object.keys(ways);
    for (let change = 0; change < 10_000; change += 1) {
      const name = names[pick(names.length)] ?? '';
      counts.set(name, (counts.get(name) ?? 0) + 1);
      number += 1;
      const text = manifest(number);
      const reported = changes.length;
      await ways[name]?.(text);
      await look();
      if (changes.length !== reported + 1 || changes.at(-1)?.now.digest !== sha(text)) missed += 1;
    }
    expect({ missed, early, ways: counts.size }).toEqual({ missed: 0, early: 0, ways: names.length });
    expect(changes).toHaveLength(10_001);
  }, 400_000);
});
