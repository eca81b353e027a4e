import type { Instance } from 'ink';
import { systemClock } from '../lib/clock.ts';

/** Milliseconds without another change after which a window is taken to keep its size. */
const rest = 50;
/** To the first cell, and everything from there on empty. */
const blank = '\u001b[H\u001b[J';

/**
 * Draws everything anew when a window has changed its size and come to rest. Ink writes what differs from the frame
 * before, beginning where it has left the cursor. A terminal that was smaller for a moment has lost both, and this process
 * may never hear of that moment: signals of a kind that come while it is busy are merged into one (signal(7)).
 * @param lent whether somebody else has the terminal; everything is drawn anew after them anyway
 * @returns ends it
 */
export function repaintAfterResize(app: Instance, terminal: NodeJS.WriteStream, lent: () => boolean): () => void {
  let waiting = new AbortController();
  const changed = (): void => {
    waiting.abort();
    waiting = new AbortController();
    systemClock.sleep(rest, waiting.signal).then(repaint, () => undefined);
  };
  const repaint = (): void => {
    if (lent()) return;
    app.clear();
    terminal.write(blank);
    // Ink draws at this, also when the size is what it was.
    terminal.emit('resize');
  };
  // The event `resize` of Node.js does not come for a window that is as large as before.
  process.on('SIGWINCH', changed);
  return () => {
    process.off('SIGWINCH', changed);
    waiting.abort();
  };
}
