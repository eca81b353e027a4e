import { changeLine, seconds, titleOf } from '../../api/describe.ts';
import type { Change, Plan } from '../../api/schema.ts';
import { count } from '../../lib/text.ts';
import { type Look, paint, type Style, speak } from '../output/look.ts';
import { table } from '../output/table.ts';
import { approvalTable } from './approve.ts';
import { findingLines } from './finding-text.ts';

const changeStyles: Readonly<Record<Change['kind'], Style>> = { added: 'green', removed: 'red', changed: 'yellow' };

/** A plan for people: what changes, the steps, what it will take. */
export function planLines(plan: Plan, look: Look): string[] {
  if (plan.steps.length === 0) return [nothingToDo(plan)];
  const heading = (text: string) => ['', paint(look, 'bold', text)];
  const from = plan.from === null ? 'nothing is deployed yet' : `now ${plan.from}`;
  return [
    `${paint(look, 'bold', titleOf(plan.kind, plan.to))} (${from}), ${plan.strategy}${plan.policy ? ` by policy ${plan.policy}` : ''}${plan.colour ? ` on ${plan.colour}` : ''}`,
    ...heading('What changes'),
    ...(plan.changes.length === 0 ? ['  nothing'] : changeLines(plan.changes, look)),
    ...heading(`What is done, in ${count(plan.steps.length, 'step')}`),
    ...table(
      [
        { title: '#', value: ({ number }) => String(number), align: 'right' },
        { title: 'STEP', value: ({ step }) => step.title, least: 20 },
        { title: 'TAKES', value: ({ step }) => (step.seconds === null ? '?' : seconds(step.seconds)), align: 'right' },
        { title: 'BECAUSE', value: ({ step }) => step.cause, least: 16, style: () => 'dim' },
      ],
      plan.steps.map((step, index) => ({ number: index + 1, step })),
      look,
      2,
    ),
    ...(plan.notes.length === 0 ? [] : [...heading('Mind'), ...plan.notes.map((note) => speak(look, `  • ${note}`))]),
    ...(plan.approvals
      ? [...heading(`Approvals of ${plan.approvals.digest}`), ...approvalTable(plan.approvals.approvals, look)]
      : []),
    ...(plan.checks ? [...heading('Checks'), ...findingLines(plan.checks, look)] : []),
    '',
    `Predicted: ${predicted(plan)}; downtime ${
      plan.predictedDowntimeSeconds === 0 ? 'none' : seconds(plan.predictedDowntimeSeconds)
    }. Nothing was changed.`,
  ];
}

function nothingToDo({ kind, from, to }: Plan): string {
  return from === to
    ? `${to} is live already; there is nothing to do.`
    : `${titleOf(kind, to)}: there is nothing to do.`;
}

/** The time of a plan; a sum without the steps that were never measured is a lower bound. */
function predicted({ steps, predictedSeconds }: Plan): string {
  if (predictedSeconds === null) return 'unknown, nothing like it was run yet';
  return `${steps.some((step) => step.seconds === null) ? 'at least ' : ''}${seconds(predictedSeconds)}`;
}

/** Changes of a plan or between two releases, one per line. */
export function changeLines(changes: readonly Change[], look: Look): string[] {
  return changes.map((change) => `  ${paint(look, changeStyles[change.kind], speak(look, changeLine(change)))}`);
}
