import { formatBytes, formatDuration } from '../../lib/units.ts';
import type { AlertDraft } from './own-alerts.ts';

export interface DiskSample {
  /** Milliseconds since 1970. */
  readonly at: number;
  readonly freeBytes: number;
}

/** Milliseconds that the samples must span before they say anything. */
const leastSpan = 30 * 60_000;
const leastSamples = 10;
const day = 86_400_000;
const hour = 3_600_000;

/**
 * When the disk will be full, by the straight line through the samples (least squares). Pure.
 * @returns milliseconds from the last sample; null when it does not fill up, or too little is known
 */
export function timeUntilFull(samples: readonly DiskSample[]): number | null {
  const [first, last] = [samples[0], samples.at(-1)];
  if (!first || !last || samples.length < leastSamples || last.at - first.at < leastSpan) return null;
  const meanTime = mean(samples.map(({ at }) => at - first.at));
  const meanFree = mean(samples.map(({ freeBytes }) => freeBytes));
  const covariance = sum(samples.map(({ at, freeBytes }) => (at - first.at - meanTime) * (freeBytes - meanFree)));
  const variance = sum(samples.map(({ at }) => (at - first.at - meanTime) ** 2));
  const bytesPerMs = covariance / variance;
  return bytesPerMs < 0 ? last.freeBytes / -bytesPerMs : null;
}

/** The alert that a forecast calls for: full within a day is a warning, within four hours critical. */
export function diskAlert(samples: readonly DiskSample[], directory: string): AlertDraft | null {
  const left = timeUntilFull(samples);
  const free = samples.at(-1)?.freeBytes;
  if (left === null || free === undefined || left > day) return null;
  return {
    name: 'DiskFillsUp',
    severity: left < 4 * hour ? 'critical' : 'warning',
    summary: `the disk below ${directory} will be full in ${formatDuration(left)} at this rate (${formatBytes(free)} free)`,
    hint: 'appliance releases prune',
  };
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

function mean(values: readonly number[]): number {
  return sum(values) / values.length;
}
