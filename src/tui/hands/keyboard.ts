import type { KeyTable } from '../key-table.ts';
import type { LogFilter } from '../logs/filter.ts';
import { updateLogs } from '../logs/update.ts';
import { screenNames } from '../screen-names.ts';
import { screenOf, screens } from '../screens/table.ts';
import type { Dialog, Overlay, State, View } from '../state.ts';
import type { Store } from '../store.ts';
import { back, filterOf, moveMark, neighbour, show, withFilter } from '../update.ts';
import { mayGo, scrollOf } from './dialog.ts';
import type { Hand } from './hand.ts';
import { choicesFor, intentOf, type PaletteVerb, verbOf } from './palette.ts';
import { edited } from './typing.ts';

export interface KeyboardDeps {
  readonly store: Store<State>;
  readonly keys: KeyTable;
  readonly hand: Hand;
  readonly verbs: readonly PaletteVerb[];
  readonly filter: LogFilter;
  readonly leave: (how: 'quit' | 'suspend') => void;
  /** Draws everything anew. */
  readonly redraw: () => void;
  /** Lines that the body of the screen has. */
  readonly room: () => number;
  /** How many lines of what lies over the screen are hidden below its first page. */
  readonly hidden: () => number;
  /** A click on the screen, by column and line, counted from 1. */
  readonly click: (column: number, line: number) => void;
}

/** Takes keys by their names, one after the other, and does what the table of keys says. */
export class Keyboard {
  readonly #deps: KeyboardDeps;

  constructor(deps: KeyboardDeps) {
    this.#deps = deps;
  }

  press(names: readonly string[]) {
    for (const name of names) this.#press(name);
  }

  /** Text that was pasted goes where something is being typed, on one line; elsewhere it is no row of commands. */
  paste(text: string) {
    const { view } = this.#deps.store.get();
    const line = text.replace(/\s*[\r\n]+\s*/g, ' ').trim();
    if (view.typing !== undefined || view.overlay?.kind === 'palette' || view.overlay?.kind === 'dialog') {
      for (const character of line) this.#press(character === ' ' ? 'Space' : character);
    } else {
      this.#deps.hand.say('inconclusive', 'Pasted text is not taken as keys; : or / first, then paste.');
    }
  }

