import { type FSWatcher, watch } from 'node:fs';
import { dirname } from 'node:path';

/**
 * inotify as a hint: it may come late, twice or never (NFS, SMB, bind mounts of another host), and then polling sees
 * the change all the same.
 */
export class Hints {
  readonly #enabled: boolean;
  readonly #watchers = new Map<string, FSWatcher>();
  #pending = false;
  #wake: (() => void) | undefined;

  constructor(enabled: boolean) {
    this.#enabled = enabled;
  }

  /** Watches the directory of the models and that of the manifest in force, and no other any more. */
  watch([directory, manifest]: readonly [string, string | undefined]): void {
    if (!this.#enabled) return;
    const wanted = new Set([directory, ...(manifest === undefined ? [] : [dirname(manifest)])]);
    for (const [path, watcher] of this.#watchers) {
      if (wanted.has(path)) continue;
      watcher.close();
      this.#watchers.delete(path);
    }
    for (const path of wanted) {
      if (this.#watchers.has(path)) continue;
      try {
        const watcher = watch(path, { persistent: false }, () => this.#hint());
        const forget = (): void => {
          watcher.close();
          if (this.#watchers.get(path) === watcher) this.#watchers.delete(path);
        };
        watcher.on('error', forget);
        // A directory that is gone, or another one under its name, is watched anew at the next look.
        watcher.on('change', (event) => event === 'rename' && forget());
        this.#watchers.set(path, watcher);
      } catch {
        // Too many watches, or no such directory: polling goes on.
      }
    }
  }

  /** Resolves at the next hint, at once if one came since the last call. */
  next(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    if (this.#pending) resolve();
    else this.#wake = resolve;
    this.#pending = false;
    return promise;
  }

  close(): void {
    for (const watcher of this.#watchers.values()) watcher.close();
    this.#watchers.clear();
  }

  #hint(): void {
    // Whoever was to be woken may have stopped waiting long ago: it counts for the next call as well.
    this.#pending = true;
    this.#wake?.();
    this.#wake = undefined;
  }
}
