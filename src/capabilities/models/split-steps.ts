import { z } from 'zod';
import { formatDuration } from '../../lib/units.ts';
import type { Finding } from '../../lib/verdict.ts';
import { defineStep } from '../../operations/step.ts';
import { compareVariants, tallyOf } from './comparison.ts';
import type { Loaded } from './processes.ts';
import { readSplit, type Split, writeSplit } from './split.ts';
import { type ModelStepDeps, period, taken } from './steps.ts';
import { assertWhole, type ModelSide, modelSideSchema, sideText } from './whole.ts';

export interface SplitStepDeps extends Pick<ModelStepDeps, 'directory' | 'registry' | 'live' | 'judge'> {
  /** What the running processes report. */
  readonly loaded: (signal: AbortSignal) => Promise<readonly Loaded[]>;
}

const shareSchema = z.object({ candidate: modelSideSchema, weight: z.number() });
type Share = z.output<typeof shareSchema>;

export const percentText = (weight: number): string => `${Number((weight * 100).toFixed(2))} %`;

const splitOf = (share: Share | null): Split | null => {
  if (!share) return null;
  const { name, version, sha256 } = share.candidate;
  return { name, version, sha256, weight: share.weight };
};

/** Steps that give a second version a share of the requests, and take it away (S3-25); each is safe to run again. */
export function createSplitSteps(deps: SplitStepDeps) {
  const { directory } = deps;
  return {
    splitModel: defineStep({
      action: 'split-model',
      args: z.object({ to: shareSchema.nullable(), before: shareSchema.nullable() }),
      async apply({ to }) {
        if (to) await assertWhole(directory, to.candidate);
        await writeSplit(directory, splitOf(to));
        return to
          ? `${percentText(to.weight)} of the requests are for ${sideText(to.candidate)}`
          : 'no version has a share';
      },
      async verify({ to }): Promise<Finding> {
        const found = await readSplit(directory);
        const text = (share: Split | null): string =>
          share ? `${percentText(share.weight)} for ${sideText(share)}` : 'none';
        const right = found?.sha256 === to?.candidate.sha256 && found?.weight === to?.weight;
        return {
          id: 'model-split',
          verdict: right ? 'pass' : 'fail',
          observed: text(found),
          expected: text(splitOf(to)),
        };
      },
      async undo({ before }) {
        await writeSplit(directory, splitOf(before));
      },
    }),

    recordSplit: defineStep({
      action: 'record-split',
      args: z.object({
        candidate: modelSideSchema,
        /** Null: the split has ended. */
        weight: z.number().nullable(),
        actor: z.string(),
        reason: z.string().nullable(),
      }),
      async apply({ candidate, weight, actor, reason }, { operation }) {
        const text = [weight === null ? [] : [`${percentText(weight)} of the requests`], reason ?? []]
          .flat()
          .join(': ');
        note(deps, candidate, weight === null ? 'split-ended' : 'split', { actor, operation, reason: text });
        return weight === null ? `the split of ${sideText(candidate)} has ended` : `${sideText(candidate)} has ${text}`;
      },
      async undo({ candidate, weight, actor }, { operation }) {
        if (weight !== null) note(deps, candidate, 'split-ended', { actor, operation, reason: 'it was taken back' });
      },
    }),

    watchSplit: defineStep({
      action: 'watch-split',
      args: z.object({
        candidate: modelSideSchema,
        baseline: modelSideSchema,
        /** Milliseconds. */
        duration: z.number(),
      }),
      async apply({ candidate, baseline, duration }, context) {
        if (!deps.live()) return 'nothing is live that could be watched';
        const { clock, signal } = context;
        const [began, since, before] = [clock.monotonic(), clock.now(), await deps.loaded(signal)];
        for (;;) {
          await clock.sleep(period, signal);
          const passed = clock.monotonic() - began;
          const [{ rollback }, now] = await Promise.all([deps.judge(since, signal), deps.loaded(signal)]);
          const compared = compareVariants(
            tallyOf(candidate.sha256, before, now),
            tallyOf(baseline.sha256, before, now),
          );
          const bad = [compared, ...rollback].find(({ verdict }) => verdict === 'fail');
          if (bad) throw taken(candidate, `${bad.id}: ${bad.observed}`, 'it gets no more requests than before');
          if (passed >= duration) return `watched for ${formatDuration(passed)}: ${compared.observed}`;
          context.progress(`${formatDuration(duration - passed)} to go: ${compared.observed}`);
        }
      },
    }),
  };
}

/** Said again after a crash, it changes nothing. */
function note(
  { registry: open }: Pick<SplitStepDeps, 'registry'>,
  side: ModelSide,
  event: 'split' | 'split-ended',
  change: { readonly actor: string; readonly operation: string; readonly reason: string },
): void {
  const registry = open();
  const [last] = registry.history({ version: side.id, limit: 1 });
  if (last?.operation === change.operation && last.event === event) return;
  registry.note(registry.get(side.id), event, { ...change, reason: change.reason || undefined });
}
