import { age, conditionOf, percent } from '../../api/describe.ts';
import type { ServiceStatus, Status } from '../../api/schema.ts';
import { formatBytes } from '../../lib/units.ts';
import { clip, dim, type Glyphs, type Line, named } from '../line.ts';
import type { Intent } from '../order.ts';
import { stackOrders } from '../orders/stack.ts';
import { keyOf, type Series, sparkline } from '../series.ts';
import type { State } from '../state.ts';
import { type Column, fitting, type Room } from './columns.ts';
import { listScreen } from './list.ts';
import { colourOf, conditionColors } from './signs.ts';

/** Readings that a line of bars shows; one is five seconds. */
const sparks = 12;
/** The lowest load that fills a bar: percent of one core, and bytes. */
const leastCpu = 10;
const leastMemory = 2 ** 20;

/** Columns of a table of services, the most important first. */
export function serviceColumns(
  services: readonly ServiceStatus[],
  { now, series }: { readonly now: number; readonly series: Series },
  glyphs: Glyphs,
): readonly Column<ServiceStatus>[] {
  const spark = (row: ServiceStatus, what: 'cpu' | 'memory') =>
    sparkline(series.get(keyOf(row))?.[what] ?? [], sparks, what === 'cpu' ? leastCpu : leastMemory, glyphs);
  return [
    { title: 'SERVICE', width: fitting(services, ({ name }) => name, 7, 32), text: ({ name }) => name },
    {
      title: 'COLOUR',
      width: 6,
      text: ({ colour }) => colour ?? glyphs.none,
      color: ({ colour }) => colourOf(colour),
    },
    { title: 'STATE', width: fitting(services, ({ state }) => state, 7, 12), text: ({ state }) => state },
    {
      title: 'HEALTH',
      width: 9,
      text: ({ health }) => health ?? glyphs.none,
      color: (row) => conditionColors[conditionOf(row)],
    },
    {
      title: '%CPU',
      width: 6,
      align: 'right',
      text: ({ cpuPercent }) => percent(cpuPercent).replace('–', glyphs.none),
    },
    {
      title: 'MEMORY',
      width: 8,
      align: 'right',
      text: ({ memoryBytes }) => (memoryBytes === null ? glyphs.none : formatBytes(memoryBytes)),
    },
    { title: 'CPU 1 MIN', width: sparks, align: 'right', text: (row) => spark(row, 'cpu'), color: () => 'cyan' },
    { title: 'RESTARTS', width: 8, align: 'right', text: ({ restarts }) => String(restarts) },
    { title: 'SINCE', width: 12, align: 'right', text: ({ since }) => age(since, now).replace('–', glyphs.none) },
    { title: 'MEMORY 1 MIN', width: sparks, align: 'right', text: (row) => spark(row, 'memory'), color: () => 'cyan' },
    { title: 'IMAGE', width: fitting(services, ({ image }) => image, 5, 48), text: ({ image }) => image },
  ];
}

/** What does not run as it should, then what serves, then what all share, then the colour that is idle. */
export function inOrder({ services, release }: Pick<Status, 'services' | 'release'>): readonly ServiceStatus[] {
  const rank = (service: ServiceStatus) => {
    if (['fail', 'inconclusive'].includes(conditionOf(service))) return 0;
    return service.colour === null ? 2 : service.colour === release?.colour ? 1 : 3;
  };
  return [...services].sort((a, b) => rank(a) - rank(b));
}

export const servicesScreen = listScreen<ServiceStatus>({
  name: 'services',
  title: 'Services',
  command: 'ps',
  key: '2',
  noun: 'container',
  rows: ({ status }) => status && inOrder(status),
  id: keyOf,
  condition: conditionOf,
  columns: serviceColumns,
  about: (_, { width }, glyphs) => [
    clip([dim(' %CPU is of one core. Bars: the last minute, full is the highest of it.')], width, glyphs.cut),
  ],
  details: detailsOf,
  empty: { text: 'No container exists. This starts what should run:', command: 'appliance up' },
  actions: [
    {
      name: 'logs',
      keys: ['Enter'],
      help: 'the logs of the marked service',
      hint: 'its logs',
      changes: false,
      act: (row): Intent => (row ? { kind: 'logs', service: row.name } : nothingMarked),
    },
    {
      name: 'restart',
      keys: ['r'],
      help: 'restart the marked service',
      hint: 'restart',
      changes: true,
      act: (row, state): Intent =>
        row ? { kind: 'order', order: stackOrders.restart(row.name, state) } : nothingMarked,
    },
    {
      name: 'up',
      keys: ['u'],
      help: 'start what should run and does not',
      hint: 'up',
      changes: true,
      act: (_, state): Intent => ({ kind: 'order', order: stackOrders.up(state) }),
    },
    {
      name: 'down',
      keys: ['D'],
      help: 'stop everything; data stays',
      changes: true,
      act: (_, state): Intent => ({
        kind: 'order',
        order: stackOrders.down(state.status?.name ?? 'appliance', state),
      }),
    },
  ],
});

const nothingMarked: Intent = { kind: 'say', text: 'No service is marked.' };

function detailsOf(row: ServiceStatus, { status, now }: State, { width }: Room, glyphs: Glyphs): readonly Line[] {
  const condition = conditionOf(row);
  const findings = (status?.findings ?? []).filter(({ id }) => id === `service-${row.name}`);
  return [
    named('Marked', [{ text: row.name, bold: true }, dim(`  in ${row.project}`)], width, glyphs),
    named(
      'State',
      [
        {
          text: `${glyphs[condition]} ${row.state}${row.health ? `, ${row.health}` : ''}`,
          color: conditionColors[condition],
        },
        dim(` for ${age(row.since, now)}, ${row.restarts === 1 ? '1 restart' : `${row.restarts} restarts`}`),
      ],
      width,
      glyphs,
    ),
    named('Image', [{ text: row.image }, dim(`  ${row.imageId.slice(0, 19)}`)], width, glyphs),
    ...findings.flatMap(({ observed, hint }) => [
      named('Finding', [{ text: observed, color: 'red' }], width, glyphs),
      ...(hint === undefined ? [] : [named('', [dim(`${glyphs.arrow} ${hint}`)], width, glyphs)]),
    ]),
  ];
}
