import type { PaletteVerb } from './hands/palette.ts';
import type { KeyTable } from './key-table.ts';
import { clip, fill, type Glyphs, type Line } from './line.ts';
import { bannerLine, footerLine, headerLine, noticeLine, tabAt, tabsLine } from './screens/frame.ts';
import { helpLines, helpText } from './screens/help.ts';
import { dialogLines, dialogText, leaveLines, lookLines, lookText, paletteLines } from './screens/over.ts';
import type { Canvas } from './screens/screen.ts';
import { screenOf } from './screens/table.ts';
import type { State } from './state.ts';
import type { Store } from './store.ts';
import { show } from './update.ts';

/** Lines above the body: what is live, the screens, a rule or what is wrong. */
const headHeight = 3;
/** Lines below it: a rule or a notice, and the keys. */
const footHeight = 2;

/** Lines that the body of a screen has. @param height lines of the frame */
export function bodyRoom(height: number): number {
  return Math.max(1, height - headHeight - footHeight);
}

/** All of the screen: exactly as many lines as the canvas is high. Pure. */
export function frameLines(
  state: State,
  canvas: Canvas,
  keys: KeyTable,
  verbs: readonly PaletteVerb[],
): readonly Line[] {
  const { width, height, glyphs } = canvas;
  const body = { ...canvas, height: bodyRoom(height) };
  const lines = fill(
    [
      headerLine(state, width, glyphs),
      tabsLine(state, width, glyphs),
      bannerLine(state, width, glyphs),
      ...bodyLines(state, body, keys, verbs),
      noticeLine(state, width, glyphs),
      footerLine(state, keys, width, glyphs),
    ],
    height,
  );
  // Whatever a screen was given: nothing is wider than the terminal, and nothing steers it.
  return lines.map((line) => clip(spokenLine(line, glyphs), width, glyphs.cut));
}

/**
 * One frame after the other. Drawing costs a hundred times what telling costs, and most of what is told changes nothing
 * that can be seen: a frame, or a line of it, that says the same as before is the same object.
 */
export class Film {
  readonly #keys: KeyTable;
  readonly #verbs: readonly PaletteVerb[];
  #state: State | undefined;
  #size = '';
  #lines: readonly Line[] = [];

  constructor(keys: KeyTable, verbs: readonly PaletteVerb[]) {
    this.#keys = keys;
    this.#verbs = verbs;
  }

  lines(state: State, canvas: Canvas): readonly Line[] {
    const size = `${canvas.width} ${canvas.height}`;
    const before = size === this.#size ? this.#state : undefined;
    if (before && showsTheSame(before, state)) return this.#lines;
    const last = this.#lines;
    const next = frameLines(state, canvas, this.#keys, this.#verbs).map((line, index) => {
      const known = last[index];
      return known && sameLine(known, line) ? known : line;
    });
    const isNew = next.length !== last.length || next.some((line, index) => line !== last[index]);
    if (isNew) this.#lines = next;
    this.#state = state;
    this.#size = size;
    return this.#lines;
  }
}

/** Log lines that come while another screen is open are no part of it. */
function showsTheSame(before: State, state: State): boolean {
  if (before === state) return true;
  const names = Object.keys(state) as (keyof State)[];
  return state.view.screen !== 'logs' && names.every((name) => name === 'logs' || Object.is(state[name], before[name]));
}

function sameLine(a: Line, b: Line): boolean {
  return (
    a === b ||
    (a.length === b.length &&
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
      }))
  );
}

/** Signs in the texts of the agent, for a terminal that has none of them. Names of people stay as they are. */
const asciiSigns: Readonly<Record<string, string>> = {
  '≥': '>=',
  '≤': '<=',
  '→': '>',
  '–': '-',
  '…': '...',
  '·': '-',
  '×': 'x',
};
const signs = new RegExp(`[${Object.keys(asciiSigns).join('')}]`, 'g');

function spokenLine(line: Line, glyphs: Glyphs): Line {
  if (glyphs.up === '↑') return line;
  return line.map((segment) => ({ ...segment, text: segment.text.replace(signs, (sign) => asciiSigns[sign] ?? sign) }));
}

function bodyLines(state: State, canvas: Canvas, keys: KeyTable, verbs: readonly PaletteVerb[]): readonly Line[] {
  const { overlay, screen } = state.view;
  const { glyphs } = canvas;
  switch (overlay?.kind) {
    case undefined:
      return screenOf(screen).lines(state, canvas);
    case 'help':
      return helpLines(screen, keys, overlay.top, canvas, glyphs);
    case 'look':
      return lookLines(overlay, canvas, glyphs);
    case 'palette':
      return paletteLines(overlay, verbs, canvas, glyphs);
    case 'dialog':
      return dialogLines(overlay, canvas, glyphs);
    case 'leave':
      return leaveLines(state, overlay.go, canvas, glyphs);
  }
}

/** Lines of what lies over the screen that are hidden below its first page: how far it can be scrolled. */
export function hiddenLines({ view }: State, canvas: Canvas, keys: KeyTable): number {
  const { overlay, screen } = view;
  const body = { ...canvas, height: bodyRoom(canvas.height) };
  const sized = () => {
    switch (overlay?.kind) {
      case 'help':
        return { size: helpText(screen, keys, canvas.glyphs).length, room: body.height };
      case 'look':
        return lookText(overlay, body);
      case 'dialog':
        return dialogText(overlay, body, canvas.glyphs);
      default:
        return { size: 0, room: 0 };
    }
  };
  const { size, room } = sized();
  return Math.max(0, size - room);
}

/** A click: on the line of screens it opens one, on a row it marks it. Buttons of dialogs are for keys alone. */
export function clicked(store: Store<State>, canvas: Canvas, column: number, line: number): void {
  const state = store.get();
  if (state.view.overlay !== undefined || state.view.typing !== undefined) return;
  if (line === 1) {
    const screen = tabAt(state, canvas.width, column, canvas.glyphs);
    if (screen) store.set({ view: show(state.view, screen.name) });
    return;
  }
  const screen = screenOf(state.view.screen);
  const body = { ...canvas, height: bodyRoom(canvas.height) };
  const row = screen.rowAt?.(state, body, line - headHeight);
  if (row !== undefined && screen.mark) store.set({ view: screen.mark(state, row) });
}
