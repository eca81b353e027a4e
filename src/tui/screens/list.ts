import type { Condition } from '../../api/describe.ts';
import { count, wrap } from '../../lib/text.ts';
import type { DocumentName } from '../documents.ts';
import { blank, bold, clip, dim, fill, type Glyphs, type Line, spread } from '../line.ts';
import { patternOf } from '../logs/pattern.ts';
import type { Intent } from '../order.ts';
import type { ScreenName } from '../screen-names.ts';
import type { ListView, State, View } from '../state.ts';
import { type Column, type Room, rowAtLine, tableLines } from './columns.ts';
import type { Canvas, Screen, ScreenAction } from './screen.ts';

/** A key of a list: what it wants of the marked row, or of the list where no row is needed. */
interface ListAction<Row> extends Omit<ScreenAction, 'act'> {
  readonly act: (row: Row | undefined, state: State) => Intent;
}

/** A screen that is a table of rows. */
export interface ListScreen<Row> {
  readonly name: ScreenName;
  readonly title: string;
  readonly key: string;
  readonly feed?: DocumentName;
  /** `release`: what one row is. */
  readonly noun: string;
  /** Several of it, where that is not the same with an s. */
  readonly nouns?: string;
  /** Undefined while the agent has not answered yet. */
  readonly rows: (state: State) => readonly Row[] | undefined;
  readonly id: (row: Row) => string;
  readonly condition: (row: Row) => Condition;
  readonly columns: (rows: readonly Row[], state: State, glyphs: Glyphs) => readonly Column<Row>[];
  /** What is said of the list as a whole, besides how many rows there are. */
  readonly about?: (state: State, room: Room, glyphs: Glyphs) => readonly Line[];
  /** What is known of the marked row, shown below the table where there is room. */
  readonly details?: (row: Row, state: State, room: Room, glyphs: Glyphs) => readonly Line[];
  /** What shows the same on the command line. */
  readonly command: string;
  /** What an empty list means, and the command that fills it. */
  readonly empty: { readonly text: string; readonly command?: string };
  readonly actions: readonly ListAction<Row>[];
}

const untouched: ListView = { id: undefined, index: 0, filter: '' };
/** Lines that must be free below a table before details stand there. */
const leastDetails = 3;

