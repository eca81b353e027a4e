import { type Action, namedKeys } from './keys.ts';
import type { LogFilter } from './log-view.ts';
import { scrolled } from './log-view.ts';
import type { State, View } from './state.ts';

/** Columns by which long lines are shifted at once. */
const shiftBy = 20;

/** What the screen is like when a key is pressed. */
export interface Surroundings {
  readonly filter: LogFilter;
  /** Lines that the body of the screen has. */
  readonly room: number;
}

/** Services that have logs, each once, in the order of the table. */
function serviceNames(state: Pick<State, 'status'>): string[] {
  return [...new Set((state.status?.services ?? []).map(({ name }) => name))];
}

/** What an action makes of the view. Pure; quitting and suspending are up to the caller. */
export function update(state: State, action: Action, around: Surroundings): View {
  const { view } = state;
  if (action === 'help') return { ...view, help: !view.help, helpTop: 0 };
  if (view.help) return updateHelp(view, action, around.room);
  if (action === 'overview') return { ...view, screen: 'overview' };
  if (action === 'logs') return showLogs(view, undefined);
  if (action === 'back') return goBack(view);
  return view.screen === 'overview' ? updateOverview(state, action) : updateLogs(state, action, around);
}

function updateHelp(view: View, action: Action, room: number): View {
  const steps: Partial<Record<Action, number>> = { up: -1, down: 1, 'page-up': -room, 'page-down': room };
  const step = steps[action];
  if (step !== undefined) return { ...view, helpTop: Math.max(0, view.helpTop + step) };
  const closed = { ...view, help: false };
  if (action === 'overview') return { ...closed, screen: 'overview' };
  if (action === 'logs') return showLogs(closed, undefined);
  return action === 'back' ? closed : view;
}

function updateOverview(state: State, action: Action): View {
  const { view } = state;
  const services = state.status?.services ?? [];
  const move = (row: number) => ({ ...view, selected: Math.min(Math.max(row, 0), Math.max(0, services.length - 1)) });
  if (action === 'up') return move(view.selected - 1);
  if (action === 'down') return move(view.selected + 1);
  const service = services[Math.min(view.selected, services.length - 1)];
  return action === 'open' && service ? showLogs(view, service.name) : view;
}

function updateLogs(state: State, action: Action, { filter, room }: Surroundings): View {
  const { view } = state;
  const matching = filter.matching(state.logs, view.filter);
  const move = (lines: number) => ({ ...view, anchor: scrolled(matching, view.anchor, lines, room) });
  switch (action) {
    case 'up':
      return move(-1);
    case 'down':
      return move(1);
    case 'page-up':
      return move(-room);
    case 'page-down':
      return move(room);
    case 'first':
      return move(-matching.length);
    case 'follow':
      return { ...view, anchor: undefined };
    case 'left':
      return { ...view, shift: Math.max(0, view.shift - shiftBy) };
    case 'right':
      return { ...view, shift: view.shift + shiftBy };
    case 'filter':
      return { ...view, typing: view.filter };
    case 'next-service':
      return showLogs(view, neighbour(serviceNames(state), view.service, 1));
    case 'previous-service':
      return showLogs(view, neighbour(serviceNames(state), view.service, -1));
    default:
      return view;
  }
}

/** The service beside another one; between the last and the first stands "all". */
function neighbour(names: readonly string[], current: string | undefined, step: number): string | undefined {
  const ring = [undefined, ...names];
  const index = Math.max(0, ring.indexOf(current));
  return ring[(index + step + ring.length) % ring.length];
}

function showLogs(view: View, service: string | undefined): View {
  const same = view.service === service;
  return {
    ...view,
    screen: 'logs',
    service,
    anchor: same ? view.anchor : undefined,
    shift: same ? view.shift : 0,
    typing: undefined,
  };
}

function goBack(view: View): View {
  if (view.screen === 'overview') return view;
  if (view.filter !== '') return { ...view, filter: '', anchor: undefined };
  if (view.service !== undefined) return { ...view, service: undefined, anchor: undefined, screen: 'overview' };
  return { ...view, screen: 'overview' };
}

/** What a key does to the filter while it is typed. @param name as `keys.ts` names keys */
export function typed(view: View, name: string): View {
  const text = view.typing ?? '';
  if (name === 'Enter') return { ...view, filter: text, typing: undefined, anchor: undefined };
  if (name === 'Esc') return { ...view, typing: undefined };
  if (name === 'Backspace') return { ...view, typing: [...text].slice(0, -1).join('') };
  if (name === 'Ctrl-U') return { ...view, typing: '' };
  if (namedKeys.has(name)) return view;
  const character = name === 'Space' ? ' ' : name;
  return [...character].length === 1 && character >= ' ' ? { ...view, typing: text + character } : view;
}
