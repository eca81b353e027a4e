import type { Instance } from 'ink';
import type { Client } from '../api/client.ts';
import { systemClock } from '../lib/clock.ts';
import { messageOf } from '../lib/errors.ts';
import { Feed } from './feed.ts';
import { Hand } from './hands/hand.ts';
import type { PaletteVerb } from './hands/palette.ts';
import { Lifecycle } from './lifecycle.ts';
import { glyphsFor } from './line.ts';
import { Repaint } from './repaint.ts';
import { screens } from './screens/table.ts';
import { readSettings } from './settings.ts';
import { initialState, type State } from './state.ts';
import { Store } from './store.ts';
import { painter } from './theme.ts';
import { verbOnTerminal } from './verb-on-terminal.ts';

/** Asks the terminal for clicks and the wheel (SGR 1006), and no more of them. */
const mouse = { on: '\u001b[?1000h\u001b[?1006h', off: '\u001b[?1006l\u001b[?1000l' };

/** Milliseconds within which the agent may answer before something is drawn without it. */
const firstAnswerWithin = 250;

export interface Opening {
  readonly connect: () => Promise<Client>;
  readonly color: boolean;
  /** Every verb of the command line, for the palette. */
  readonly verbs: readonly PaletteVerb[];
  /** Runs a verb as a shell would, on this terminal. @returns its exit status */
  readonly runVerb: (words: readonly string[]) => Promise<number>;
}

/**
 * Opens the screens until they are closed.
 * @returns the exit status: 0, 1 after a defect, 128 and the number of the signal that ended it
 */
export async function openScreens({ connect, color, verbs, runVerb }: Opening): Promise<number> {
  let exit = 0;
  let closed = false;
  let app: Instance | undefined;
  const lifecycle = new Lifecycle((code) => {
    exit = code;
    closed = true;
    app?.unmount();
  });
  const settings = readSettings(screens, process.env);
  const store = new Store<State>(initialState(systemClock.now()));
  const feed = new Feed(store, connect, systemClock);
  const write = (text: string) => {
    process.stdout.write(text);
  };
  const setMouse = (on: boolean) => {
    if (settings.mouse) write(on ? mouse.on : mouse.off);
  };
  const hand = new Hand({
    store,
    client: () => feed.client,
    clock: systemClock,
    refresh: () => feed.refresh(),
    runVerb: (words) => lifecycle.lend(() => verbOnTerminal(words, { runVerb, write, setMouse })),
    write,
  });
  if (settings.problem !== undefined) hand.say('fail', settings.problem);
  try {
    // Keys that are pressed meanwhile wait; a terminal that echoes them would write them into the first frame.
    process.stdin.setRawMode(true);
    // The agent is asked while the library loads, so that the first frame is one with something in it.
    feed.run().catch((error: unknown) => lifecycle.fail(error));
    const patience = systemClock.sleep(firstAnswerWithin);
    const [{ render }, { App }] = await Promise.all([import('ink'), import('./app.tsx')]);
    await Promise.race([answered(store), patience]);
    if (!closed) {
      app = render(
        <App
          store={store}
          glyphs={glyphsFor(process.env)}
          paint={painter(color, settings.theme, process.env)}
          lifecycle={lifecycle}
          redraw={() => repaint.now()}
          hand={hand}
          settings={settings}
          verbs={verbs}
        />,
        {
          alternateScreen: true,
          incrementalRendering: true,
          // Ink would draw nothing but the last frame where a CI variable is set, even an empty one.
          interactive: true,
          exitOnCtrlC: false,
          patchConsole: false,
          maxFps: 60,
        },
      );
      setMouse(true);
      const repaint = new Repaint(app, process.stdout, () => lifecycle.lent);
      await app.waitUntilExit().finally(() => repaint.end());
    }
  } catch (error) {
    lifecycle.failure ??= error;
    exit = 1;
  } finally {
    setMouse(false);
    process.stdin.setRawMode(false);
    hand.close();
    feed.close();
    lifecycle.release();
  }
  if (lifecycle.failure !== undefined) {
    process.stderr.write(`appliance: the screens failed: ${messageOf(lifecycle.failure)}\n`);
  }
  return exit;
}

/** Resolves when the agent has answered, or it is known that it does not. */
function answered(store: Store<State>): Promise<void> {
  return new Promise((resolve) => {
    const look = () => {
      if (store.get().link.kind === 'connecting') return;
      forget();
      resolve();
    };
    const forget = store.subscribe(look);
    look();
  });
}
