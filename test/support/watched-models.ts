import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Invalidation, ManifestCache } from '../../src/capabilities/models/cache/manifest-cache.ts';
import { systemClock } from '../../src/lib/clock.ts';

export const sha = (text: string): string => createHash('sha256').update(text).digest('hex');

/** Manifests of one size, whatever their number is: nothing but the content tells them apart. */
export const manifest = (number: number, artefact = 'weights'): string =>
  JSON.stringify({
    name: 'm',
    version: String(number).padStart(8, '0'),
    files: { 'weights.json': { sha256: sha(artefact), bytes: artefact.length } },
  });

/** Puts a file in place of another one by a rename. @param times its mtime; default: now */
export function replace(path: string, text: string, times?: Date): void {
  writeFileSync(`${path}.tmp`, text);
  if (times) utimesSync(`${path}.tmp`, times, times);
  renameSync(`${path}.tmp`, path);
}

/** A models directory with the versions `a`, which is current, and `b`, and a cache that looks at it when told to. */
export class WatchedModels {
  readonly root = mkdtempSync(join(tmpdir(), 'cache-'));
  readonly models = join(this.root, 'models');
  readonly changes: Invalidation[] = [];
  readonly problems: (string | null)[] = [];
  readonly cache: ManifestCache;

  constructor() {
    for (const version of ['a', 'b']) {
      mkdirSync(join(this.models, version), { recursive: true });
      writeFileSync(join(this.models, version, 'weights.json'), 'weights');
      writeFileSync(join(this.models, version, 'manifest.json'), manifest(version === 'a' ? 1 : 2));
    }
    symlinkSync('a', join(this.models, 'current'));
    this.cache = this.make();
  }

  /** Another cache of the same directory. */
  make(about: { hints?: boolean; period?: number } = {}): ManifestCache {
    return new ManifestCache({
      directory: this.models,
      clock: systemClock,
      onChange: (change) => void this.changes.push(change),
      onProblem: (why) => void this.problems.push(why),
      patience: 0,
      ...about,
    });
  }

  /** Looks as often as a change takes to be seen and to be taken over. */
  async look(times = 2): Promise<void> {
    for (let count = 0; count < times; count += 1) await this.cache.look(new AbortController().signal);
  }

  /** Lets `current` name another version. */
  swap(to: string): void {
    symlinkSync(to, join(this.models, 'next'));
    renameSync(join(this.models, 'next'), join(this.models, 'current'));
  }

  destroy(): void {
    rmSync(this.root, { recursive: true });
  }
}
