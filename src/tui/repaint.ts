import type { Instance } from 'ink';
import { systemClock } from '../lib/clock.ts';

/** Milliseconds without another change after which a window is taken to keep its size. */
const rest = 50;
/** To the first cell, and everything from there on empty. */
const blank = '\u001b[H\u001b[J';

/**
 * Draws everything anew when a window has changed its size and come to rest, and when it is asked for: another program
 * may have written into the screens (the kernel does, on a console). Ink writes what differs from the frame before,
 * beginning where it has left the cursor. A terminal that was smaller for a moment has lost both, and this process may
 * never hear of that moment: signals of a kind that come while it is busy are merged into one (signal(7)).
 */
export class Repaint {
  readonly #app: Instance;
  readonly #terminal: NodeJS.WriteStream;
  readonly #lent: () => boolean;
  readonly #changed = () => this.#afterRest();
  #waiting = new AbortController();

  /** @param lent whether somebody else has the terminal; everything is drawn anew after them anyway */
  constructor(app: Instance, terminal: NodeJS.WriteStream, lent: () => boolean) {
    this.#app = app;
    this.#terminal = terminal;
    this.#lent = lent;
    // The event `resize` of Node.js does not come for a window that is as large as before.
    process.on('SIGWINCH', this.#changed);
  }

  now(): void {
    if (this.#lent()) return;
    this.#app.clear();
    this.#terminal.write(blank);
    // Ink draws at this, also when the size is what it was.
    this.#terminal.emit('resize');
  }

  end(): void {
    process.off('SIGWINCH', this.#changed);
    this.#waiting.abort();
  }

  #afterRest(): void {
    this.#waiting.abort();
    this.#waiting = new AbortController();
    systemClock.sleep(rest, this.#waiting.signal).then(
      () => this.now(),
      () => undefined,
    );
  }
}
