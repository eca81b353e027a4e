import type { Condition } from '../../api/describe.ts';
import { displayWidth } from '../../lib/text.ts';
import { cell, clip, dim, type Glyphs, type Line } from '../line.ts';
import { windowAround } from '../window.ts';
import { conditionColors } from './signs.ts';

export interface Column<Row> {
  readonly title: string;
  /** Columns of the terminal; of the first column, the most that it gets. */
  readonly width: number;
  readonly align?: 'right';
  readonly text: (row: Row) => string;
  readonly color?: (row: Row) => string | undefined;
}

export interface Room {
  readonly width: number;
  readonly height: number;
}

/** Columns that the first column, the name of a row, keeps before another one is left out. */
const leastName = 16;
/** Columns that a text needs to say anything when it is cut. */
const leastText = 16;

/** The width of the widest text, within limits. */
export function fitting<Row>(rows: readonly Row[], text: (row: Row) => string, least: number, most: number): number {
  return Math.min(
    most,
    rows.reduce((widest, row) => Math.max(widest, displayWidth(text(row))), least),
  );
}

/** As many columns as fit, from the left; the first one takes what is left, within reason. */
function thatFit<Row>([name, ...others]: readonly Column<Row>[], width: number): readonly Column<Row>[] {
  if (name === undefined) return [];
  const least = Math.min(name.width, Math.max(leastName, width - 60));
  const chosen: Column<Row>[] = [];
  let left = width - 3 - least;
  for (const column of others) {
    // Of a text the beginning is better than nothing; a number is whole or not there.
    const width = column.align === 'right' || left - 2 < leastText ? column.width : Math.min(column.width, left - 2);
    if (width + 2 > left) break;
    chosen.push({ ...column, width });
    left -= width + 2;
  }
  return [{ ...name, width: Math.max(1, Math.min(name.width, least + Math.max(0, left), width - 3)) }, ...chosen];
}

export interface Table<Row> {
  readonly rows: readonly Row[];
  /** Index of the marked row. */
  readonly marked: number;
  readonly columns: readonly Column<Row>[];
  readonly condition: (row: Row) => Condition;
}

/** Which rows of a table are visible, below its titles. @param height lines of the table */
function visibleRows(size: number, height: number, marked: number) {
  // The last line says how many are hidden, when some are.
  const visible = size > height - 1 ? height - 2 : height - 1;
  return { visible, ...windowAround(size, visible, marked) };
}

/** The row on a line of a table; undefined where there is none. @param line counted from the titles on */
export function rowAtLine(size: number, height: number, marked: number, line: number): number | undefined {
  const { visible, first } = visibleRows(size, height, marked);
  const row = line - 1;
  return row >= 0 && row < visible && first + row < size ? first + row : undefined;
}

/** A table: as many columns and rows as fit, the marked row always among them. */
export function tableLines<Row>(table: Table<Row>, room: Room, glyphs: Glyphs): Line[] {
  const { rows, marked } = table;
  const columns = thatFit(table.columns, room.width);
  const titles = columns.map(
    ({ title, width, align }, index) => `${index === 0 ? '' : '  '}${cell(title, width, glyphs.cut, align)}`,
  );
  const chosen = Math.min(Math.max(0, marked), rows.length - 1);
  const { visible, first, above, below } = visibleRows(rows.length, room.height, chosen);
  const more = [
    ...(above > 0 ? [`${glyphs.up} ${above} above`] : []),
    ...(below > 0 ? [`${glyphs.down} ${below} below`] : []),
  ].join('   ');
  return [
    clip([dim(`   ${titles.join('')}`)], room.width, glyphs.cut),
    ...rows
      .slice(first, first + Math.max(0, visible))
      .map((row, index) => rowLine(row, first + index === chosen, { ...table, columns }, room.width, glyphs)),
    ...(above + below > 0 ? [[dim(`   ${more}`)]] : []),
  ];
}

function rowLine<Row>(row: Row, marked: boolean, table: Table<Row>, width: number, glyphs: Glyphs): Line {
  const condition = table.condition(row);
  return clip(
    [
      { text: marked ? glyphs.cursor : ' ', bold: true, color: 'cyan' },
      { text: `${glyphs[condition]} `, color: conditionColors[condition] },
      ...table.columns.map((column, index) => ({
        text: `${index === 0 ? '' : '  '}${cell(column.text(row), column.width, glyphs.cut, column.align)}`,
        color: column.color?.(row),
        bold: marked && index === 0,
      })),
    ],
    width,
    glyphs.cut,
  );
}
