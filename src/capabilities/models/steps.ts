import { z } from 'zod';
import type { Clock } from '../../lib/clock.ts';
import { ApplianceError } from '../../lib/errors.ts';
import { formatDuration } from '../../lib/units.ts';
import { combine, type Finding } from '../../lib/verdict.ts';
import { defineStep } from '../../operations/step.ts';
import type { Closed } from './loop.ts';
import { readPointer, switchPointer } from './pointer.ts';
import type { ModelRegistry, ModelVersion } from './registry.ts';
import { assertWhole, type ModelSide, modelSideSchema, sideText } from './whole.ts';

export interface ModelStepDeps {
  /** The models directory. */
  readonly directory: string;
  readonly clock: Clock;
  readonly registry: () => ModelRegistry;
  /** Runs the gates on a version, beside the one in force. Keeps nothing. */
  readonly gates: (
    candidate: ModelVersion,
    baseline: ModelVersion | null,
    context: { readonly signal: AbortSignal; progress(text: string): void },
  ) => Promise<readonly Finding[]>;
  /** Lets running processes load what is in force, and proves it. */
  readonly close: (sha256: string, signal: AbortSignal, progress: (text: string) => void) => Promise<Closed>;
  /** Whether anything is live that could load a model. */
  readonly live: () => boolean;
  /** What the traffic says since a time: any `fail` takes a model back, `gates` must pass before the watch ends. */
  readonly judge: (
    since: number,
    signal: AbortSignal,
  ) => Promise<{ readonly gates: readonly Finding[]; readonly rollback: readonly Finding[] }>;
  /** Which digests the running processes report. */
  readonly loaded: (signal: AbortSignal) => Promise<readonly (string | null)[]>;
}

/** Milliseconds between two looks at a promoted model. */
export const period = 1_000;

