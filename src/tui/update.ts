import { withService } from './logs/update.ts';
import { type ScreenName, screenNames } from './screen-names.ts';
import { screenOf } from './screens/table.ts';
import { type ListView, logLevels, type State, type View } from './state.ts';

/** The level that `Esc` goes back to. */
const [usualLevel] = logLevels;
/** Screens that `Esc` remembers. */
const longestTrail = 16;

/** Another screen; the one before is where `Esc` goes back to. */
export function show(view: View, screen: ScreenName): View {
  const next = { ...view, overlay: undefined, typing: undefined };
  if (screen === view.screen) return next;
  return { ...next, screen, trail: [...view.trail, view.screen].slice(-longestTrail) };
}

/** The logs of one service. */
export function showLogs(view: View, service: string): View {
  return withService(show(view, 'logs'), service);
}

/** The screen beside another one in the order of the table. */
export function neighbour(screen: ScreenName, step: 1 | -1): ScreenName {
  const index = screenNames.indexOf(screen) + step;
  return screenNames[(index + screenNames.length) % screenNames.length] ?? screen;
}

/** One step back: the filter, what was chosen of the logs, then the screen. */
export function back(view: View): View {
  const set = (logs: Partial<View['logs']>): View => ({ ...view, logs: { ...view.logs, ...logs } });
  const list = view.lists[view.screen];
  if (list !== undefined && list.filter !== '') return withFilter(view, '');
  if (view.screen === 'logs') {
    const { search, filter, level, anchor } = view.logs;
    if (search !== '') return set({ search: '' });
    if (filter !== '' || level !== usualLevel)
      return set({ filter: '', level: usualLevel, anchor: undefined, frozen: undefined });
    if (anchor !== undefined) return set({ anchor: undefined, frozen: undefined });
  }
  const before = view.trail.at(-1);
  if (before !== undefined) return { ...withoutService(view), screen: before, trail: view.trail.slice(0, -1) };
  return view.screen === 'overview' ? view : { ...withoutService(view), screen: 'overview' };
}

/** Who came to the logs of one service sees all of them the next time. */
function withoutService(view: View): View {
  return view.screen === 'logs' ? withService(view, undefined) : view;
}

export function withFilter(view: View, filter: string): View {
  if (view.screen === 'logs') {
    return { ...view, logs: { ...view.logs, filter, anchor: undefined, frozen: undefined } };
  }
  const list: ListView = view.lists[view.screen] ?? { id: undefined, index: 0, filter: '' };
  return { ...view, lists: { ...view.lists, [view.screen]: { ...list, filter } } };
}

export function filterOf(view: View): string {
  return view.screen === 'logs' ? view.logs.filter : (view.lists[view.screen]?.filter ?? '');
}

/** Moves the mark of a list; undefined when the key is not about that. @param room rows of a page */
export function moveMark(state: State, action: string, room: number): View | undefined {
  const screen = screenOf(state.view.screen);
  const place = screen.place?.(state);
  if (!place || !screen.mark) return undefined;
  const targets: Readonly<Record<string, number>> = {
    up: place.index - 1,
    down: place.index + 1,
    'page-up': place.index - room,
    'page-down': place.index + room,
    first: 0,
    last: place.size - 1,
  };
  const target = targets[action];
  return target === undefined ? undefined : screen.mark(state, target);
}
