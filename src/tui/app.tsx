import { Box, Text, useApp, useInput, usePaste, useWindowSize } from 'ink';
import { memo, useEffect, useRef, useState, useSyncExternalStore } from 'react';
import type { Hand } from './hands/hand.ts';
import { Keyboard } from './hands/keyboard.ts';
import type { PaletteVerb } from './hands/palette.ts';
import { keyNames, mouseKeys } from './keys.ts';
import type { Lifecycle } from './lifecycle.ts';
import type { Glyphs, Line } from './line.ts';
import { LogFilter } from './logs/filter.ts';
import { listenToMouse } from './mouse.ts';
import { bodyRoom, clicked, Film, hiddenLines } from './picture.ts';
import type { Settings } from './settings.ts';
import type { State } from './state.ts';
import type { Store } from './store.ts';
import { TornKeys } from './torn-keys.ts';

export interface AppProps {
  readonly store: Store<State>;
  readonly glyphs: Glyphs;
  /** What a terminal is sent for a line. */
  readonly paint: (line: Line) => string;
  readonly lifecycle: Lifecycle;
  /** Draws everything anew. */
  readonly redraw: () => void;
  readonly hand: Hand;
  readonly settings: Settings;
  readonly verbs: readonly PaletteVerb[];
}

/** All screens. What a key does to the process itself is left to the lifecycle. */
export function App({ store, glyphs, paint, lifecycle, redraw, hand, settings, verbs }: AppProps) {
  const { suspendTerminal } = useApp();
  useEffect(() => lifecycle.bind(suspendTerminal), [lifecycle, suspendTerminal]);
  const { columns, rows } = useWindowSize();
  // One row less than there is: a frame that fills the terminal is cleared and drawn anew as a whole.
  const size = { width: columns, height: Math.max(1, rows - 1) };
  const [filter] = useState(() => new LogFilter());
  const latest = useRef(size);
  latest.current = size;
  const [keyboard] = useState(() => {
    const canvas = () => ({ ...latest.current, glyphs, filter });
    return new Keyboard({
      store,
      keys: settings.keys,
      hand,
      verbs,
      filter,
      leave: (how) => lifecycle.command(how),
      redraw,
      room: () => bodyRoom(latest.current.height),
      hidden: () => hiddenLines(store.get(), canvas(), settings.keys),
      click: (column, line) => clicked(store, canvas(), column - 1, line - 1),
    });
  });
  const [keys] = useState(() => new TornKeys((names) => keyboard.press(names)));
  useInput((input, key) => keys.take(input, keyNames(input, key)));
  useEffect(
    () => (settings.mouse ? listenToMouse(process.stdin, (text) => keyboard.press(mouseKeys(text))) : undefined),
    [settings, keyboard],
  );
  usePaste((text) => keyboard.paste(text));
  const [film] = useState(() => new Film(settings.keys, verbs));
  const lines = useSyncExternalStore(store.subscribe, () => film.lines(store.get(), { ...size, glyphs, filter }));
  return (
    <Box flexDirection="column" width={size.width} height={size.height}>
      {lines.map((line, index) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: a line is its place on the screen
        <Row key={index} line={line} paint={paint} />
      ))}
    </Box>
  );
}

/** One line of the screen. Drawn again only when it says something else: the film keeps what did not change. */
const Row = memo(({ line, paint }: { readonly line: Line; readonly paint: AppProps['paint'] }) => (
  <Text wrap="truncate-end">{paint(line) || ' '}</Text>
));
