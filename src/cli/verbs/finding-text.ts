import type { Plan } from '../../api/schema.ts';
import { wrap } from '../../lib/text.ts';
import { type Look, mark, speak } from '../output/look.ts';

type Finding = NonNullable<Plan['checks']>[number];

/** Columns of a text where nobody says how wide the screen is. */
const usualWidth = 80;

/** What checks have said, in short: how many pass, and each that does not. */
export function findingLines(findings: readonly Finding[], look: Look): string[] {
  const open = findings.filter(({ verdict }) => verdict !== 'pass');
  const width = Math.min(look.width, usualWidth) - 6;
  return [
    `  ${findings.length - open.length} of ${findings.length} pass`,
    ...open.flatMap(({ id, verdict, observed }) =>
      wrap(speak(look, `${id}: ${observed}`), width).map((line, index) =>
        index === 0 ? `  ${mark(look, verdict)} ${line}` : `    ${line}`,
      ),
    ),
  ];
}
