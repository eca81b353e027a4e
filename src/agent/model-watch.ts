import { type Active, ManifestCache } from '../capabilities/models/cache/manifest-cache.ts';
import { tidyPointers } from '../capabilities/models/pointer.ts';
import type { Clock } from '../lib/clock.ts';
import { asApplianceError } from '../lib/errors.ts';
import { Takeover, type TakeoverDeps } from './takeover.ts';

export interface ModelWatchDeps extends TakeoverDeps {
  readonly clock: Clock;
  /** Whether anything is live that could load a model. */
  readonly live: () => boolean;
  /** Kind of the operation that runs right now; null when none does. */
  readonly running: () => string | null;
  /** Lets the running processes load a manifest, and proves it. */
  readonly close: (sha256: string, signal: AbortSignal) => Promise<unknown>;
  /** Digests that the running processes report. */
  readonly loaded: (signal: AbortSignal) => Promise<readonly (string | null)[]>;
  /** Milliseconds that processes may take to notice another model by themselves. */
  readonly confirm: number;
  /** Told when running processes have what lies on the disk. */
  readonly onClosed: () => void;
}

/** Milliseconds between two looks at whether an operation has ended. */
const turnPause = 500;

/** How often it is looked, after a pause each, whether a process has loaded by itself what nobody has asked it to load. */
const looks = 5;

/** Notices what others do to the models directory, and closes the loop: processes load it, the registry says it. */
export class ModelWatch {
  readonly #deps: ModelWatchDeps;
  readonly #cache: ManifestCache;
  readonly #takeover: Takeover;
  /** Lifetime of `follow`. */
  #signal: AbortSignal | undefined;
  #noticed: { count: number; seconds: number[] } = { count: 0, seconds: [] };

  constructor(deps: ModelWatchDeps) {
    this.#deps = deps;
    this.#takeover = new Takeover(deps);
    this.#cache = new ManifestCache({
      directory: deps.directory,
      clock: deps.clock,
      onChange: ({ before, now, seenAt }) => {
        if (before) this.#noticed.count += 1;
        // Not awaited: it may wait for an operation of many hours, and the next change must be noticed meanwhile.
        void this.#changed(now, seenAt);
      },
      onProblem: (why) => this.#problem(why),
    });
  }

  /** The manifest in force, as it was last found good; undefined before there was one. */
  get active(): Active | undefined {
    return this.#cache.active;
  }

  /** Gives the manifest in force a newer time. */
  touch(signal: AbortSignal): Promise<void> {
    return this.#cache.touch(signal);
  }

  /** Changes since the last call, and how long those took that were confirmed. */
  takeNoticed(): { readonly count: number; readonly seconds: readonly number[] } {
    const taken = this.#noticed;
    this.#noticed = { count: 0, seconds: [] };
    return taken;
  }

  /** Notices other manifests until the signal aborts. Never throws. */
  async follow(signal: AbortSignal): Promise<void> {
    this.#signal = signal;
    await tidyPointers(this.#deps.directory).catch(() => undefined);
    await this.#cache.follow(signal);
  }

  /** Resolves when no operation runs that matters. @throws the reason of the signal */
  async operationEnds(matters: (kind: string) => boolean, signal: AbortSignal): Promise<void> {
    const { running, clock } = this.#deps;
    for (let kind = running(); kind !== null && matters(kind); kind = running()) await clock.sleep(turnPause, signal);
  }

  /** Somebody has put another manifest in force: the loop is closed, or somebody is told that it is not. */
  async #changed(active: Active, seenAt: number): Promise<void> {
    const { live, alerting, clock, close, onClosed } = this.#deps;
    const signal = this.#signal ?? AbortSignal.abort();
    const current = (): boolean => this.#cache.active?.digest === active.digest;
    try {
      alerting.resolve('ModelNotLoaded');
      // A promotion closes its own loop.
      await this.operationEnds(closesLoop, signal);
      if (!current()) return;
      const safe = await this.#takeover.isSafe(active, signal);
      if (safe && live()) {
        await close(active.digest, signal);
        this.#noticed.seconds.push((clock.monotonic() - seenAt) / 1_000);
        onClosed();
      }
      if (!safe && !(await this.#serves(active.digest, signal))) return;
      // The way back of a release takes its model with it, and writes its own line.
      await this.operationEnds((kind) => closesLoop(kind) || kind === 'rollback', signal);
      if (current()) await this.#takeover.record(active, signal);
    } catch (error) {
      // A newer change has taken its place, and tells for itself.
      if (signal.aborted || !current()) return;
      const { message, hint } = asApplianceError(error);
      alerting.raise({ name: 'ModelNotLoaded', severity: 'critical', summary: message, hint });
    }
  }

  /** Whether a running process has a model loaded that nobody here has asked it to load. */
  async #serves(digest: string, signal: AbortSignal): Promise<boolean> {
    const { live, clock, confirm, loaded } = this.#deps;
    if (!live()) return true;
    // Applications look by themselves, about once a second; a busy host takes its time over it.
    for (let look = 0; look < looks; look += 1) {
      await clock.sleep(confirm, signal);
      if ((await loaded(signal)).includes(digest)) return true;
    }
    return false;
  }

  #problem(why: string | null): void {
    const { alerting } = this.#deps;
    if (why === null) alerting.resolve('ModelManifestUnusable');
    else
      alerting.raise({
        name: 'ModelManifestUnusable',
        severity: 'warning',
        summary: `the model before it stays in force: ${why}`,
        hint: 'put a whole version in its place: appliance models promote VERSION',
      });
  }
}

/** Whether an operation of this kind lets processes load models by itself. */
export function closesLoop(kind: string): boolean {
  return kind === 'restore' || kind.startsWith('model-');
}