  #press(name: string) {
    const { store, keys, leave, redraw, click } = this.#deps;
    const { view } = store.get();
    if (name === 'Ctrl-C') return leave('quit');
    if (name === 'Ctrl-Z') return leave('suspend');
    // Also over a question or a half-typed line: whoever wrote into the screens did not wait either.
    if (name.startsWith('Ctrl-') && keys.actionFor(name, view.screen)?.action === 'redraw') return redraw();
    const place = /^Click-(\d+)-(\d+)$/.exec(name);
    if (place) return click(Number(place[1]), Number(place[2]));
    if (view.typing !== undefined) return this.#type(view, view.typing, name);
    if (view.overlay !== undefined) return this.#pressOver(view, view.overlay, name);
    this.#act(name);
  }

  /** A key on a screen. */
  #act(name: string) {
    const { store, keys, hand, leave, redraw, room, filter } = this.#deps;
    const state = store.get();
    const { view } = state;
    const wheel = { 'Wheel-Up': 'up', 'Wheel-Down': 'down' }[name];
    const binding = keys.actionFor(name, view.screen);
    const action = wheel ?? binding?.action;
    if (action === undefined) return;
    if (action === 'quit') return this.#quit();
    if (action === 'suspend') return leave('suspend');
    if (action === 'redraw') return redraw();
    if (action === 'help') return this.#over({ kind: 'help', top: 0 });
    if (action === 'palette') return this.#over({ kind: 'palette', text: '', chosen: 0 });
    if (action === 'next-screen') return this.#view(show(view, neighbour(view.screen, 1)));
    if (action === 'previous-screen') return this.#view(show(view, neighbour(view.screen, -1)));
    if (action === 'back')
      return state.notice ? store.set({ notice: undefined, view: back(view) }) : this.#view(back(view));
    if (action === 'filter') {
      return this.#view({ ...view, typing: { purpose: 'filter', label: 'filter', text: filterOf(view) } });
    }
    const screen = screenNames.find((one) => action === `screen.${one}`);
    if (screen !== undefined) return this.#view(show(view, screen));
    const changed =
      view.screen === 'logs'
        ? updateLogs(state, action, { filter, room: room() - 1 })
        : moveMark(state, action, room() - 4);
    if (changed) return this.#view(changed);
    const own = screenOf(view.screen).actions.find((one) => `${view.screen}.${one.name}` === action);
    if (own) hand.want(own.act(state), own.changes);
  }

  /** A key while something lies over the screen. */
  #pressOver(view: View, overlay: Overlay, name: string) {
    if (overlay.kind === 'palette') return this.#palette(overlay, name);
    if (overlay.kind === 'dialog') return this.#dialog(overlay, name);
    if (overlay.kind === 'leave') {
      if (name === 'Esc' || name === 'n' || (name === 'Enter' && !overlay.go)) return this.#over(undefined);
      if (name === 'y' || name === 'Enter') return this.#deps.leave('quit');
      if (['Tab', '←', '→', 'h', 'l'].includes(name)) this.#over({ ...overlay, go: !overlay.go });
      return;
    }
    const action = this.#deps.keys.actionFor(name, view.screen)?.action;
    const top = scrollOf(action ?? name, overlay.top, this.#deps.room(), this.#deps.hidden());
    if (top !== undefined) return this.#over({ ...overlay, top });
    if (name === 'Esc' || action === 'back' || name === 'Enter' || (overlay.kind === 'help' && action === 'help')) {
      return this.#over(undefined);
    }
    if (action === 'quit') return this.#quit();
    if (action?.startsWith('screen.')) {
      this.#over(undefined);
      this.#act(name);
    }
  }

  #palette(overlay: Extract<Overlay, { kind: 'palette' }>, name: string) {
    const { verbs, hand, store } = this.#deps;
    const choices = choicesFor(overlay.text, verbs, screens);
    const marked = choices[Math.min(overlay.chosen, choices.length - 1)];
    const move = (step: number) =>
      this.#over({ ...overlay, chosen: Math.max(0, Math.min(overlay.chosen + step, choices.length - 1)) });
    if (name === 'Esc') return this.#over(undefined);
    if (name === '↑' || name === 'Shift-Tab') return move(-1);
    if (name === '↓') return move(1);
    if (name === 'Tab') {
      if (marked) this.#over({ kind: 'palette', text: `${marked.name} `, chosen: 0 });
      return;
    }
    if (name !== 'Enter') {
      const text = edited(overlay.text, name);
      if (text !== undefined) this.#over({ kind: 'palette', text, chosen: 0 });
      return;
    }
    if (marked?.screen) return this.#view(show(store.get().view, marked.screen.name));
    // A line that is no whole verb yet is what is marked below it.
    const typed = verbOf(overlay.text.replace(/^\s*appliance\s+/, ''), verbs);
    const line = marked?.verb && marked.verb !== typed ? marked.name : overlay.text;
    if (marked?.verb && line === marked.name && marked.verb.required > 0) {
      return this.#over({ kind: 'palette', text: `${line} `, chosen: 0 });
    }
    this.#over(undefined);
    const intent = intentOf(line, verbs, store.get());
    hand.want(intent, intent.kind === 'order');
  }

  #dialog(dialog: Dialog, name: string) {
    const { hand, room, hidden } = this.#deps;
    if (name === 'Esc') {
      this.#over(undefined);
      return hand.say('inconclusive', 'Cancelled; nothing was touched.', { command: dialog.order.command });
    }
    if (name === 'Tab' || name === 'Shift-Tab' || name === '←' || name === '→') {
      return this.#over({ ...dialog, go: !dialog.go });
    }
    const top =
      name === '↑' || name === '↓' || name.startsWith('Pg') || name.startsWith('Wheel')
        ? scrollOf(name, dialog.top, room(), hidden())
        : undefined;
    if (top !== undefined) return this.#over({ ...dialog, top });
    if (name === 'Enter') {
      if (!dialog.go) {
        this.#over(undefined);
        return hand.say('inconclusive', 'Cancelled; nothing was touched.', { command: dialog.order.command });
      }
      if (mayGo(dialog)) hand.agree(dialog);
      return;
    }
    if (dialog.order.severity === 'severe') {
      const typed = edited(dialog.typed, name);
      if (typed !== undefined) this.#over({ ...dialog, typed });
    } else if (name === 'h' || name === 'l') this.#over({ ...dialog, go: name === 'l' });
  }

  #type(view: View, typing: NonNullable<View['typing']>, name: string) {
    const closed = { ...view, typing: undefined };
    if (name === 'Esc') return this.#view(closed);
    if (name === 'Enter') {
      if (typing.purpose === 'filter') return this.#view(withFilter(closed, typing.text));
      if (typing.purpose === 'search') {
        this.#view({ ...closed, logs: { ...closed.logs, search: typing.text } });
        return typing.text === '' ? undefined : this.#act('n');
      }
      this.#view(closed);
      const intent = typing.next?.(typing.text);
      return intent === undefined ? undefined : this.#deps.hand.want(intent);
    }
    const text = edited(typing.text, name);
    if (text !== undefined) this.#view({ ...view, typing: { ...typing, text } });
  }

  /** Asks only if something would be lost: an answer that is waited for. Operations go on in the agent. */
  #quit() {
    if (this.#deps.store.get().waiting.length === 0) this.#deps.leave('quit');
    else this.#over({ kind: 'leave', go: false });
  }

  #over(overlay: Overlay | undefined) {
    this.#view({ ...this.#deps.store.get().view, overlay });
  }

  #view(view: View) {
    this.#deps.store.set({ view });
  }
}
