import type { Clock } from '../lib/clock.ts';

/** What a turn was asked for. */
export interface TurnOf {
  readonly kind: string;
  readonly user: string;
  /** Changes nothing and stands in no journal, so it can be ended at any time. */
  readonly idle: boolean;
}

/** Whose turn it is. */
export interface Turn {
  /** The operation; changes while several are settled in one turn. */
  id: string;
  /** Resolves when it has ended, or was refused. */
  readonly done: Promise<void>;
  readonly abort: AbortController;
  /** When it began and when its step began, by the clock that is never set; undefined when another process began it. */
  readonly since: number | undefined;
  stepSince?: number;
  /** What it is and who began it, for as long as no journal knows; undefined for what was found open. */
  readonly about: TurnOf | undefined;
  readonly end: () => void;
}

/** One operation at a time, whichever generation of the configuration it began with. */
export class Turns {
  readonly #clock: Clock;
  #current: Turn | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get current(): Turn | undefined {
    return this.#current;
  }

  /** The turn of an operation, if it is the one that runs. */
  of(operation: string): Turn | undefined {
    return this.#current?.id === operation ? this.#current : undefined;
  }

  /**
   * Waits until nothing else runs, and takes the turn in that very instant.
   * @param wait milliseconds
   * @param busy what to throw when the time is up
   * @throws the reason of the signal: nothing begins for a caller who has gone
   */
  async next(id: string, wait: number, signal: AbortSignal, busy: () => Error, about: TurnOf): Promise<Turn> {
    signal.throwIfAborted();
    const until = this.#clock.monotonic() + wait;
    while (this.#current) {
      if (this.#clock.monotonic() >= until) throw busy();
      await this.freed(until, signal);
    }
    return this.take(id, this.#clock.monotonic(), about);
  }

  /**
   * Waits until whose turn it is has ended.
   * @param until at most, by the clock that is never set
   * @throws the reason of the signal
   */
  async freed(until: number, signal: AbortSignal): Promise<void> {
    const over = new AbortController();
    const left = Math.max(0, until - this.#clock.monotonic());
    await Promise.race([this.#current?.done, this.#clock.sleep(left, AbortSignal.any([signal, over.signal]))]);
    over.abort();
    signal.throwIfAborted();
  }

  /** Takes the turn; nothing else may run. */
  take(id: string, since: number | undefined, about?: TurnOf): Turn {
    const { promise: done, resolve } = Promise.withResolvers<void>();
    const end = (): void => {
      this.#current = undefined;
      resolve();
    };
    this.#current = { id, done, abort: new AbortController(), since, end, about };
    return this.#current;
  }

  /** Resolves when nothing runs any more. */
  async idle(): Promise<void> {
    while (this.#current) await this.#current.done;
  }
}
