import type { Instance } from 'ink';
import type { Client } from '../api/client.ts';
import { systemClock } from '../lib/clock.ts';
import { messageOf } from '../lib/errors.ts';
import { Feed } from './feed.ts';
import { Lifecycle } from './lifecycle.ts';
import { glyphsFor } from './line.ts';
import { initialState, type State } from './state.ts';
import { Store } from './store.ts';

/**
 * Opens the screens until they are closed.
 * @param connect reaches a running agent
 * @returns the exit status: 0, 1 after a defect, 128 and the number of the signal that ended it
 */
export async function openScreens({
  connect,
  color,
}: {
  readonly connect: () => Promise<Client>;
  readonly color: boolean;
}): Promise<number> {
  // Read when the library loads. (React's development build keeps everything it ever drew; the bundle has the other one.)
  if (!color) process.env.FORCE_COLOR = '0';
  const [{ render }, { App }] = await Promise.all([import('ink'), import('./app.tsx')]);

  let exit = 0;
  let app: Instance | undefined;
  const lifecycle = new Lifecycle((code) => {
    exit = code;
    app?.unmount();
  });
  const store = new Store<State>(initialState(systemClock.now()));
  const feed = new Feed(store, connect, systemClock);
  try {
    app = render(<App store={store} glyphs={glyphsFor(process.env)} lifecycle={lifecycle} />, {
      alternateScreen: true,
      incrementalRendering: true,
      // Ink would draw nothing but the last frame where a CI variable is set, even an empty one.
      interactive: true,
      exitOnCtrlC: false,
      patchConsole: false,
      maxFps: 20,
    });
    feed.run().catch((error: unknown) => lifecycle.fail(error));
    await app.waitUntilExit();
  } catch (error) {
    lifecycle.failure ??= error;
    exit = 1;
  } finally {
    feed.close();
    lifecycle.release();
  }
  if (lifecycle.failure !== undefined) {
    process.stderr.write(`appliance: the screens failed: ${messageOf(lifecycle.failure)}\n`);
  }
  return exit;
}
