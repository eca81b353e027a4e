import { setImmediate } from 'node:timers/promises';
import type { Clock } from '../../src/lib/clock.ts';

/** A clock whose time passes as fast as it is slept: twenty hours take as long as what is done in them. */
export class FastClock implements Clock {
  #now: number;
  /** Told of each instant that is slept to, in milliseconds since 1970. */
  onTick: (now: number) => void | Promise<void> = () => {};

  constructor(start = Date.UTC(2026, 0, 5, 8)) {
    this.#now = start;
  }

  now(): number {
    return this.#now;
  }

  monotonic(): number {
    return this.#now;
  }

  async sleep(ms: number, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    await setImmediate();
    signal?.throwIfAborted();
    this.#now += ms;
    await this.onTick(this.#now);
  }
}
