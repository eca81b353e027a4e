import { utimes } from 'node:fs/promises';
import type { Clock } from '../../../lib/clock.ts';
import { messageOf } from '../../../lib/errors.ts';
import { type Manifest, parseManifest } from '../manifest.ts';
import { CheckedFiles } from './files.ts';
import { Hints } from './hints.ts';
import { lookAt, type Reading } from './signature.ts';

/** A manifest in force. */
export interface Active {
  readonly digest: string;
  readonly manifest: Manifest;
  /** Where it really lies. */
  readonly path: string;
  /** Signature of its metadata. */
  readonly meta: string;
}

/** A change that is acted on. The digests are equal after a `touch`: whoever touches a manifest wants it loaded again. */
export interface Invalidation {
  /** What was in force; undefined at the first reading. */
  readonly before: Active | undefined;
  readonly now: Active;
  /** Milliseconds of the clock that is never set: when the change was first seen. */
  readonly seenAt: number;
}

export interface CacheDeps {
  /** Directory of the models: it holds `current`, or the manifest itself. */
  readonly directory: string;
  readonly clock: Clock;
  /** Told of each change, in order; the next look waits for what it returns. */
  readonly onChange: (change: Invalidation) => Promise<void> | void;
  /** Told why what lies there is not used; null when that is over. */
  readonly onProblem: (why: string | null) => void;
  /** Milliseconds between two looks when nothing hints at a change. Default: 1,000. */
  readonly period?: number;
  /** Milliseconds between the two equal readings that a change takes. Default: 60. */
  readonly settle?: number;
  /** Milliseconds for which an unusable manifest is waited for before somebody is told: files may still arrive. Default: 2,000. */
  readonly patience?: number;
  /** False: no inotify, as on a network file system. */
  readonly hints?: boolean;
}

/**
 * Notices another manifest, whatever was done to bring it there: polling is the truth, inotify only makes it faster.
 * A manifest is taken over after two equal readings, as valid JSON, with files that have the hashes that it names; else
 * the one before stays in force (S1-77).
 */
export class ManifestCache {
  readonly #deps: CacheDeps;
  readonly #files = new CheckedFiles();
  #active: Active | undefined;
  #last: Reading | undefined;
  #seen: { readonly digest: string; readonly meta: string; readonly at: number } | undefined;
  /** What was refused, so that files which arrive later are looked at again, but not at every look. */
  #refused: { readonly key: string; readonly since: number; next: number; pause: number } | undefined;
  #problem: { readonly why: string; readonly since: number; told: boolean } | undefined;

  constructor(deps: CacheDeps) {
    this.#deps = deps;
  }

  /** The manifest in force; undefined before there was a usable one. */
  get active(): Active | undefined {
    return this.#active;
  }

  /** Looks until the signal aborts. Never throws. */
  async follow(signal: AbortSignal): Promise<void> {
    const { clock, period = 1_000, settle = 60, directory } = this.#deps;
    const hints = new Hints(this.#deps.hints ?? true);
    while (!signal.aborted) {
      hints.watch([directory, this.#last?.path]);
      let pause = period;
      try {
        if (await this.look(signal)) pause = settle;
      } catch (error) {
        if (signal.aborted) break;
        this.#trouble(messageOf(error));
      }
      // While something settles, a hint is no reason to look sooner: two readings must lie apart.
      const woken = pause === settle ? undefined : hints.next();
      const quiet = new AbortController();
      await Promise.race([
        clock.sleep(pause, AbortSignal.any([signal, quiet.signal])).catch(() => undefined),
        ...(woken ? [woken] : []),
      ]);
      quiet.abort();
    }
    hints.close();
  }

  /**
   * Gives the manifest in force a newer time, for whoever polls by time alone (S1-77). This cache itself takes it for
   * what it is.
   * @throws Error of the system
   */
  async touch(signal: AbortSignal): Promise<void> {
    const active = this.#active;
    if (!active) return;
    const now = new Date(this.#deps.clock.now());
    await utimes(active.path, now, now);
    const look = await lookAt(this.#deps.directory, undefined, this.#nanoseconds());
    signal.throwIfAborted();
    if (look.kind === 'read' && look.reading.digest === active.digest && look.reading.path === active.path)
      this.#active = { ...active, meta: look.reading.meta };
  }

  /**
   * Looks once.
   * @returns whether something is changing, so that another look soon will tell more
   */
  async look(signal: AbortSignal): Promise<boolean> {
    const { clock, directory } = this.#deps;
    const look = await lookAt(directory, this.#last, this.#nanoseconds());
    if (look.kind !== 'read') {
      this.#last = undefined;
      this.#seen = undefined;
      this.#trouble(look.why);
      return false;
    }
    const { reading } = look;
    this.#last = reading;
    if (reading.digest === this.#active?.digest && reading.meta === this.#active.meta) {
      this.#seen = undefined;
      this.#refused = undefined;
      this.#trouble(null);
      return false;
    }
    const at = clock.monotonic();
    const { digest, meta } = reading;
    if (this.#seen?.digest !== digest || this.#seen.meta !== meta) {
      this.#seen = { digest, meta, at: this.#seen?.at ?? at };
      return true;
    }
    return this.#settled(reading, this.#seen.at, at, signal);
  }

  /** Twice the same: takes it over if it can be used. */
  async #settled(reading: Reading, seenAt: number, now: number, signal: AbortSignal): Promise<boolean> {
    const key = `${reading.meta} ${reading.digest}`;
    if (this.#refused?.key !== key) this.#refused = undefined;
    else if (now < this.#refused.next) return false;
    const why = await this.#unusable(reading, signal);
    if (typeof why === 'string') {
      const pause = Math.min((this.#refused?.pause ?? 100) * 2, 10_000);
      this.#refused = { key, since: this.#refused?.since ?? now, next: now + pause, pause };
      this.#trouble(why);
      return false;
    }
    const before = this.#active;
    const active = { digest: reading.digest, manifest: why, path: reading.path, meta: reading.meta };
    this.#active = active;
    this.#seen = undefined;
    this.#refused = undefined;
    this.#trouble(null);
    await this.#deps.onChange({ before, now: active, seenAt });
    return false;
  }

  /** @returns the manifest, or why it cannot be used */
  async #unusable(reading: Reading, signal: AbortSignal): Promise<Manifest | string> {
    let manifest: Manifest;
    try {
      manifest = parseManifest(reading.bytes);
    } catch (error) {
      return messageOf(error);
    }
    const difference = await this.#files.difference(reading.path, manifest, signal);
    return difference === null ? manifest : `version ${manifest.version}: ${difference}`;
  }

  #nanoseconds(): bigint {
    return BigInt(Math.round(this.#deps.clock.now())) * 1_000_000n;
  }

  #trouble(why: string | null): void {
    const { clock, onProblem, patience = 2_000 } = this.#deps;
    const now = clock.monotonic();
    if (why === null) {
      if (this.#problem?.told) onProblem(null);
      this.#problem = undefined;
      return;
    }
    if (this.#problem?.why !== why) this.#problem = { why, since: this.#problem?.since ?? now, told: false };
    if (this.#problem.told || now - this.#problem.since < patience) return;
    this.#problem = { ...this.#problem, told: true };
    onProblem(why);
  }
}
