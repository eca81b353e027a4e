import { metricOf } from '../../../config/metrics.ts';
import type { PolicyRule } from '../../../config/policy.ts';
import { type Measurement, sumOf, syntheticOf, type Window } from '../../../lib/measurement.ts';
import { durationText } from '../../../lib/units.ts';
import type { Finding } from '../../../lib/verdict.ts';
import { estimateChange } from './change.ts';
import { type Certainty, type Estimate, estimate } from './estimate.ts';
import { limitOf } from './limit.ts';
import type { RuleRole, Windows } from './windows.ts';
import { expectationText, needText, valueText } from './words.ts';

/** A window and what was seen in it, of the release and, where a rule compares, of the release before it. */
export interface Sample {
  readonly window: Window;
  readonly seen: Measurement;
  readonly baseline?: Measurement | undefined;
}

/**
 * How sure a verdict must be where the policy does not say. A trigger is looked at again and again, and being wrong once
 * in twenty looks would take back every release.
 */
const confidence: Readonly<Record<RuleRole, number>> = { gate: 0.95, rollback: 0.999, investigate: 0.95 };

/**
 * The verdict on one rule. Pure: everything that was measured comes in. A gate passes when its limit holds; a trigger, or
 * what is only investigated, fails when it does. Without data neither happens.
 * @param samples one for each of `windows.windows`, in the same order
 * @param coming declared requests a second that come beside those of users, while samples are missing
 */
export function judge(
  rule: PolicyRule,
  role: RuleRole,
  windows: Windows,
  samples: readonly Sample[],
  coming = 0,
): Finding {
  const estimates = samples.map((sample) => look(rule, role, windows, sample));
  const answer = windows.mode === 'any' ? anyOf(estimates) : brokenRow(rule, role, windows, samples, estimates);
  const verdict = answer.holds === null ? 'inconclusive' : answer.holds === (role === 'gate') ? 'pass' : 'fail';
  const { needed } = answer;
  const hint =
    verdict === 'inconclusive' ? reason(rule, windows, answer, rateOf(samples, estimates, answer) + coming) : undefined;
  return {
    id: rule.id,
    verdict,
    observed: observedText(rule, windows, answer, estimates),
    expected: expectationText(rule, role === 'gate'),
    samples: answer.samples,
    ...(verdict === 'inconclusive' && needed !== undefined && needed > 0 ? { needed } : {}),
    ...(hint === undefined ? {} : { hint }),
  };
}

function look(rule: PolicyRule, role: RuleRole, windows: Windows, { seen, baseline }: Sample): Estimate {
  const limit = limitOf(rule);
  const sure = rule.confidence ?? confidence[role];
  if (rule.against !== undefined) {
    const other = baseline ?? { kind: 'none', why: 'there is no release to compare with' };
    return estimateChange(rule.metric, limit, seen, other, sure);
  }
  const isRow = windows.mode === 'every' && (role !== 'gate' || rule.over !== undefined);
  const certainty: Certainty = isRow ? { kind: 'plain' } : { kind: 'proof', confidence: sure };
  const answer = estimate(rule.metric, limit, seen, certainty);
  // That a trigger has not fired needs no more certainty than a gate.
  if (answer.holds === null && role !== 'gate' && certainty.kind === 'proof') {
    const relaxed = estimate(rule.metric, limit, seen, { kind: 'proof', confidence: confidence.gate });
    if (relaxed.holds === false) return relaxed;
    if (relaxed.needed !== undefined && relaxed.needed > 0) return { ...answer, needed: relaxed.needed };
  }
  return answer;
}

/** One is enough; otherwise what the whole time says. */
function anyOf(estimates: readonly Estimate[]): Estimate {
  return estimates.find((one) => one.holds === true) ?? estimates[0] ?? nothing;
}

/**
 * A row of windows. Where single ones have too few requests to see a percentile, all of them together may still show that
 * the row is broken: a share that is beyond the limit in each of them is beyond it in their sum.
 */
function brokenRow(
  rule: PolicyRule,
  role: RuleRole,
  windows: Windows,
  samples: readonly Sample[],
  estimates: readonly Estimate[],
): Estimate {
  const row = everyOf(estimates, windows.missing);
  const [first, last] = [samples[0], samples.at(-1)];
  if (row.holds !== null || role === 'gate' || rule.against !== undefined || !first || !last) return row;
  const window = { from: first.window.from, to: last.window.to };
  const together = look(rule, role, windows, { window, seen: sumOf(samples.map(({ seen }) => seen)) });
  return together.holds === false ? together : row;
}

/** All of them, without a gap and over the whole time. */
function everyOf(estimates: readonly Estimate[], missing: number): Estimate {
  const [first] = estimates;
  if (!first) return nothing;
  const broken = estimates.find((one) => one.holds === false);
  if (broken) return broken;
  const open = estimates.filter((one) => one.holds === null);
  if (open.length === 0) {
    const newest = estimates.at(-1) ?? first;
    return missing > 0 ? { ...newest, holds: null, needed: undefined } : newest;
  }
  const worst = open.reduce((a, b) => ((b.needed ?? 0) > (a.needed ?? 0) ? b : a));
  return { ...worst, holds: null };
}

const nothing: Estimate = { holds: null, value: null, basis: 'nothing was measured yet', samples: 0 };

function observedText(rule: PolicyRule, { mode }: Windows, answer: Estimate, all: readonly Estimate[]): string {
  const name = rule.metric.replaceAll('-', ' ');
  if (answer.value === null) return `${name}: ${answer.basis}`;
  const value = valueText(rule.metric, answer.value, rule.against !== undefined);
  const row =
    mode === 'every' && all.length > 1 ? `, beyond in ${all.filter(isTrue).length} of ${all.length} windows` : '';
  return `${name} ${value} (${answer.basis}${row})`;
}

function isTrue({ holds }: Estimate): boolean {
  return holds === true;
}

function reason(rule: PolicyRule, { missing }: Windows, answer: Estimate, perSecond: number): string | undefined {
  const { source } = metricOf(rule.metric);
  if (answer.needed !== undefined && answer.needed > 0)
    return needText(answer.needed, perSecond, source === 'edge' ? 'request' : 'sample');
  if (missing > 0) return `watched for too short a time, ${durationText(missing)} to go`;
  if (answer.samples > 0) return 'too close to the limit for any number of requests to settle it';
  return undefined;
}

/** Samples that come in a second without our doing, by the window that the answer is from. */
function rateOf(samples: readonly Sample[], estimates: readonly Estimate[], answer: Estimate): number {
  const index = Math.max(
    0,
    estimates.findIndex((one) => one.basis === answer.basis),
  );
  const sample = samples[index];
  const seconds = sample ? (sample.window.to - sample.window.from) / 1_000 : 0;
  return sample && seconds > 0 ? Math.max(0, answer.samples - syntheticOf(sample.seen)) / seconds : 0;
}