/** Steps of a promotion and of the way back; each is safe to run again after a crash. */
export function createModelSteps(deps: ModelStepDeps) {
  const settle = async (
    side: ModelSide,
    context: { readonly signal: AbortSignal; progress(text: string): void },
  ): Promise<string> => {
    if (!deps.live()) return `${sideText(side)} is in force; nothing runs that could load it`;
    const { by, replicas, elapsed } = await deps.close(side.sha256, context.signal, (text) => context.progress(text));
    return `${replicas} processes report ${side.sha256.slice(0, 12)} after ${formatDuration(elapsed)} (${by})`;
  };

  return {
    gateModel: defineStep({
      action: 'gate-model',
      args: z.object({
        candidate: modelSideSchema,
        baseline: modelSideSchema.nullable(),
        actor: z.string(),
        acceptInconclusive: z.boolean(),
      }),
      async apply({ candidate, baseline, actor, acceptInconclusive }, context) {
        const registry = deps.registry();
        const version = registry.get(candidate.id);
        const findings = await deps.gates(version, baseline && registry.get(baseline.id), context);
        const verdict = combine(findings.map((finding) => finding.verdict));
        const at = new Date(deps.clock.now()).toISOString();
        registry.saveReport(version, verdict, { at, verdict, findings }, { actor, operation: context.operation });
        const named = (which: Finding['verdict']): string =>
          findings
            .filter((finding) => finding.verdict === which)
            .map(({ id, observed, expected }) => `${id}: ${observed}${expected ? ` (expected ${expected})` : ''}`)
            .join('; ');
        const left = 'the model in force stays as it is; the report is kept: appliance models show';
        if (verdict === 'fail')
          throw new ApplianceError('verdict_fail', `${sideText(candidate)} does not pass its gates: ${named('fail')}`, {
            left,
            // A planted payload becomes no better by training.
            hint:
              findings.find((one) => one.verdict === 'fail' && one.hint !== undefined)?.hint ??
              'train a better one, or change the limits of the policy',
          });
        if (verdict === 'inconclusive' && !acceptInconclusive)
          throw new ApplianceError(
            'verdict_inconclusive',
            `the gates cannot say whether ${sideText(candidate)} is good: ${named('inconclusive')}`,
            { left, hint: 'supply what is missing, or take the risk: --accept-inconclusive' },
          );
        return `${findings.length} gates: ${verdict}`;
      },
    }),

    /** Proves that there is a way back; taken back, it lets processes load the old model again. */
    holdModel: defineStep({
      action: 'hold-model',
      args: z.object({ baseline: modelSideSchema.nullable() }),
      async apply({ baseline }) {
        if (!baseline) return 'there is no model before it';
        await assertWhole(deps.directory, baseline);
        return `${sideText(baseline)} is kept for the way back`;
      },
      async undo({ baseline }, context) {
        if (baseline) await settle(baseline, context);
      },
    }),

    switchModel: defineStep({
      action: 'switch-model',
      args: z.object({ to: modelSideSchema, from: modelSideSchema.nullable() }),
      async apply({ to }) {
        await assertWhole(deps.directory, to);
        await switchPointer(deps.directory, to, new Date(deps.clock.now()));
        return `${sideText(to)} is in force`;
      },
      async verify({ to }): Promise<Finding> {
        const pointer = await readPointer(deps.directory);
        const right = pointer?.name === to.name && pointer.version === to.version;
        const observed = pointer ? `${sideText(pointer)} is in force` : 'no version is in force';
        return { id: 'model-pointer', verdict: right ? 'pass' : 'fail', observed, expected: sideText(to) };
      },
      async undo({ from }) {
        const pointer = await readPointer(deps.directory);
        // Untouched, as when the file system is read-only: there is nothing to take back, and no way to write it.
        if (pointer?.name === from?.name && pointer?.version === from?.version) return;
        await switchPointer(deps.directory, from, new Date(deps.clock.now()));
      },
    }),

    confirmModel: defineStep({
      action: 'confirm-model',
      args: z.object({ to: modelSideSchema }),
      apply: ({ to }, context) => settle(to, context),
    }),

    recordModel: defineStep({
      action: 'record-model',
      args: z.object({
        to: modelSideSchema,
        from: modelSideSchema.nullable(),
        actor: z.string(),
        event: z.enum(['promoted', 'rolled-back']),
        reason: z.string().nullable(),
      }),
      async apply({ to, actor, event, reason }, { operation }) {
        deps.registry().promoted(to, { actor, operation, ...(reason === null ? {} : { reason }) }, event);
        return `${sideText(to)} is in production`;
      },
      async undo({ from, to, actor }, { operation }) {
        const registry = deps.registry();
        if (from && registry.get(to.id).state === 'production')
          registry.promoted(from, { actor, operation, reason: `${sideText(to)} was taken back` }, 'rolled-back');
      },
    }),

    bakeModel: defineStep({
      action: 'bake-model',
      args: z.object({
        to: modelSideSchema,
        /** Milliseconds. */
        duration: z.number(),
        /** How much longer it may stay inconclusive, in milliseconds. */
        patience: z.number(),
      }),
      async apply({ to, duration, patience }, context) {
        if (!deps.live()) return 'nothing is live that could be watched';
        const { clock } = context;
        const [began, since] = [clock.monotonic(), clock.now()];
        for (;;) {
          await clock.sleep(period, context.signal);
          const passed = clock.monotonic() - began;
          const [{ gates, rollback }, loaded] = await Promise.all([
            deps.judge(since, context.signal),
            deps.loaded(context.signal),
          ]);
          const strayed = loaded.find((sha256) => sha256 !== null && sha256 !== to.sha256);
          if (strayed) throw taken(to, `a process has loaded ${strayed.slice(0, 12)} instead`);
          const bad = rollback.find(({ verdict }) => verdict === 'fail');
          if (bad) throw taken(to, `${bad.id}: ${bad.observed}`);
          const verdict = gates.length === 0 ? 'pass' : combine(gates.map((gate) => gate.verdict));
          if (passed >= duration && verdict === 'pass') return `watched for ${formatDuration(passed)}`;
          const worst = gates.find((gate) => gate.verdict === verdict);
          if (passed >= duration + (verdict === 'fail' ? 0 : patience))
            throw taken(to, `${verdict}: ${worst?.id}: ${worst?.observed}`);
          context.progress(
            passed < duration
              ? `${formatDuration(duration - passed)} to go`
              : `${worst?.id} is ${verdict}: ${worst?.observed}`,
          );
        }
      },
    }),
  };
}

/** Why a version does not go on serving. */
export function taken(to: ModelSide, why: string, left = 'the model before it is in force again'): ApplianceError {
  return new ApplianceError('verdict_fail', `${sideText(to)} does not stand the watch: ${why}`, {
    left,
    hint: 'appliance models show says what its gates have seen',
  });
}
