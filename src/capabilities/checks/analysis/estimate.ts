import { type MetricName, metricOf } from '../../../config/metrics.ts';
import { type Histogram, quantileOf, slowerThan } from '../../../lib/histogram.ts';
import { type Measurement, syntheticOf } from '../../../lib/measurement.ts';
import { studentQuantile } from './distributions.ts';
import { edgeOf, holds, type Limit, type Range } from './limit.ts';
import { compareShare, samplesNeeded, samplesWithoutHit, shareBounds } from './share.ts';

/** Answers below which a mean says nothing. */
const fewestForMean = 30;

/** What one measurement says about a limit. */
export interface Estimate {
  /** Whether the limit holds; null when it cannot be said yet, or not at all. */
  readonly holds: boolean | null;
  /** The value that was seen; null without data. */
  readonly value: number | null;
  /** What it rests on, in numbers: `21 of 500 requests`. */
  readonly basis: string;
  readonly samples: number;
  /** Samples that are missing; undefined when more of them would not help. */
  readonly needed?: number | undefined;
}

/**
 * How sure one must be. `proof`: a value must be proven to be on one side of the limit. `plain`: the value as it was seen
 * counts, once there are enough samples to see it at all; that is how "for 5 consecutive minutes" is meant.
 */
export type Certainty = { readonly kind: 'proof'; readonly confidence: number } | { readonly kind: 'plain' };

/** Confidence with which a percentile can be seen at all: no verdict on one, good or bad, rests on fewer requests. */
const plainConfidence = 0.95;

export function estimate(metric: MetricName, limit: Limit, seen: Measurement, certainty: Certainty): Estimate {
  const answer = estimateOf(metric, limit, seen, certainty);
  const synthetic = syntheticOf(seen);
  return synthetic === 0 ? answer : { ...answer, basis: `${answer.basis}, ${synthetic} of all synthetic` };
}

function estimateOf(metric: MetricName, limit: Limit, seen: Measurement, certainty: Certainty): Estimate {
  switch (seen.kind) {
    case 'none':
      return { holds: null, value: null, basis: seen.why, samples: 0 };
    case 'share':
      return ofShare(seen.hits, seen.of, limit, certainty);
    case 'times': {
      const { quantile } = metricOf(metric);
      return quantile === undefined
        ? ofMean(seen.times, limit, certainty)
        : ofPercentile(seen.times, quantile, limit, certainty);
    }
    case 'events': {
      const range = { low: seen.count, high: seen.count, estimate: seen.count };
      const basis = seen.about ?? `${seen.count} times`;
      return { holds: holds(limit, range), value: seen.count, basis, samples: 1 };
    }
    case 'value':
      return ofValue(seen, limit, certainty);
  }
}

function ofShare(hits: number, of: number, limit: Limit, certainty: Certainty): Estimate {
  const basis = `${hits} of ${of} requests`;
  const edge = edgeOf(limit);
  if (of === 0) return { holds: null, value: null, basis: 'no requests', samples: 0, needed: fewest(edge, certainty) };
  const share = hits / of;
  if (certainty.kind === 'plain') {
    const range = { low: share, high: share, estimate: share };
    return { holds: holds(limit, range), value: share, basis, samples: of };
  }
  const { confidence } = certainty;
  const answer = provenShare(hits, of, limit, confidence);
  if (answer !== null) return { holds: answer, value: share, basis, samples: of };
  return { holds: null, value: share, basis, samples: of, needed: samplesNeeded(hits, of, edge, confidence) };
}

function provenShare(hits: number, of: number, limit: Limit, confidence: number): boolean | null {
  if (typeof limit.bound !== 'number')
    return holds(limit, { ...shareBounds(hits, of, confidence), estimate: hits / of });
  const compared = compareShare(hits, of, limit.bound, confidence);
  return compared === null ? null : isAbove(limit) === (compared === 'greater');
}

function fewest(share: number, certainty: Certainty): number {
  if (certainty.kind === 'plain' || share <= 0 || share >= 1) return 1;
  return samplesWithoutHit(share, certainty.confidence);
}

