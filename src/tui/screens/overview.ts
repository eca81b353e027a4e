import { conditionOf } from '../../api/describe.ts';
import type { ServiceStatus } from '../../api/schema.ts';
import { blank, fill, type Line } from '../line.ts';
import type { Intent } from '../order.ts';
import { releaseOrders } from '../orders/releases.ts';
import { keyOf } from '../series.ts';
import type { State } from '../state.ts';
import { rowAtLine, tableLines } from './columns.ts';
import { listScreen } from './list.ts';
import { belowLines, operationLines } from './operations.ts';
import { problemLines } from './problems.ts';
import type { Canvas, Screen } from './screen.ts';
import { inOrder, serviceColumns } from './services.ts';
import { standingLines } from './standing.ts';
import { waitingLines } from './waiting.ts';

/** Lines that the services get before anything above them is left out. */
const leastServices = 6;
/** Lines that must be free before something stands below the services. */
const leastBelow = 3;

/** The services of the overview: the same rows as on their own screen, marked by themselves. */
const services = listScreen<ServiceStatus>({
  name: 'overview',
  title: 'Overview',
  command: 'ps',
  key: '1',
  noun: 'container',
  rows: ({ status }) => status && inOrder(status),
  id: keyOf,
  condition: conditionOf,
  columns: serviceColumns,
  empty: { text: 'No container exists. This starts what should run:', command: 'appliance up' },
  actions: [
    {
      name: 'logs',
      keys: ['Enter'],
      help: 'the logs of the marked service',
      hint: 'its logs',
      changes: false,
      act: (row): Intent =>
        row ? { kind: 'logs', service: row.name } : { kind: 'say', text: 'No service is marked.' },
    },
    {
      name: 'rollback',
      keys: ['b'],
      help: 'go back to the release before the live one, after the plan was shown',
      hint: 'roll back',
      changes: true,
      act: (): Intent => ({ kind: 'order', order: releaseOrders.rollback(undefined) }),
    },
  ],
});

/** One glance: how it is, what is live, where the traffic goes, what runs, what is wrong. */
export const overviewScreen: Screen = {
  ...services,
  lines: (state, canvas) => {
    const { status } = state;
    if (status === undefined) return fill(waitingLines(state, canvas, canvas.glyphs), canvas.height);
    const { top, table } = layout(state, canvas);
    const spare = canvas.height - top.length - table.length - 1;
    const below = spare >= leastBelow ? [blank, ...belowLines(state, { ...canvas, height: spare }, canvas.glyphs)] : [];
    return fill([...top, ...table, ...below], canvas.height);
  },
  rowAt: (state, canvas, line) => {
    if (state.status === undefined) return undefined;
    const { top } = layout(state, canvas);
    const marked = services.place?.(state).index ?? 0;
    return rowAtLine(state.status.services.length, canvas.height - top.length, marked, line - top.length);
  },
};

function layout(state: State, canvas: Canvas): { readonly top: readonly Line[]; readonly table: readonly Line[] } {
  const rows = state.status ? inOrder(state.status) : [];
  const top = topLines(state, canvas);
  const room = { ...canvas, height: canvas.height - top.length };
  if (rows.length === 0) return { top, table: services.lines(state, { ...room, height: 3 }).slice(2) };
  const marked = services.place?.(state).index ?? 0;
  const columns = serviceColumns(rows, state, canvas.glyphs);
  return { top, table: tableLines({ rows, marked, columns, condition: conditionOf }, room, canvas.glyphs) };
}

/** Everything above the services. A short terminal gets less of it, so that the services are not pushed out. */
function topLines(state: State, { width, height, glyphs }: Canvas): readonly Line[] {
  const { status } = state;
  if (status === undefined) return [];
  const standing = standingLines(status, state, width, glyphs);
  const operation = operationLines(state, width, glyphs);
  const problems = problemLines(status, { width, height }, glyphs);
  const rest = [...withGap(operation), ...withGap(problems)];
  // The first lines say the most; what is left out is said on the screens of its own.
  for (let kept = standing.length; kept >= 3; kept -= 1) {
    const all = [...standing.slice(0, kept), blank, ...rest];
    if (height - all.length >= leastServices) return all;
  }
  const essential = [...standing.slice(0, 2), ...operation.slice(0, 1), ...problems];
  return essential.slice(0, Math.max(2, height - leastServices));
}

function withGap(lines: readonly Line[]): readonly Line[] {
  return lines.length === 0 ? [] : [...lines, blank];
}
