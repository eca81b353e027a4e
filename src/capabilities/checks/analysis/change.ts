import { type MetricName, metricOf } from '../../../config/metrics.ts';
import { type Histogram, quantileOf } from '../../../lib/histogram.ts';
import type { Measurement } from '../../../lib/measurement.ts';
import { studentQuantile } from './distributions.ts';
import { deviationOf, type Estimate, exactly } from './estimate.ts';
import { edgeOf, holds, type Limit, type Range } from './limit.ts';
import { samplesWithoutHit } from './share.ts';

/** Answers on either side below which a comparison says nothing. */
const fewest = 30;

/**
 * What a release and its baseline, measured alike, say about a limit on the relative change: −0.1 is a tenth less than
 * the baseline.
 */
export function estimateChange(
  metric: MetricName,
  limit: Limit,
  candidate: Measurement,
  baseline: Measurement,
  confidence: number,
): Estimate {
  if (candidate.kind === 'none') return { holds: null, value: null, basis: candidate.why, samples: 0 };
  if (baseline.kind === 'none')
    return { holds: null, value: null, basis: `no baseline: ${baseline.why}`, samples: samplesOf(candidate) };
  const samples = samplesOf(candidate);
  const basis = `${samples} against ${samplesOf(baseline)} samples of the release before it`;
  const range = changeOf(metric, candidate, baseline, confidence);
  if (typeof range === 'number') {
    const why = range > 0 ? basis : `the value of the release before it is 0, so there is no relative change`;
    return { holds: null, value: null, basis: why, samples, ...(range > 0 ? { needed: range } : {}) };
  }
  const answer = holds(limit, range);
  if (answer !== null) return { holds: answer, value: range.estimate, basis, samples };
  return { holds: null, value: range.estimate, basis, samples, needed: missing(range, edgeOf(limit), samples) };
}

/** The range of the change; or how many samples are missing; 0 when there can be no change. */
function changeOf(metric: MetricName, one: Measurement, other: Measurement, confidence: number): Range | number {
  if (one.kind === 'value' && other.kind === 'value') {
    if (one.samples === 0 || other.samples === 0) return 1;
    return other.last === 0 ? 0 : exactly(one.last / other.last - 1);
  }
  if (one.kind === 'share' && other.kind === 'share') return changeOfShare(one, other, confidence);
  if (one.kind === 'times' && other.kind === 'times') {
    const { quantile } = metricOf(metric);
    const lacking = Math.max(0, fewest - one.times.count, fewest - other.times.count);
    if (lacking > 0) return lacking;
    return quantile === undefined
      ? changeOfMean(one.times, other.times, confidence)
      : changeOfPercentile(one.times, other.times, quantile, confidence);
  }
  return 0;
}

/** Delta method on the ratio of two means. */
function changeOfMean(one: Histogram, other: Histogram, confidence: number): Range | number {
  const [mean, base] = [one.sum / one.count, other.sum / other.count];
  if (base === 0) return 0;
  const relative = (times: Histogram, value: number) =>
    value === 0 ? 0 : deviationOf(times) ** 2 / (times.count * value * value);
  const ratio = mean / base;
  const t = studentQuantile(confidence, Math.min(one.count, other.count) - 1);
  const error = t * ratio * Math.sqrt(relative(one, mean) + relative(other, base));
  return { low: ratio - error - 1, high: ratio + error - 1, estimate: ratio - 1 };
}

/** Ratio of two shares by its logarithm (Katz, 1978); half a hit is added to either side, so that none may be zero. */
function changeOfShare(
  one: Measurement & { kind: 'share' },
  other: Measurement & { kind: 'share' },
  confidence: number,
): Range | number {
  const lacking = Math.max(0, fewest - one.of, fewest - other.of);
  if (lacking > 0) return lacking;
  const [a, b] = [one.hits + 0.5, other.hits + 0.5];
  const [n, m] = [one.of + 0.5, other.of + 0.5];
  const log = Math.log(a / n / (b / m));
  const t = studentQuantile(confidence, Math.min(one.of, other.of) - 1);
  const error = t * Math.sqrt(1 / a - 1 / n + 1 / b - 1 / m);
  return { low: Math.exp(log - error) - 1, high: Math.exp(log + error) - 1, estimate: Math.exp(log) - 1 };
}

/** Both percentiles by their order statistics. */
function changeOfPercentile(one: Histogram, other: Histogram, quantile: number, confidence: number): Range | number {
  const lacking = samplesWithoutHit(1 - quantile, 0.95) - Math.min(one.count, other.count);
  if (lacking > 0) return lacking;
  const [a, b] = [quantileRange(one, quantile, confidence), quantileRange(other, quantile, confidence)];
  if (b.low <= 0 || b.estimate <= 0) return 0;
  return { low: a.low / b.high - 1, high: a.high / b.low - 1, estimate: a.estimate / b.estimate - 1 };
}

function quantileRange(times: Histogram, quantile: number, confidence: number): Range {
  const error = studentQuantile(confidence, times.count - 1) * Math.sqrt((quantile * (1 - quantile)) / times.count);
  const at = (share: number) => quantileOf(times, Math.min(1, Math.max(0, share))) ?? 0;
  return { low: at(quantile - error), high: at(quantile + error), estimate: at(quantile) };
}

/** Errors shrink with the root of the number of samples. */
function missing({ low, high, estimate }: Range, edge: number, samples: number): number | undefined {
  const distance = Math.abs(edge - estimate);
  const half = Math.max(high - estimate, estimate - low);
  if (distance === 0 || half === 0) return undefined;
  const total = Math.ceil(samples * (half / distance) ** 2);
  return total > 1e8 ? undefined : Math.max(1, total - samples);
}

function samplesOf(seen: Measurement): number {
  switch (seen.kind) {
    case 'none':
      return 0;
    case 'share':
      return seen.of;
    case 'times':
      return seen.times.count;
    case 'events':
      return 1;
    case 'value':
      return seen.samples;
  }
}
