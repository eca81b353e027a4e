import { age, conditionOf, percent } from '../../api/describe.ts';
import type { ServiceStatus } from '../../api/schema.ts';
import { displayWidth } from '../../lib/text.ts';
import { formatBytes } from '../../lib/units.ts';
import { bold, cell, clip, dim, type Glyphs, type Line } from '../line.ts';
import { windowAround } from '../window.ts';
import { colourOf, conditionColors } from './frame.ts';

interface Column {
  readonly title: string;
  readonly width: number;
  readonly align?: 'right';
  readonly text: (row: ServiceStatus) => string;
  readonly color?: (row: ServiceStatus) => string | undefined;
}

/** The table of services: as many columns and rows as fit, the marked row always among them. */
export function serviceLines(
  services: readonly ServiceStatus[],
  marked: number,
  now: number,
  room: { readonly width: number; readonly height: number },
  glyphs: Glyphs,
): Line[] {
  if (services.length === 0) return [[dim(' no containers; '), bold('appliance up'), dim(' starts them')]];
  const columns = columnsFor(services, room.width, now, glyphs);
  const header = clip(
    [
      dim('   '),
      ...columns.map((column, index) =>
        dim(`${index === 0 ? '' : '  '}${cell(column.title, column.width, glyphs.cut, column.align)}`),
      ),
    ],
    room.width,
    glyphs.cut,
  );
  const chosen = Math.min(marked, services.length - 1);
  // The last line says how many are hidden, when some are.
  const rows = services.length > room.height - 1 ? room.height - 2 : room.height - 1;
  const { first, above, below } = windowAround(services.length, rows, chosen);
  const visible = services.slice(first, first + Math.max(0, rows));
  const more = [
    ...(above > 0 ? [`${glyphs.up} ${above} above`] : []),
    ...(below > 0 ? [`${glyphs.down} ${below} below`] : []),
  ].join('   ');
  return [
    header,
    ...visible.map((row, index) => serviceLine(row, first + index === chosen, columns, room.width, glyphs)),
    ...(above + below > 0 ? [[dim(`   ${more}`)]] : []),
  ];
}

function serviceLine(
  row: ServiceStatus,
  marked: boolean,
  columns: readonly Column[],
  width: number,
  glyphs: Glyphs,
): Line {
  const condition = conditionOf(row);
  return clip(
    [
      { text: marked ? glyphs.cursor : ' ', bold: true, color: 'cyan' },
      { text: `${glyphs[condition]} `, color: conditionColors[condition] },
      ...columns.map((column, index) => ({
        text: `${index === 0 ? '' : '  '}${cell(column.text(row), column.width, glyphs.cut, column.align)}`,
        color: column.color?.(row),
        bold: marked && index === 0,
      })),
    ],
    width,
    glyphs.cut,
  );
}

/** As many columns as fit; the name of the service gets what is left, within reason. */
function columnsFor(services: readonly ServiceStatus[], width: number, now: number, glyphs: Glyphs): Column[] {
  const widest = (text: (row: ServiceStatus) => string, least: number) =>
    Math.max(least, ...services.map((row) => displayWidth(text(row))));
  const state: Column = {
    title: 'STATE',
    width: Math.min(
      12,
      widest((row) => row.state, 7),
    ),
    text: (row) => row.state,
  };
  const optional: readonly Column[] = [
    { title: 'COLOUR', width: 6, text: (row) => row.colour ?? glyphs.none, color: (row) => colourOf(row.colour) },
    state,
    {
      title: 'HEALTH',
      width: 9,
      text: (row) => row.health ?? glyphs.none,
      color: (row) => conditionColors[conditionOf(row)],
    },
    { title: '%CPU', width: 6, align: 'right', text: (row) => percent(row.cpuPercent).replace('–', glyphs.none) },
    {
      title: 'MEMORY',
      width: 8,
      align: 'right',
      text: (row) => (row.memoryBytes === null ? glyphs.none : formatBytes(row.memoryBytes)),
    },
    { title: 'RESTARTS', width: 8, align: 'right', text: (row) => String(row.restarts) },
    { title: 'SINCE', width: 12, align: 'right', text: (row) => age(row.since, now).replace('–', glyphs.none) },
    {
      title: 'IMAGE',
      width: Math.min(
        48,
        widest((row) => row.image, 5),
      ),
      text: (row) => row.image,
    },
  ];
  const name = Math.min(
    32,
    widest((row) => row.name, 7),
  );
  const chosen: Column[] = [];
  let left = width - 3 - Math.min(name, Math.max(16, width - 60));
  for (const column of optional) {
    if (column.width + 2 > left) break;
    chosen.push(column);
    left -= column.width + 2;
  }
  return [
    { title: 'SERVICE', width: Math.min(name, Math.max(16, width - 60) + Math.max(0, left)), text: (row) => row.name },
    ...chosen,
  ];
}
