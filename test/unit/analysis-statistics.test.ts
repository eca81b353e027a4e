import { describe, expect, test } from 'vitest';
import {
  atMostHits,
  incompleteBeta,
  logGamma,
  studentQuantile,
} from '../../src/capabilities/checks/analysis/distributions.ts';
import {
  compareShare,
  samplesNeeded,
  samplesWithoutHit,
  shareBounds,
} from '../../src/capabilities/checks/analysis/share.ts';
import { histogramOf, latencyEdges, quantileOf, slowerThan } from '../../src/lib/histogram.ts';
import { random } from '../support/random.ts';

/** The textbook sum, for numbers at which it is exact enough. */
function binomialSum(hits: number, of: number, share: number): number {
  let term = (1 - share) ** of;
  let sum = term;
  for (let k = 1; k <= hits; k += 1) {
    term *= ((of - k + 1) / k) * (share / (1 - share));
    sum += term;
  }
  return sum;
}

describe('distributions', () => {
  test('ln Γ of whole numbers is the logarithm of a factorial', () => {
    let factorial = 1;
    for (let n = 1; n <= 20; n += 1) {
      expect(logGamma(n)).toBeCloseTo(Math.log(factorial), 10);
      factorial *= n;
    }
    expect(logGamma(0.5)).toBeCloseTo(Math.log(Math.sqrt(Math.PI)), 12);
  });

  test('the binomial distribution equals the sum of its terms', () => {
    const next = random(1);
    for (let round = 0; round < 300; round += 1) {
      const of = 1 + Math.floor(next() * 300);
      const hits = Math.floor(next() * of);
      const share = 0.001 + next() * 0.9;
      expect(atMostHits(hits, of, share)).toBeCloseTo(binomialSum(hits, of, share), 8);
    }
  });

  test('I_x(a, b) is a distribution: from 0 to 1, rising, symmetric', () => {
    const next = random(2);
    for (let round = 0; round < 300; round += 1) {
      const [a, b, x] = [0.1 + next() * 500, 0.1 + next() * 500, next()];
      const value = incompleteBeta(x, a, b);
      expect(value).toBeGreaterThanOrEqual(0);
      expect(value).toBeLessThanOrEqual(1 + 1e-12);
      expect(incompleteBeta(Math.min(1, x + 0.01), a, b)).toBeGreaterThanOrEqual(value - 1e-12);
      expect(1 - incompleteBeta(1 - x, b, a)).toBeCloseTo(value, 10);
    }
  });

  test.each([
    [0.95, 10, 1.812461],
    [0.975, 4, 2.776445],
    [0.95, 1_000_000, 1.644854],
    [0.999, 29, 3.39624],
  ])('Student quantile %f with %i degrees is %f', (confidence, degrees, value) => {
    expect(studentQuantile(confidence, degrees)).toBeCloseTo(value, 4);
  });
});

