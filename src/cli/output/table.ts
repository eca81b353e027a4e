import { displayWidth, oneLine, pad, truncate } from '../../lib/text.ts';
import { type Look, paint, type Style, speak } from './look.ts';

export interface Column<Row> {
  readonly title: string;
  readonly value: (row: Row) => string;
  readonly style?: (row: Row) => Style | undefined;
  readonly align?: 'right';
  /** Left out, highest number first, while the table is too wide. */
  readonly dropAt?: number;
  /** May be cut down to so many columns while the table is too wide. */
  readonly least?: number;
}

const gap = 2;

/**
 * Lays rows out in columns that fit the width of the terminal.
 * @param indent columns left free at the left
 * @returns lines, the first of which are the titles
 */
export function table<Row>(all: readonly Column<Row>[], rows: readonly Row[], look: Look, indent = 0): string[] {
  const columns = [...all];
  const cells = new Map(
    columns.map((column) => [column, rows.map((row) => speak(look, oneLine(column.value(row))))] as const),
  );
  const widths = new Map(
    columns.map(
      (column) => [column, Math.max(displayWidth(column.title), ...textsOf(cells, column).map(displayWidth))] as const,
    ),
  );
  const room = look.width - indent;
  const total = () => columns.reduce((sum, column) => sum + (widths.get(column) ?? 0), gap * (columns.length - 1));
  dropWhileTooWide(columns, total, room);
  shrinkWhileTooWide(columns, widths, total, room);

  const margin = ' '.repeat(indent);
  const line = (texts: readonly string[], styleOf: (column: Column<Row>, index: number) => Style | undefined) =>
    (
      margin +
      columns
        .map((column, index) => {
          const width = widths.get(column) ?? 0;
          const last = index === columns.length - 1 && column.align !== 'right';
          const text = truncate(texts[index] ?? '', width, look.unicode ? '…' : '~');
          return paintedCell(look, styleOf(column, index), last ? text : pad(text, width, column.align));
        })
        .join(' '.repeat(gap))
    ).trimEnd();

  return [
    line(
      columns.map((column) => column.title),
      () => 'dim',
    ),
    ...rows.map((row, index) =>
      line(
        columns.map((column) => textsOf(cells, column)[index] ?? ''),
        (column) => column.style?.(row),
      ),
    ),
  ];
}

function textsOf<Row>(cells: ReadonlyMap<Column<Row>, string[]>, column: Column<Row>): string[] {
  return cells.get(column) ?? [];
}

/** Colours the words and leaves the blanks alone, so that trailing blanks can be cut off. */
function paintedCell(look: Look, style: Style | undefined, padded: string): string {
  const text = padded.trim();
  return text === '' ? padded : padded.replace(text, () => paint(look, style, text));
}

function dropWhileTooWide<Row>(columns: Column<Row>[], total: () => number, room: number): void {
  while (total() > room) {
    const first = columns
      .filter((column) => column.dropAt !== undefined)
      .sort((a, b) => (b.dropAt ?? 0) - (a.dropAt ?? 0))[0];
    if (!first) return;
    columns.splice(columns.indexOf(first), 1);
  }
}

function shrinkWhileTooWide<Row>(
  columns: readonly Column<Row>[],
  widths: Map<Column<Row>, number>,
  total: () => number,
  room: number,
): void {
  for (;;) {
    const excess = total() - room;
    if (excess <= 0) return;
    const widest = columns
      .map((column) => ({ column, spare: (widths.get(column) ?? 0) - (column.least ?? Number.POSITIVE_INFINITY) }))
      .filter(({ spare }) => spare > 0)
      .sort((a, b) => b.spare - a.spare)[0];
    if (!widest) return;
    widths.set(widest.column, (widths.get(widest.column) ?? 0) - Math.min(excess, widest.spare));
  }
}
