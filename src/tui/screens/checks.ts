import { checkGroupNames } from '../../api/check-groups.ts';
import type { CheckSeen } from '../../api/checks.ts';
import { age, seconds } from '../../api/describe.ts';
import { oneLine, wrap } from '../../lib/text.ts';
import { bold, clip, dim, type Glyphs, type Line, named, nameWidth, type Segment } from '../line.ts';
import type { Intent } from '../order.ts';
import { checkOrders, groupOf } from '../orders/checks.ts';
import type { State } from '../state.ts';
import { type Column, fitting, type Room } from './columns.ts';
import { listScreen } from './list.ts';
import { verdictColors } from './signs.ts';

const verdicts = ['pass', 'fail', 'inconclusive'] as const;
const whatOf = ({ observed }: CheckSeen) => oneLine(observed);

export const checksScreen = listScreen<CheckSeen>({
  name: 'checks',
  title: 'Checks',
  command: 'check',
  key: 'c',
  feed: 'checks',
  noun: 'check',
  rows: ({ documents }) => documents.checks?.data && worstFirst(documents.checks.data),
  id: ({ id }) => id,
  condition: ({ verdict }) => verdict,
  columns: columnsOf,
  about: ({ documents }, { width, height }, glyphs) =>
    height < 12 ? [] : groupLines(documents.checks?.data ?? [], width, glyphs),
  details: detailsOf,
  empty: { text: 'No check was ever run here. r runs a checklist, as does:', command: 'appliance check preflight' },
  actions: [
    {
      name: 'run',
      keys: ['r', 'Enter'],
      help: 'run a checklist; that of the marked check is offered',
      hint: 'run',
      changes: false,
      act: (row): Intent => ({
        kind: 'ask',
        label: `checklist (${checkGroupNames.join(', ')})`,
        text: row?.group ?? 'preflight',
        next: (text) => {
          const group = groupOf(text);
          if (group === undefined) return { kind: 'say', text: `There is no checklist "${text}".` };
          return { kind: 'order', order: checkOrders.run(group) };
        },
      }),
    },
  ],
});

/** What failed stands at the top, then what could not be told; within them the checklists keep their order. */
function worstFirst(rows: readonly CheckSeen[]): readonly CheckSeen[] {
  const rank = { fail: 0, inconclusive: 1, pass: 2 } as const;
  return [...rows].sort((a, b) => rank[a.verdict] - rank[b.verdict]);
}

/** How many of each checklist passed, failed or could not be told. */
function groupLines(rows: readonly CheckSeen[], width: number, glyphs: Glyphs): readonly Line[] {
  const groups = checkGroupNames.flatMap((group): Segment[] => {
    const own = rows.filter((row) => row.group === group);
    if (own.length === 0) return [];
    return [
      dim(` ${group}`),
      ...verdicts.flatMap((verdict): Segment[] => {
        const size = own.filter((row) => row.verdict === verdict).length;
        return size === 0 ? [] : [{ text: ` ${glyphs[verdict]}${size}`, color: verdictColors[verdict] }];
      }),
      { text: '  ' },
    ];
  });
  return groups.length === 0 ? [] : [clip(groups, width, glyphs.cut)];
}

function columnsOf(rows: readonly CheckSeen[], { now }: State, _: Glyphs): readonly Column<CheckSeen>[] {
  return [
    { title: 'CHECK', width: fitting(rows, ({ about }) => about, 5, 44), text: ({ about }) => oneLine(about) },
    { title: 'LIST', width: 9, text: ({ group }) => group },
    { title: 'AGE', width: 11, align: 'right', text: ({ time }) => age(time, now) },
    { title: 'OBSERVED', width: fitting(rows, whatOf, 8, 60), text: whatOf },
    {
      title: 'EXPECTED',
      width: fitting(rows, ({ expected }) => expected, 8, 60),
      text: ({ expected }) => oneLine(expected),
    },
  ];
}

function detailsOf(row: CheckSeen, { now }: State, { width }: Room, glyphs: Glyphs): readonly Line[] {
  const { about, id, verdict, observed, expected, samples, needed, hint, requirement, time } = row;
  // What was seen may be a paragraph; the beginning of it says the most.
  const text = (name: string, said: string, color?: string) =>
    wrap(oneLine(said), Math.max(10, width - nameWidth - 2))
      .slice(0, 3)
      .map((line, index) => named(index === 0 ? name : '', [{ text: line, color }], width, glyphs));
  return [
    named(
      'Marked',
      [bold(oneLine(about)), dim(`  ${id}, ${age(time, now)} ago, took ${seconds(row.seconds)}`)],
      width,
      glyphs,
    ),
    ...text('Observed', `${glyphs[verdict]} ${observed}`, verdictColors[verdict]),
    ...text('Expected', expected),
    ...(needed === undefined
      ? []
      : [named('Samples', [{ text: `${samples ?? 0}, ${needed} more needed` }], width, glyphs)]),
    ...(hint === undefined ? [] : text('Do', `${glyphs.arrow} ${hint}`)),
    ...(requirement === '' ? [] : [named('Demands', [dim(requirement)], width, glyphs)]),
  ];
}
