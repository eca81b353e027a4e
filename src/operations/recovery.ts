import { ApplianceError } from '../lib/errors.ts';
import { againHint } from './again.ts';
import type { Journal, OperationRecord, StepRecord } from './journal.ts';
import type { Runner, RunOutcome } from './runner.ts';

export type Direction = 'forward' | 'back';

/**
 * Which way an operation goes that was cut short. Pure.
 *
 * From the pivot on, users may already get the new release: it is finished. Before it, a deploy is taken back, because
 * nobody has seen it; a rollback is finished, because somebody asked for it in an emergency.
 * @param urgent the kind of operation is always finished (rollback, up, down)
 */
export function directionOf(steps: readonly Pick<StepRecord, 'plan' | 'state'>[], urgent: boolean): Direction {
  if (
    steps.some(({ state, plan }) => state === 'undoing' || state === 'undone' || (state === 'failed' && !plan.optional))
  )
    return 'back';
  const pivotBegun = steps.some((step) => step.plan.pivot && step.state !== 'pending');
  return pivotBegun || urgent ? 'forward' : 'back';
}

/**
 * Finishes or takes back one operation that was open when the last writer ended.
 * @param urgentKinds kinds of operations that are always finished
 */
export async function recover(
  operation: OperationRecord,
  deps: { readonly journal: Journal; readonly runner: Runner; readonly urgentKinds: ReadonlySet<string> },
  signal: AbortSignal,
): Promise<RunOutcome> {
  const steps = deps.journal.steps(operation.id);
  const why = reasonOf(operation, steps);
  if (steps.length === 0) return { result: 'failed', error: why };
  return directionOf(steps, deps.urgentKinds.has(operation.kind)) === 'forward'
    ? deps.runner.forward(operation.id, signal)
    : deps.runner.back(operation.id, why);
}

/** Why it is taken back: because a step has failed, which the journal knows, or because it was cut short. */
function reasonOf(operation: OperationRecord, steps: readonly StepRecord[]): ApplianceError {
  const failed = steps.find(({ state, plan }) => state === 'failed' && !plan.optional);
  if (failed)
    return new ApplianceError(
      'step_failed',
      `${failed.detail}; the agent or the host stopped while it was taken back`,
      {
        left: 'what it had begun was taken back',
      },
    );
  return new ApplianceError('interrupted', `the ${operation.kind} was cut short (the agent or the host stopped)`, {
    left: 'what it had begun was taken back; traffic stayed where it was',
    hint: againHint(operation),
  });
}
