import { changeLine, seconds, titleOf } from '../../api/describe.ts';
import type { Plan } from '../../api/schema.ts';
import { count, displayWidth, oneLine, wrap } from '../../lib/text.ts';
import { blank, bold, cell, dim, type Glyphs, type Line, plain } from '../line.ts';
import { word } from '../orders/word.ts';
import { conditionColors } from './signs.ts';

/** Columns of a step besides its title and its cause: its number and its time. */
const besides = 18;
/** Columns that a cause needs to say anything. */
const leastCause = 28;

/** A plan: how long, what changes, each step with its time and cause, and what to mind. */
export function planLines(plan: Plan, width: number, glyphs: Glyphs): Line[] {
  if (plan.steps.length === 0) return [plain(`   ${plan.to} is live already, there is nothing to do.`)];
  const way = plan.kind === 'restore' ? (plan.strategy === 'all' ? 'everything in it' : plan.strategy) : plan.strategy;
  const how = `${way}${plan.policy ? ` by policy ${plan.policy}` : ''}${plan.colour ? ` on ${plan.colour}` : ''}`;
  // What is done comes first, why it is done where there is room.
  const longest = Math.max(...plan.steps.map((step) => displayWidth(step.title)));
  const title = Math.max(20, Math.min(longest, width - besides));
  const causes = width - besides - title >= leastCause;
  const changeColors = { added: 'green', removed: 'red', changed: 'yellow' } as const;
  return [
    [{ text: '   ' }, bold(titleOf(plan.kind, plan.to)), dim(`  now ${plan.from ?? 'nothing'}; ${how}`)],
    [
      {
        text: `   ${plan.predictedSeconds === null ? 'never measured before' : `about ${seconds(plan.predictedSeconds)}`}`,
      },
      plan.predictedDowntimeSeconds === 0
        ? { text: ', no downtime', color: 'green' }
        : { text: `, downtime ${seconds(plan.predictedDowntimeSeconds)}`, color: 'red', bold: true },
    ],
    ...plan.notes.flatMap((note) =>
      wrap(note, width - 8).map(
        (text, index): Line => [{ text: index === 0 ? ' ! ' : '   ', color: 'yellow', bold: true }, { text }],
      ),
    ),
    ...approvalLines(plan, glyphs),
    blank,
    [dim(`   ${count(plan.changes.length, 'change').toUpperCase()}`)],
    ...plan.changes.map((change): Line => [{ text: `   ${changeLine(change)}`, color: changeColors[change.kind] }]),
    blank,
    [dim(`   ${count(plan.steps.length, 'step').toUpperCase()}`)],
    ...plan.steps.map(
      (step, index): Line => [
        dim(`   ${String(index + 1).padStart(2)}  `),
        { text: cell(step.title, title, glyphs.cut) },
        { text: `  ${(step.seconds === null ? '?' : seconds(step.seconds)).padStart(8)}` },
        dim(causes ? `  ${step.cause}` : ''),
      ],
    ),
  ];
}

/** Who has approved the release, and the command for each approval that is missing: without them it gets no traffic. */
function approvalLines({ approvals, to }: Plan, glyphs: Glyphs): Line[] {
  if (!approvals || approvals.approvals.length === 0) return [];
  const missing = approvals.approvals.filter(({ given }) => given === null).length;
  const heading = missing === 0 ? 'approved' : `${count(missing, 'approval')} missing`;
  return [
    blank,
    [dim(`   ${heading.toUpperCase()}`)],
    ...approvals.approvals.map(({ role, given, holders }): Line => {
      const condition = given ? 'pass' : 'inconclusive';
      const by = given
        ? `by ${oneLine(given.user)}`
        : `${glyphs.arrow} appliance approve ${word(to)} --role ${word(role)}`;
      return [
        { text: ` ${glyphs[condition]} `, color: conditionColors[condition], bold: true },
        { text: role },
        dim(`  ${by}`),
        dim(given || !holders ? '' : `  to be asked: ${holders.map(oneLine).join(', ')}`),
      ];
    }),
  ];
}