/**
 * A percentile is less than a limit exactly when a certain share of the requests is slower than it, so the proof is the
 * one of a share: at 95 % it takes 59 requests for a p95 and 299 for a p99.
 */
function ofPercentile(times: Histogram, quantile: number, limit: Limit, certainty: Certainty): Estimate {
  const { count } = times;
  const tail = 1 - quantile;
  const value = quantileOf(times, quantile) ?? null;
  const least = samplesWithoutHit(tail, plainConfidence);
  const basis = `${count} requests`;
  if (value === null) return { holds: null, value, basis: 'no requests', samples: 0, needed: least };
  // Two slow answers of two would prove a p99 to be slow, and be no more than a program that warms up.
  if (count < least) return { holds: null, value, basis, samples: count, needed: least - count };
  if (certainty.kind === 'plain' || typeof limit.bound !== 'number') {
    const slow = typeof limit.bound === 'number' ? slowerThan(times, limit.bound) / count : undefined;
    const answer = slow === undefined ? holds(limit, exactly(value)) : isAbove(limit) === slow > tail;
    return { holds: answer, value, basis, samples: count };
  }
  const slow = slowerThan(times, limit.bound);
  const numbers = `${slow} of ${count} requests slower than the limit`;
  const compared = compareShare(slow, count, tail, certainty.confidence);
  if (compared !== null)
    return { holds: isAbove(limit) === (compared === 'greater'), value, basis: numbers, samples: count };
  const needed = samplesNeeded(slow, count, tail, certainty.confidence);
  return { holds: null, value, basis: numbers, samples: count, needed };
}

function ofMean({ count, sum, squares }: Histogram, limit: Limit, certainty: Certainty): Estimate {
  const basis = `${count} requests`;
  if (count === 0) return { holds: null, value: null, basis: 'no requests', samples: 0, needed: fewestForMean };
  const mean = sum / count;
  if (count < fewestForMean) return { holds: null, value: mean, basis, samples: count, needed: fewestForMean - count };
  if (certainty.kind === 'plain') return { holds: holds(limit, exactly(mean)), value: mean, basis, samples: count };
  const deviation = deviationOf({ count, sum, squares });
  const t = studentQuantile(certainty.confidence, count - 1);
  const error = (t * deviation) / Math.sqrt(count);
  const answer = holds(limit, { low: mean - error, high: mean + error, estimate: mean });
  if (answer !== null) return { holds: answer, value: mean, basis, samples: count };
  const distance = Math.abs(edgeOf(limit) - mean);
  const total = distance === 0 ? undefined : Math.ceil(((t * deviation) / distance) ** 2);
  const needed = total === undefined || total > 1e8 ? undefined : Math.max(1, total - count);
  return { holds: null, value: mean, basis, samples: count, needed };
}

/** A value that goes up and down holds for a window only when it holds for all of it. */
function ofValue(seen: Measurement & { kind: 'value' }, limit: Limit, certainty: Certainty): Estimate {
  const { last, least, most, samples } = seen;
  if (samples === 0 || !Number.isFinite(last))
    return { holds: null, value: null, basis: 'no samples', samples: 0, needed: 1 };
  const basis = `${samples} ${samples === 1 ? 'sample' : 'samples'}`;
  const answer =
    certainty.kind === 'proof'
      ? holds(limit, exactly(last))
      : holds(limit, exactly(least)) === true && holds(limit, exactly(most)) === true;
  return { holds: answer, value: last, basis, samples };
}

export function deviationOf({ count, sum, squares }: Pick<Histogram, 'count' | 'sum' | 'squares'>): number {
  return count < 2 ? 0 : Math.sqrt(Math.max(0, squares - (sum * sum) / count) / (count - 1));
}

export function exactly(value: number): Range {
  return { low: value, high: value, estimate: value };
}

function isAbove({ word }: Limit): boolean {
  return word === 'above' || word === 'atLeast';
}
