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

/** One operation at a time. */
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
   */
  async next(id: string, wait: number, signal: AbortSignal, busy: () => Error, about: TurnOf): Promise<Turn> {
    const until = this.#clock.monotonic() + wait;
    while (this.#current) {
      const left = until - this.#clock.monotonic();
      if (left <= 0) throw busy();
      await Promise.race([this.#current.done, this.#clock.sleep(left, signal)]);
      signal.throwIfAborted();
    }
    return this.take(id, this.#clock.monotonic(), about);
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
