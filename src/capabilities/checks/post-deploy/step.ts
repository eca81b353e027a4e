import { z } from 'zod';
import { ApplianceError } from '../../../lib/errors.ts';
import { combine, type Finding, type Verdict } from '../../../lib/verdict.ts';
import { defineStep } from '../../../operations/step.ts';

const lookArgs = z.object({ release: z.string(), since: z.number(), look: z.string() });
export type LookArgs = z.output<typeof lookArgs>;

/**
 * Takes a look at the live release some time after its deploy (S0-58 to S0-60). What it finds is its result, and never a
 * reason for the operation to fail: there is nothing to take back.
 * @param run looks; @param keep writes down what was seen, and tells whoever must know
 */
export function lookAfterStep(deps: {
  /** What is live now. */
  readonly live: () => { readonly release: string; readonly since: number } | null;
  readonly run: (signal: AbortSignal) => Promise<readonly Finding[]>;
  readonly keep: (operation: string, look: LookArgs, verdict: Verdict, findings: readonly Finding[]) => void;
}) {
  return defineStep({
    action: 'look-after',
    args: lookArgs,
    apply: async (look, { operation, signal }) => {
      const live = deps.live();
      if (live?.release !== look.release || live.since !== look.since) {
        throw new ApplianceError('not_deployed', 'another release is live by now', {
          left: 'nothing was looked at',
          hint: 'that one is looked after in its turn: appliance schedule',
        });
      }
      const findings = await deps.run(signal);
      const verdict = combine(findings.map((finding) => finding.verdict));
      deps.keep(operation, look, verdict, findings);
      const passed = findings.filter((finding) => finding.verdict === 'pass').length;
      return `${verdict}: ${passed} of ${findings.length} checks pass`;
    },
  });
}
