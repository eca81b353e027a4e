import type { Clock } from '../lib/clock.ts';

/** A wait that can be cut short from elsewhere. It costs nothing while it lasts. */
export class Nap {
  readonly #clock: Clock;
  #wake: () => void = () => undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  readonly wake = (): void => this.#wake();

  /** Resolves after so many milliseconds, by `wake`, or when the signal aborts. @param ms undefined for no end */
  async take(ms: number | undefined, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return;
    const over = new AbortController();
    const woken = Promise.withResolvers<void>();
    this.#wake = woken.resolve;
    signal.addEventListener('abort', this.wake, { once: true });
    const waits: Promise<void>[] = [woken.promise];
    if (ms !== undefined) waits.push(this.#clock.sleep(Math.max(0, ms), over.signal).catch(() => undefined));
    await Promise.race(waits);
    over.abort();
    signal.removeEventListener('abort', this.wake);
    this.#wake = () => undefined;
  }
}
