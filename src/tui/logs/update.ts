import { type LogEntry, type LogsView, logLevels, type State, type View } from '../state.ts';
import { type LogFilter, lastVisible, wantedOf } from './filter.ts';
import { patternOf } from './pattern.ts';

/** Columns by which long lines are shifted at once. */
const shiftBy = 20;

/** What the screen is like when a key is pressed. */
export interface Surroundings {
  readonly filter: LogFilter;
  /** Lines that the logs have. */
  readonly room: number;
}

/** What a key does to the logs; undefined when it is none of theirs. Pure. */
export function updateLogs(state: State, action: string, around: Surroundings): View | undefined {
  const { view } = state;
  const set = (patch: Partial<LogsView>): View => ({ ...view, logs: { ...view.logs, ...patch } });
  const move = (lines: number): View => set(moved(state, lines, around));
  switch (action) {
    case 'up':
      return move(-1);
    case 'down':
      return move(1);
    case 'page-up':
      return move(-around.room);
    case 'page-down':
      return move(around.room);
    case 'first':
      return move(Number.NEGATIVE_INFINITY);
    case 'last':
    case 'logs.follow':
      return set({ anchor: undefined, frozen: undefined });
    case 'logs.left':
      return set({ shift: Math.max(0, view.logs.shift - shiftBy) });
    case 'logs.right':
      return set({ shift: view.logs.shift + shiftBy });
    case 'logs.wrap':
      return set({ wrap: !view.logs.wrap });
    case 'logs.times':
      return set({ times: !view.logs.times });
    case 'logs.json':
      return set({ raw: !view.logs.raw });
    case 'logs.level':
      return set({
        level: logLevels[(logLevels.indexOf(view.logs.level) + 1) % logLevels.length] ?? 'usual',
        anchor: undefined,
        frozen: undefined,
      });
    case 'logs.search':
      return { ...view, typing: { purpose: 'search', label: 'search', text: view.logs.search } };
    case 'logs.older':
      return set(found(state, -1, around));
    case 'logs.newer':
      return set(found(state, 1, around));
    case 'logs.next-service':
      return withService(view, neighbour(serviceNames(state), view.logs.service, 1));
    case 'logs.previous-service':
      return withService(view, neighbour(serviceNames(state), view.logs.service, -1));
    default:
      return undefined;
  }
}

/** The logs of one service, or of all of them. */
export function withService(view: View, service: string | undefined): View {
  if (view.logs.service === service) return view;
  return { ...view, logs: { ...view.logs, service, anchor: undefined, frozen: undefined, shift: 0 } };
}

/** Services that have logs, each once, in the order of the table. */
function serviceNames(state: Pick<State, 'status'>): string[] {
  return [...new Set((state.status?.services ?? []).map(({ name }) => name))];
}

/** The service beside another one; between the last and the first stands "all". */
function neighbour(names: readonly string[], current: string | undefined, step: number): string | undefined {
  const ring = [undefined, ...names];
  const index = Math.max(0, ring.indexOf(current));
  return ring[(index + step + ring.length) % ring.length];
}

type Stand = Pick<LogsView, 'anchor' | 'frozen'>;
const following: Stand = { anchor: undefined, frozen: undefined };

/** Moves the window by so many lines. Leaving the end freezes the lines; coming back to it follows again. */
function moved(state: State, lines: number, { filter, room }: Surroundings): Stand {
  const { anchor, frozen } = state.view.logs;
  const wanted = wantedOf(state.view);
  const source = frozen ?? state.logs;
  const matching = filter.matching(source, wanted);
  const from = lastVisible(matching, anchor, room);
  const target = Math.max(from + lines, Math.min(room, matching.length) - 1);
  if (target < matching.length - 1) return { anchor: matching[Math.max(0, target)]?.seq, frozen: source };
  // Below the frozen lines are those that came meanwhile.
  if (frozen === undefined || newestOf(state.logs) === newestOf(frozen)) return following;
  const all = filter.matching(state.logs, wanted);
  const at = Math.min(all.length - 1, lastVisible(all, matching[from]?.seq, room) + Math.max(0, lines));
  return at >= all.length - 1 ? following : { anchor: all[at]?.seq, frozen: state.logs };
}

function newestOf(entries: readonly LogEntry[]): number {
  return entries.at(-1)?.seq ?? 0;
}

/** Goes to the next line that the search finds, older or newer. */
function found(state: State, step: 1 | -1, { filter, room }: Surroundings): Stand {
  const { anchor, frozen, search } = state.view.logs;
  if (search === '') return { anchor, frozen };
  const source = frozen ?? state.logs;
  const matching = filter.matching(source, wantedOf(state.view));
  const { test } = patternOf(search);
  const from = lastVisible(matching, anchor, room);
  for (let index = from + step; index >= 0 && index < matching.length; index += step) {
    const entry = matching[index];
    if (entry && test(entry.text)) return { anchor: entry.seq, frozen: source };
  }
  return { anchor, frozen };
}
