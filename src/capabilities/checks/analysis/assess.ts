import type { Policy, PolicyRule } from '../../../config/policy.ts';
import { type MetricReader, type Subject, syntheticOf, type Window } from '../../../lib/measurement.ts';
import type { Finding } from '../../../lib/verdict.ts';
import { judge, type Sample } from './judge.ts';
import { type RuleRole, windowsOf } from './windows.ts';
import { needText } from './words.ts';

/** Milliseconds after which what happened has been written down: nginx keeps lines for up to a second. */
const settling = 2_000;

export interface AssessmentQuestion {
  readonly policy: Pick<Policy, 'gates' | 'rollback' | 'investigate'>;
  readonly candidate: Subject;
  /** What it is compared with; null where nothing was live before. */
  readonly baseline: Subject | null;
  readonly minRequests: number;
  /** Milliseconds since 1970: when the first stage began, and this one. */
  readonly rolloutSince: number;
  readonly since: number;
  readonly now: number;
  /** Whether the release has all of the traffic, so that its baseline is what was before. */
  readonly alone: boolean;
  /** What counts declared requests too, where the policy allows that, and how many of them a second are sent at most. */
  readonly filled?: { readonly measure: MetricReader; readonly perSecond: number } | undefined;
}

/** What an analysis says of a stage. */
export interface StageAssessment {
  /** Must all pass before the stage may end. */
  readonly gates: readonly Finding[];
  /** Any that fails takes the release back at once. */
  readonly rollback: readonly Finding[];
  /** Reported to people; never a reason to go back. */
  readonly investigate: readonly Finding[];
  /** Requests that declared ones may fill up: the most that any verdict lacks. */
  readonly lacking: number;
}

/** Measures what the rules of a policy ask for, and judges each. */
export async function assess(
  question: AssessmentQuestion,
  measure: MetricReader,
  signal: AbortSignal,
): Promise<StageAssessment> {
  const all = (rules: readonly PolicyRule[], role: RuleRole) =>
    Promise.all(rules.map((rule) => assessRule(rule, role, question, measure, signal)));
  const { gates, rollback, investigate } = question.policy;
  const [passed, taken, looked, enough] = await Promise.all([
    all(gates, 'gate'),
    all(rollback, 'rollback'),
    all(investigate, 'investigate'),
    requestsFinding(question, measure, signal),
  ]);
  const triggers = taken.map((finding, index) => answeredBy(gates, passed, rollback[index], finding));
  const open = [
    ...enough,
    ...passed.filter((_, index) => fillable(question, gates[index])),
    ...triggers.filter((_, index) => fillable(question, rollback[index])),
  ];
  const lacking = Math.max(0, ...open.map(({ verdict, needed }) => (verdict === 'inconclusive' ? (needed ?? 0) : 0)));
  return { gates: [...enough, ...passed], rollback: triggers, investigate: looked, lacking };
}

/**
 * Whether declared requests may speak for a rule: what they show is whether and how fast a release answers. Beside a
 * release that answers users they would compare unlike things.
 */
function fillable({ filled }: AssessmentQuestion, rule: PolicyRule | undefined): boolean {
  if (!filled || !rule || rule.against !== undefined) return false;
  return rule.metric === 'errors' || rule.metric === 'server-errors' || rule.metric.startsWith('latency-');
}

/**
 * A trigger that has too few requests to be seen does not hold a stage whose gate has proven more: with p99 below 200 ms
 * over the whole stage, it was not above 500 ms for minutes of it.
 */
function answeredBy(
  gates: readonly PolicyRule[],
  found: readonly Finding[],
  trigger: PolicyRule | undefined,
  finding: Finding,
): Finding {
  if (trigger === undefined || finding.verdict !== 'inconclusive' || finding.needed === undefined) return finding;
  const stricter = gates.find((gate, index) => found[index]?.verdict === 'pass' && provesMore(gate, trigger));
  if (!stricter) return finding;
  const { needed: _needed, hint: _hint, ...rest } = finding;
  return { ...rest, verdict: 'pass', observed: `${finding.observed}; ${stricter.id} proves more` };
}

/** Whether what passes a gate cannot be what a trigger fires at. */
function provesMore(gate: PolicyRule, trigger: PolicyRule): boolean {
  if (gate.metric !== trigger.metric || gate.against !== undefined || trigger.against !== undefined) return false;
  // A gate over the last minutes says nothing of those before them.
  if (gate.over !== undefined) return false;
  const [ceiling, floor] = [gate.below ?? gate.atMost, gate.above ?? gate.atLeast];
  const [high, low] = [trigger.above ?? trigger.atLeast, trigger.below ?? trigger.atMost];
  return (
    (ceiling !== undefined && high !== undefined && ceiling <= high) ||
    (floor !== undefined && low !== undefined && floor >= low)
  );
}

async function assessRule(
  rule: PolicyRule,
  role: RuleRole,
  question: AssessmentQuestion,
  measure: MetricReader,
  signal: AbortSignal,
): Promise<Finding> {
  const { candidate, baseline, since, filled } = question;
  const own = filled && fillable(question, rule) ? filled : { measure, perSecond: 0 };
  const windows = windowsOf(rule, role, since, settled(question));
  const samples = await Promise.all(
    windows.windows.map(async (window): Promise<Sample> => {
      const seen = await own.measure(rule.metric, candidate, window, signal);
      if (rule.against === undefined || baseline === null) return { window, seen };
      const compared = baselineWindow(window, question);
      return { window, seen, baseline: await measure(rule.metric, baseline, compared, signal) };
    }),
  );
  return judge(rule, role, windows, samples, own.perSecond);
}

/** The same time; where the release before it has no traffic any more, as much time before the rollout began. */
function baselineWindow({ from, to }: Window, { alone, rolloutSince }: AssessmentQuestion): Window {
  return alone ? { from: rolloutSince - (to - from), to: rolloutSince } : { from, to };
}

function settled({ since, now }: AssessmentQuestion): number {
  return Math.max(since, Math.floor((now - settling) / 1_000) * 1_000);
}

/** Whether the stage has had the least number of requests that it asks for. */
async function requestsFinding(
  question: AssessmentQuestion,
  measure: MetricReader,
  signal: AbortSignal,
): Promise<Finding[]> {
  const { minRequests, candidate, since, filled } = question;
  if (minRequests === 0) return [];
  const window = { from: since, to: settled(question) };
  const seen = await (filled?.measure ?? measure)('errors', candidate, window, signal);
  const samples = seen.kind === 'share' ? seen.of : 0;
  const about = { id: 'min-requests', expected: `at least ${minRequests} requests`, samples };
  if (seen.kind !== 'share')
    return [{ ...about, verdict: 'inconclusive', observed: seen.kind === 'none' ? seen.why : '' }];
  const synthetic = syntheticOf(seen);
  const observed = `${samples} requests${synthetic > 0 ? `, ${synthetic} of all synthetic` : ''}`;
  if (samples >= minRequests) return [{ ...about, verdict: 'pass', observed }];
  const seconds = (window.to - window.from) / 1_000;
  const needed = minRequests - samples;
  const perSecond = (seconds > 0 ? (samples - synthetic) / seconds : 0) + (filled?.perSecond ?? 0);
  const hint = needText(needed, perSecond, 'request');
  return [{ ...about, verdict: 'inconclusive', observed, needed, hint }];
}
