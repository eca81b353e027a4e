import type { ApplianceEvent } from '../api/schema.ts';

/** Events that a slow listener may fall behind before it is cut off: memory stays bounded. */
const longestQueue = 10_000;

/** Passes events on to whoever listens. A listener that is slow only harms itself. */
export class EventHub {
  readonly #listeners = new Set<(event: ApplianceEvent) => void>();

  publish(event: ApplianceEvent): void {
    for (const listener of this.#listeners) listener(event);
  }

  /**
   * Everything that happens from this call on, also before the first `next()`.
   * @param signal ends the stream
   */
  subscribe(signal: AbortSignal): AsyncGenerator<ApplianceEvent> {
    const queue: ApplianceEvent[] = [];
    let wake: (() => void) | undefined;
    let overflown = false;
    const listener = (event: ApplianceEvent): void => {
      if (queue.length >= longestQueue) overflown = true;
      else queue.push(event);
      wake?.();
    };
    const stop = (): void => {
      this.#listeners.delete(listener);
      wake?.();
    };
    this.#listeners.add(listener);
    signal.addEventListener('abort', stop, { once: true });
    const listeners = this.#listeners;
    const drop = (): void => {
      listeners.delete(listener);
      signal.removeEventListener('abort', stop);
    };
    const stream = (async function* (): AsyncGenerator<ApplianceEvent, void> {
      try {
        while (true) {
          const event = queue.shift();
          if (event) yield event;
          else if (signal.aborted || overflown) return;
          else
            await new Promise<void>((resolve) => {
              wake = resolve;
            });
        }
      } finally {
        drop();
      }
    })();
    // A stream that nobody has begun to read ends without a word to what stands in it.
    const end = stream.return.bind(stream);
    stream.return = (value) => {
      drop();
      return end(value);
    };
    return stream;
  }
}