/** A screen of the table of screens, from the description of a list. */
export function listScreen<Row>(list: ListScreen<Row>): Screen {
  const viewOf = ({ view }: State) => view.lists[list.name] ?? untouched;
  const shownRows = (state: State): readonly Row[] => {
    const rows = list.rows(state) ?? [];
    const { filter } = viewOf(state);
    const typing = state.view.typing?.purpose === 'filter' ? state.view.typing.text : filter;
    if (typing === '') return rows;
    const { test } = patternOf(typing);
    const columns = list.columns(rows, state, plainGlyphs);
    return rows.filter((row) => test(columns.map(({ text }) => text(row)).join(' ')));
  };
  const place = (state: State) => placeOf(shownRows(state), viewOf(state), list.id);
  const markedRow = (state: State) => {
    const rows = shownRows(state);
    return rows[placeOf(rows, viewOf(state), list.id).index];
  };
  const layout = (state: State, canvas: Canvas) => {
    const { width, height, glyphs } = canvas;
    const head = [headLine(state, canvas), ...(list.about?.(state, canvas, glyphs) ?? []), blank];
    const rows = shownRows(state);
    const row = markedRow(state);
    const wanted = Math.min(rows.length + 1, height - head.length);
    const details = row === undefined ? [] : (list.details?.(row, state, canvas, glyphs) ?? []);
    // The table keeps at least half of what is left for both.
    const most = height - head.length - Math.max(Math.min(wanted, Math.ceil((height - head.length) / 2)), 3) - 1;
    const below = details.length > 0 && most >= leastDetails ? [blank, ...details.slice(0, most)] : [];
    return { head, rows, below, table: { width, height: height - head.length - below.length } };
  };
  const headLine = (state: State, { width, glyphs }: Canvas): Line => {
    const all = list.rows(state)?.length;
    if (all === undefined) return [bold(` ${list.title}`)];
    const shown = shownRows(state).length;
    const filter = state.view.typing?.purpose === 'filter' ? state.view.typing.text : viewOf(state).filter;
    const how = filter === '' ? count(all, list.noun, list.nouns) : `${shown} of ${count(all, list.noun, list.nouns)}`;
    return spread(
      [
        bold(` ${list.title}`),
        dim(`  ${how}`),
        ...(filter === '' ? [] : [dim('  matching '), { text: filter, color: 'yellow' }]),
      ],
      [dim(`appliance ${list.command} `)],
      width,
      glyphs.cut,
    );
  };
  return {
    name: list.name,
    title: list.title,
    key: list.key,
    kind: 'list',
    ...(list.feed === undefined ? {} : { feed: list.feed }),
    actions: list.actions.map((action) => ({ ...action, act: (state) => action.act(markedRow(state), state) })),
    lines: (state, canvas) => {
      const { head, rows, below, table } = layout(state, canvas);
      if (rows.length === 0) return fill([...head, ...emptyLines(list, state, canvas)], canvas.height);
      const columns = list.columns(rows, state, canvas.glyphs);
      const drawn = tableLines(
        { rows, marked: place(state).index, columns, condition: list.condition },
        table,
        canvas.glyphs,
      );
      return fill([...head, ...drawn, ...below], canvas.height);
    },
    place,
    mark: (state, target) => {
      const rows = shownRows(state);
      const index = Math.min(Math.max(0, target), Math.max(0, rows.length - 1));
      const row = rows[index];
      const marked = { ...viewOf(state), index, id: row === undefined ? undefined : list.id(row) };
      return { ...state.view, lists: { ...state.view.lists, [list.name]: marked } } satisfies View;
    },
    rowAt: (state, canvas, line) => {
      const { head, rows, table } = layout(state, canvas);
      return rowAtLine(rows.length, table.height, place(state).index, line - head.length);
    },
  };
}

/** Where the marked row is now; rows come and go, so it is looked for by its id. */
function placeOf<Row>(rows: readonly Row[], view: ListView, id: (row: Row) => string) {
  const found = view.id === undefined ? -1 : rows.findIndex((row) => id(row) === view.id);
  return { index: found >= 0 ? found : Math.min(view.index, Math.max(0, rows.length - 1)), size: rows.length };
}

function emptyLines<Row>(list: ListScreen<Row>, state: State, { width, glyphs }: Canvas): Line[] {
  const answer = list.feed === undefined ? undefined : state.documents[list.feed];
  if (answer?.problem) {
    const { message, hint } = answer.problem;
    return [
      ...wrap(message, width - 4).map(
        (line, index): Line => [
          { text: index === 0 ? ` ${glyphs.fail} ` : '   ', color: 'red', bold: true },
          { text: line },
        ],
      ),
      ...(hint === undefined ? [] : [clip([dim(`   ${glyphs.arrow} ${hint}`)], width, glyphs.cut)]),
    ];
  }
  if (list.rows(state) === undefined) {
    const known = state.link.kind === 'up';
    return [[dim(known ? '   asking the agent' : '   nothing is known before the agent answers')]];
  }
  const filtered = (state.view.lists[list.name]?.filter ?? '') !== '' || state.view.typing?.purpose === 'filter';
  if (filtered) return [[dim('   nothing matches; Esc drops the filter')]];
  return [
    [{ text: `   ${list.empty.text}` }],
    ...(list.empty.command === undefined ? [] : [[dim('   '), bold(list.empty.command)]]),
  ].map((line) => clip(line, width, glyphs.cut));
}

/** The text of a row is looked through for what is typed, not for signs. */
const plainGlyphs: Glyphs = {
  pass: '',
  fail: '',
  inconclusive: '',
  running: '',
  skipped: '',
  rule: '',
  full: '',
  empty: '',
  cut: '',
  dot: '',
  none: '',
  arrow: '',
  cursor: '',
  up: '',
  down: '',
  spinner: [],
  bars: [],
};
