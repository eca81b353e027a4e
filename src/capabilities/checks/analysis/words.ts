import { type MetricName, metricOf } from '../../../config/metrics.ts';
import type { PolicyRule } from '../../../config/policy.ts';
import { durationText, formatDuration } from '../../../lib/units.ts';
import { type Limit, limitOf } from './limit.ts';

const negated = {
  above: 'at most',
  atLeast: 'less than',
  below: 'at least',
  atMost: 'more than',
  between: 'not from',
} as const;
const plain = {
  above: 'more than',
  atLeast: 'at least',
  below: 'less than',
  atMost: 'at most',
  between: 'from',
} as const;

/** `4.2 %`, `182 ms`, `3`, `-12.0 %` for people. @param change whether it is a relative change */
export function valueText(metric: MetricName, value: number, change = false): string {
  const { unit } = metricOf(metric);
  if (change || unit === 'share') return `${change && value > 0 ? '+' : ''}${trimmed(value * 100)} %`;
  if (unit === 'seconds') return formatDuration(value * 1_000);
  return unit === 'perSecond' ? `${trimmed(value)}/s` : trimmed(value);
}

/** Up to three digits that matter. */
function trimmed(value: number): string {
  return String(Number(value.toPrecision(3)));
}

/**
 * What a rule asks for: `less than 200 ms`, `at most 1 %`. For a trigger, the contrary of what it fires at.
 * @param wanted whether the limit is what is wanted (a gate), or what is not
 */
export function expectationText(rule: PolicyRule, wanted: boolean): string {
  const limit = limitOf(rule);
  const change = rule.against !== undefined;
  const words = (wanted ? plain : negated)[limit.word];
  const time = rule.for > 0 ? ` for ${durationText(rule.for)}` : '';
  const compared = change ? ' relative to the release before it' : '';
  return `${words} ${boundText(rule.metric, limit, change)}${compared}${time}`;
}

function boundText(metric: MetricName, { bound }: Limit, change: boolean): string {
  if (typeof bound === 'number') return valueText(metric, bound, change);
  return `${valueText(metric, bound[0], change)} to ${valueText(metric, bound[1], change)}`;
}

/** `needs 149 more requests, about 3 min at this rate`. @param perSecond samples that come in a second; 0: none */
export function needText(needed: number, perSecond: number, noun: string): string {
  const words = `needs ${needed} more ${noun}${needed === 1 ? '' : 's'}`;
  if (perSecond <= 0) return `${words}; none come at the moment`;
  return `${words}, about ${durationText(Math.max(1_000, Math.ceil(needed / perSecond) * 1_000))} at this rate`;
}
