import type { ErrorCode } from '../../lib/errors.ts';
import { durationText, formatDuration } from '../../lib/units.ts';
import { combine, type Finding } from '../../lib/verdict.ts';
import type { JudgedFinding, RolloutWish, StageKind, StageOutcome } from './rollout-store.ts';

/** What an analysis says of a stage. */
export interface Assessment {
  /** Must all pass before the stage may end. */
  readonly gates: readonly Finding[];
  /** Any that fails takes the release back at once. */
  readonly rollback: readonly Finding[];
  /** Reported to people; never a reason to go back. */
  readonly investigate: readonly Finding[];
  /** Declared requests that are to be answered for it before the next look; left out: none. */
  readonly toSend?: number;
}

/** A stage as its step sees it. All times are milliseconds. */
export interface StageRules {
  readonly kind: StageKind;
  /** The least time at this weight. */
  readonly duration: number;
  /** How much longer it may take to become conclusive. */
  readonly patience: number;
}

export interface StageState {
  readonly wish: RolloutWish;
  readonly promoted: string | null;
  /** Milliseconds that it was watched. */
  readonly held: number;
  readonly assessment: Assessment;
}

export type Decision =
  | { readonly do: 'hold'; readonly waiting: string }
  | { readonly do: 'advance'; readonly outcome: Extract<StageOutcome, 'passed' | 'promoted'> }
  | {
      readonly do: 'back';
      readonly outcome: Extract<StageOutcome, 'failed' | 'inconclusive' | 'aborted'>;
      readonly code: ErrorCode;
      readonly why: string;
    };

/**
 * What to do with a stage. Pure. A failure goes before every wish but the one to go back: nobody promotes a release that
 * is proven bad. Nothing passes without data; only a person may pass it (DESIGN §1.4).
 */
export function decide(rules: StageRules, state: StageState): Decision {
  const { gates, rollback } = state.assessment;
  if (state.wish === 'abort')
    return { do: 'back', outcome: 'aborted', code: 'rollout_aborted', why: 'it was called off' };
  const bad = failing(rollback);
  if (bad.length > 0) return { do: 'back', outcome: 'failed', code: 'rollout_failed', why: sentence(bad) };
  if (state.promoted !== null || state.wish === 'finish') return { do: 'advance', outcome: 'promoted' };
  if (state.wish === 'pause') return { do: 'hold', waiting: 'paused; appliance resume goes on' };
  const left = rules.duration - state.held;
  const open = [...gates.filter(({ verdict }) => verdict !== 'pass'), ...rollback.filter(wantsSamples)];
  if (left > 0)
    return { do: 'hold', waiting: `${durationText(left)} to go${open.length > 0 ? `; ${sentence(open)}` : ''}` };
  if (open.length === 0 && gates.length > 0) return { do: 'advance', outcome: 'passed' };
  if (state.held < rules.duration + rules.patience)
    return {
      do: 'hold',
      waiting: `${sentence(open) || 'there is nothing to judge it by'}; appliance promote passes it by hand`,
    };
  const failed = failing(open).length > 0;
  return {
    do: 'back',
    outcome: failed ? 'failed' : 'inconclusive',
    code: failed ? 'rollout_failed' : 'verdict_inconclusive',
    why: `after ${formatDuration(state.held)} there is still no pass: ${sentence(open)}`,
  };
}

/** All findings of an assessment, each with what hangs on it. */
export function judgedFindings({ gates, rollback, investigate }: Assessment): JudgedFinding[] {
  return [
    ...gates.map((finding) => ({ ...finding, role: 'gate' as const })),
    ...rollback.map((finding) => ({ ...finding, role: 'rollback' as const })),
    ...investigate.map((finding) => ({ ...finding, role: 'investigate' as const })),
  ];
}

/** The verdict on a stage as a whole. What is only to be investigated has no say in it. */
export function verdictOfStage(findings: readonly JudgedFinding[]): Finding['verdict'] {
  return combine(findings.filter(({ role }) => role !== 'investigate').map(({ verdict }) => verdict));
}

function failing(findings: readonly Finding[]): Finding[] {
  return findings.filter(({ verdict }) => verdict === 'fail');
}

/** A trigger that more requests would make conclusive. One whose source is absent is reported, but no wait can help it. */
function wantsSamples({ verdict, needed }: Finding): boolean {
  return verdict === 'inconclusive' && needed !== undefined && needed > 0;
}

/** `S2-13: errors 4.2 % (expected at most 1 %)`, joined. */
function sentence(findings: readonly Finding[]): string {
  return findings
    .map(({ id, observed, expected, verdict, hint }) => {
      const limit = expected === undefined ? '' : ` (expected ${expected})`;
      return `${id}: ${observed}${limit}${verdict === 'inconclusive' && hint !== undefined ? `, ${hint}` : ''}`;
    })
    .join('; ');
}
