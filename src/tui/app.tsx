import { Box, Text, useApp, useInput, useWindowSize } from 'ink';
import { createContext, memo, useContext, useEffect, useRef, useState, useSyncExternalStore } from 'react';
import { type Action, actionFor, keyNames } from './keys.ts';
import type { Lifecycle } from './lifecycle.ts';
import type { Glyphs, Line } from './line.ts';
import { LogFilter } from './log-view.ts';
import { bannerLine, footerLine, headerLine } from './screens/frame.ts';
import { helpLines } from './screens/help.ts';
import { logLines } from './screens/logs.ts';
import { overviewLines } from './screens/overview.ts';
import type { State } from './state.ts';
import type { Store } from './store.ts';
import { TornKeys } from './torn-keys.ts';
import { typed, update } from './update.ts';

interface Shared {
  readonly store: Store<State>;
  readonly glyphs: Glyphs;
  readonly filter: LogFilter;
}

const SharedContext = createContext<Shared | undefined>(undefined);

function useShared(): Shared {
  const shared = useContext(SharedContext);
  if (!shared) throw new Error('a screen stands outside of the app');
  return shared;
}

/** The part of the state that a component shows. */
function usePart<Part>(select: (state: State) => Part): Part {
  const { store } = useShared();
  return useSyncExternalStore(store.subscribe, () => select(store.get()));
}

interface Size {
  readonly width: number;
  readonly height: number;
}

/** Lines around the body: top, banner, rule and bottom. */
const frameHeight = 4;

/** All screens. What a key does to the process itself is left to the lifecycle. */
export function App(props: { readonly store: Store<State>; readonly glyphs: Glyphs; readonly lifecycle: Lifecycle }) {
  const { store, glyphs, lifecycle } = props;
  const { suspendTerminal } = useApp();
  useEffect(() => lifecycle.bind(suspendTerminal), [lifecycle, suspendTerminal]);
  const { columns, rows } = useWindowSize();
  const [filter] = useState(() => new LogFilter());
  // One row less than there is: a frame that fills the terminal is cleared and drawn anew as a whole.
  const size = { width: columns, height: Math.max(1, rows - 1) };
  const room = Math.max(1, size.height - frameHeight);
  const press = (names: readonly string[]) => {
    for (const name of names) {
      const state = store.get();
      if (name === 'Ctrl-C') return lifecycle.command('quit');
      if (state.view.typing !== undefined) {
        store.set({ view: typed(state.view, name) });
        continue;
      }
      const action: Action | undefined = actionFor(name, state.view.screen);
      if (action === 'quit' || action === 'suspend') return lifecycle.command(action);
      if (action) store.set({ view: update(state, action, { filter, room: room - 1 }) });
    }
  };
  const latest = useRef(press);
  latest.current = press;
  const [keys] = useState(() => new TornKeys((names) => latest.current(names)));
  useInput((input, key) => keys.take(input, keyNames(input, key)));
  return (
    <SharedContext value={{ store, glyphs, filter }}>
      <Box flexDirection="column" width={size.width} height={size.height} overflow="hidden">
        <Head width={size.width} />
        <Body width={size.width} height={room} />
        <Foot width={size.width} />
      </Box>
    </SharedContext>
  );
}

function Head({ width }: { readonly width: number }) {
  const { glyphs } = useShared();
  const status = usePart((state) => state.status);
  const view = usePart((state) => state.view);
  const link = usePart((state) => state.link);
  const problem = usePart((state) => state.problem);
  const now = usePart((state) => (state.link.kind === 'lost' ? state.now : 0));
  return (
    <>
      <Row line={headerLine({ status, view }, width, glyphs)} />
      <Row line={bannerLine({ link, problem, now }, width, glyphs)} />
    </>
  );
}

function Body({ width, height }: Size) {
  const screen = usePart((state) => (state.view.help ? 'help' : state.view.screen));
  if (screen === 'help') return <Help width={width} height={height} />;
  return screen === 'logs' ? <Logs width={width} height={height} /> : <Overview width={width} height={height} />;
}

function Overview(size: Size) {
  const { glyphs } = useShared();
  const status = usePart((state) => state.status);
  const link = usePart((state) => state.link);
  const operation = usePart((state) => state.operation);
  const history = usePart((state) => state.history);
  const now = usePart((state) => state.now);
  const selected = usePart((state) => state.view.selected);
  return <Lines lines={overviewLines({ status, link, operation, history, now, selected }, size, glyphs)} />;
}

function Logs(size: Size) {
  const { glyphs, filter } = useShared();
  const logs = usePart((state) => state.logs);
  const link = usePart((state) => state.link);
  const view = usePart((state) => state.view);
  return <Lines lines={logLines({ logs, link, view }, size, filter, glyphs)} />;
}

function Help(size: Size) {
  const { glyphs } = useShared();
  const top = usePart((state) => state.view.helpTop);
  return <Lines lines={helpLines(top, size, glyphs)} />;
}

function Foot({ width }: { readonly width: number }) {
  const { glyphs } = useShared();
  const view = usePart((state) => state.view);
  return (
    <>
      <Row line={[{ text: glyphs.rule.repeat(width), dim: true }]} />
      <Row line={footerLine({ view }, width, glyphs)} />
    </>
  );
}

function Lines({ lines }: { readonly lines: readonly Line[] }) {
  return lines.map((line, index) => (
    // biome-ignore lint/suspicious/noArrayIndexKey: a line is its place on the screen
    <Row key={index} line={line} />
  ));
}

/** One line of the screen. Drawn again only when it says something else. */
const Row = memo(
  ({ line }: { readonly line: Line }) => (
    <Box height={1} flexShrink={0} overflow="hidden">
      <Text wrap="truncate-end">
        {line.length === 0 ? ' ' : null}
        {line.map((segment, index) => (
          <Text
            // biome-ignore lint/suspicious/noArrayIndexKey: a segment is its place in the line
            key={index}
            {...(segment.color === undefined ? {} : { color: segment.color })}
            bold={segment.bold ?? false}
            dimColor={segment.dim ?? false}
            inverse={segment.inverse ?? false}
          >
            {segment.text}
          </Text>
        ))}
      </Text>
    </Box>
  ),
  (before, after) => sameLine(before.line, after.line),
);

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
