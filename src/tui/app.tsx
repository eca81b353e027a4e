import { Box, Text, useApp, useInput, usePaste, useWindowSize } from 'ink';
import { memo, useEffect, useRef, useState, useSyncExternalStore } from 'react';
import type { Hand } from './hands/hand.ts';
import { Keyboard } from './hands/keyboard.ts';
import type { PaletteVerb } from './hands/palette.ts';
import { keyNames, mouseKeys } from './keys.ts';
import type { Lifecycle } from './lifecycle.ts';
import type { Glyphs, Line, Segment } from './line.ts';
import { LogFilter } from './logs/filter.ts';
import { listenToMouse } from './mouse.ts';
import { bodyRoom, clicked, frameLines } from './picture.ts';
import type { Settings } from './settings.ts';
import type { State } from './state.ts';
import type { Store } from './store.ts';
import { colorFor } from './theme.ts';
import { TornKeys } from './torn-keys.ts';

export interface AppProps {
  readonly store: Store<State>;
  readonly glyphs: Glyphs;
  readonly lifecycle: Lifecycle;
  readonly hand: Hand;
  readonly settings: Settings;
  readonly verbs: readonly PaletteVerb[];
}

/** All screens. What a key does to the process itself is left to the lifecycle. */
export function App({ store, glyphs, lifecycle, hand, settings, verbs }: AppProps) {
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
      room: () => bodyRoom(latest.current.height),
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
  const [shown] = useState(() => shownOf());
  const state = useSyncExternalStore(store.subscribe, () => shown(store.get()));
  const lines = frameLines(state, { ...size, glyphs, filter }, settings.keys, verbs);
  return (
    <Box flexDirection="column" width={size.width} height={size.height} overflow="hidden">
      {lines.map((line, index) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: a line is its place on the screen
        <Row key={index} line={line} theme={settings.theme} />
      ))}
    </Box>
  );
}

/** Selects what is drawn: log lines that come while another screen is open are none of it. */
function shownOf(): (state: State) => State {
  let last: State | undefined;
  return (state) => {
    const same =
      last !== undefined &&
      state.view.screen !== 'logs' &&
      (Object.keys(state) as (keyof State)[]).every((key) => key === 'logs' || Object.is(state[key], last?.[key]));
    if (!same || last === undefined) last = state;
    return last;
  };
}

/** One line of the screen. Drawn again only when it says something else. */
const Row = memo(
  ({ line, theme }: { readonly line: Line; readonly theme: Settings['theme'] }) => (
    <Box height={1} flexShrink={0} overflow="hidden">
      <Text wrap="truncate-end">
        {line.length === 0 ? ' ' : null}
        {line.map((segment, index) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: a segment is its place in the line
          <Piece key={index} segment={segment} theme={theme} />
        ))}
      </Text>
    </Box>
  ),
  (before, after) => before.theme === after.theme && sameLine(before.line, after.line),
);

function Piece({ segment, theme }: { readonly segment: Segment; readonly theme: Settings['theme'] }) {
  const color = colorFor(segment.color, theme);
  return (
    <Text
      {...(color === undefined ? {} : { color })}
      bold={segment.bold ?? false}
      dimColor={segment.dim ?? false}
      inverse={segment.inverse ?? false}
    >
      {segment.text}
    </Text>
  );
}

function sameLine(a: Line, b: Line): boolean {
  return (
    a.length === b.length &&
    a.every((segment, index) => {
      const other = b[index];
      return (
        other !== undefined &&
        segment.text === other.text &&
        segment.color === other.color &&
        segment.bold === other.bold &&
        segment.dim === other.dim &&
        segment.inverse === other.inverse
      );
    })
  );
}
