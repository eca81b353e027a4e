import { atMostHits } from './distributions.ts';

/** More requests than these are not waited for. */
const mostSamples = 100_000_000;

/** Where a share lies with a given confidence on either side; both ends from 0 to 1. */
export interface Bounds {
  readonly low: number;
  readonly high: number;
}

/** Exact one-sided bounds of a share (Clopper and Pearson, 1934). */
export function shareBounds(hits: number, of: number, confidence: number): Bounds {
  if (of === 0) return { low: 0, high: 1 };
  const risk = 1 - confidence;
  return {
    low: hits === 0 ? 0 : bisect((share) => 1 - atMostHits(hits - 1, of, share) < risk),
    high: hits === of ? 1 : bisect((share) => atMostHits(hits, of, share) > risk),
  };
}

/** The greatest share for which a condition holds that holds below it and not above it. */
function bisect(holds: (share: number) => boolean): number {
  let [low, high] = [0, 1];
  for (let step = 0; step < 50; step += 1) {
    const middle = (low + high) / 2;
    if (holds(middle)) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}

/** Whether a share is proven to be less than a limit, greater than it, or neither. */
export function compareShare(hits: number, of: number, limit: number, confidence: number): 'less' | 'greater' | null {
  if (of === 0) return null;
  const risk = 1 - confidence;
  if (atMostHits(hits, of, limit) <= risk) return 'less';
  return hits > 0 && 1 - atMostHits(hits - 1, of, limit) <= risk ? 'greater' : null;
}

/** Requests without one hit that prove a share to be less than a limit: 299 for 1 % at 95 %. */
export function samplesWithoutHit(limit: number, confidence: number): number {
  return Math.ceil(Math.log(1 - confidence) / Math.log1p(-limit) - 1e-9);
}

/**
 * How many more requests settle whether a share is less or greater than a limit, if hits go on at the rate so far.
 * @returns undefined when no number does: the share is just about the limit
 */
export function samplesNeeded(hits: number, of: number, limit: number, confidence: number): number | undefined {
  if (compareShare(hits, of, limit, confidence) !== null) return 0;
  if (hits === 0) return Math.max(1, samplesWithoutHit(limit, confidence) - of);
  const rate = hits / of;
  const settled = (total: number): boolean => {
    // Rounded towards the limit, so that the estimate is not too hopeful.
    const expected = rate < limit ? Math.ceil(rate * total) : Math.floor(rate * total);
    return compareShare(expected, total, limit, confidence) !== null;
  };
  let high = Math.max(of, 1);
  while (!settled(high)) {
    high *= 2;
    if (high > mostSamples) return undefined;
  }
  let low = Math.max(of, high / 2);
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    if (settled(middle)) high = middle;
    else low = middle;
  }
  return Math.max(1, high - of);
}