describe('shares', () => {
  const figures: [number, number][] = [
    [0.1, 29],
    [0.05, 59],
    [0.02, 149],
    [0.01, 299],
    [0.005, 598],
    [0.001, 2_995],
  ];

  test.each(figures)('zero errors prove a rate below %f from %i requests on', (limit, requests) => {
    expect(samplesWithoutHit(limit, 0.95)).toBe(requests);
    expect(compareShare(0, requests, limit, 0.95)).toBe('less');
    expect(compareShare(0, requests - 1, limit, 0.95)).toBeNull();
    expect(samplesNeeded(0, 0, limit, 0.95)).toBe(requests);
    expect(samplesNeeded(0, requests - 150 > 0 ? requests - 150 : 1, limit, 0.95)).toBe(Math.min(150, requests - 1));
  });

  test.each([
    [1, 10, 0.95, 0.005116, 0.394163],
    [5, 100, 0.975, 0.016432, 0.112835],
    [0, 20, 0.95, 0, 0.139108],
    [20, 20, 0.95, 0.860892, 1],
  ])('the exact bounds of %i in %i at %f', (hits, of, confidence, low, high) => {
    expect(shareBounds(hits, of, confidence).low).toBeCloseTo(low, 5);
    expect(shareBounds(hits, of, confidence).high).toBeCloseTo(high, 5);
  });

  test('bounds surround what was seen, and narrow with more requests and less confidence', () => {
    const next = random(3);
    for (let round = 0; round < 300; round += 1) {
      const of = 1 + Math.floor(next() * 5_000);
      const hits = Math.floor(next() * (of + 1));
      const { low, high } = shareBounds(hits, of, 0.95);
      expect(low).toBeLessThanOrEqual(hits / of + 1e-9);
      expect(high).toBeGreaterThanOrEqual(hits / of - 1e-9);
      const more = shareBounds(hits * 4, of * 4, 0.95);
      expect(more.high - more.low).toBeLessThanOrEqual(high - low + 1e-9);
      const surer = shareBounds(hits, of, 0.999);
      expect(surer.low).toBeLessThanOrEqual(low + 1e-9);
      expect(surer.high).toBeGreaterThanOrEqual(high - 1e-9);
    }
  });

  test('what is said to be needed is enough, and nearly the least', () => {
    const next = random(4);
    for (let round = 0; round < 300; round += 1) {
      const limit = 0.001 + next() * 0.2;
      const of = 1 + Math.floor(next() * 2_000);
      const hits = Math.min(of, Math.floor(next() * of * limit * 2));
      const needed = samplesNeeded(hits, of, limit, 0.95);
      if (needed === undefined) continue;
      const rate = hits / of;
      const after = (total: number) =>
        compareShare(rate < limit ? Math.ceil(rate * total) : Math.floor(rate * total), total, limit, 0.95);
      if (needed === 0) expect(compareShare(hits, of, limit, 0.95)).not.toBeNull();
      else expect(hits === 0 ? compareShare(0, of + needed, limit, 0.95) : after(of + needed)).not.toBeNull();
    }
  });

  test('a release that just meets the limit is called bad in no more than one in twenty', () => {
    const next = random(5);
    let wrong = 0;
    for (let round = 0; round < 2_000; round += 1) {
      let hits = 0;
      for (let request = 0; request < 400; request += 1) if (next() < 0.02) hits += 1;
      if (compareShare(hits, 400, 0.02, 0.95) === 'greater') wrong += 1;
    }
    expect(wrong / 2_000).toBeLessThan(0.05 + 0.015);
  });
});

describe('histograms', () => {
  test('limits of policies are ends of classes, own ones too, so counts beyond them are exact', () => {
    const edges = latencyEdges([0.257]);
    for (const limit of [0.1, 0.12, 0.15, 0.2, 0.257, 0.3, 0.5, 1]) expect(edges).toContain(limit);
    const next = random(6);
    const times = Array.from({ length: 5_000 }, () => Math.round(next() ** 3 * 2_000) / 1_000);
    const histogram = histogramOf(times, edges);
    for (const limit of [0.1, 0.12, 0.257, 0.5])
      expect(slowerThan(histogram, limit)).toBe(times.filter((time) => time > limit).length);
  });

  test('quantiles are within a tenth of the true ones', () => {
    const next = random(7);
    const times = Array.from({ length: 20_000 }, () => Math.round((0.005 + next() ** 4 * 3) * 1_000) / 1_000);
    const histogram = histogramOf(times);
    const sorted = [...times].sort((a, b) => a - b);
    for (const share of [0.5, 0.95, 0.99]) {
      const truth = sorted[Math.ceil(share * times.length) - 1] ?? 0;
      expect(Math.abs((quantileOf(histogram, share) ?? 0) - truth)).toBeLessThanOrEqual(truth * 0.1 + 0.001);
    }
    expect(quantileOf(histogramOf([]), 0.95)).toBeUndefined();
  });
});
