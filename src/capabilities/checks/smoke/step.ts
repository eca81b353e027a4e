import { z } from 'zod';
import { colours } from '../../../lib/colour.ts';
import { ApplianceError } from '../../../lib/errors.ts';
import { count } from '../../../lib/text.ts';
import { combine, type Finding } from '../../../lib/verdict.ts';
import { defineStep } from '../../../operations/step.ts';

const smokeArgs = z.object({
  release: z.string(),
  tag: z.string(),
  colour: z.enum(colours),
  /** `colour`: straight to its containers; `edge`: as users do. */
  through: z.enum(['colour', 'edge']),
  sequences: z.array(z.string()),
});
export type SmokeArgs = z.output<typeof smokeArgs>;

/**
 * A release passes its smoke tests: on the idle colour before any user gets an answer of it, and through the edge after
 * the shift (S0-28, S1-33 to S1-36, S2-7).
 * @param run asks the requests; @param keep puts what was seen beside the operation
 */
export function smokeStep(deps: {
  readonly run: (wish: SmokeArgs, signal: AbortSignal) => Promise<readonly Finding[]>;
  readonly keep: (operation: string, through: SmokeArgs['through'], findings: readonly Finding[]) => void;
}) {
  return defineStep({
    action: 'smoke',
    args: smokeArgs,
    apply: async (wish, { operation, signal }) => {
      const findings = await deps.run(wish, signal);
      deps.keep(operation, wish.through, findings);
      const verdict = combine(findings.map((one) => one.verdict));
      if (verdict === 'pass') return `${count(findings.length, 'check')} passed`;
      const open = findings.filter((one) => one.verdict === (verdict === 'fail' ? 'fail' : 'inconclusive'));
      throw new ApplianceError(
        verdict === 'fail' ? 'verdict_fail' : 'verdict_inconclusive',
        `${wish.tag} does not pass its smoke tests\n${open.map(({ id, observed }) => `${id}: ${observed}`).join('\n')}`,
        { hint: open[0]?.hint ?? `appliance logs, then appliance check smoke` },
      );
    },
  });
}
