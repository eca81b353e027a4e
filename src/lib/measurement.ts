import { addHistograms, type Histogram } from './histogram.ts';

/** A span of time in milliseconds since 1970; `to` is no longer part of it. */
export interface Window {
  readonly from: number;
  readonly to: number;
}

/** What was seen of a metric within a window. */
export type Measurement =
  /** Nothing can be said; never a reason to pass (DESIGN §1.4). */
  | { readonly kind: 'none'; readonly why: string }
  /** `hits` of `of` requests, of which so many were declared ones and not those of users. */
  | { readonly kind: 'share'; readonly hits: number; readonly of: number; readonly synthetic?: number }
  | { readonly kind: 'times'; readonly times: Histogram; readonly synthetic?: number }
  /** What happened how often, in a window that was watched as a whole. */
  | { readonly kind: 'events'; readonly count: number; readonly about?: string | undefined }
  /** A value that goes up and down. */
  | {
      readonly kind: 'value';
      readonly last: number;
      readonly least: number;
      readonly most: number;
      readonly samples: number;
    };

/** A release as it is measured. */
export interface Subject {
  readonly tag: string;
  readonly colour: 'blue' | 'green';
}

/** Measures one kind of metric. What it cannot see is `none` with the reason; it throws only when the signal aborts. */
export type MetricReader = (
  metric: string,
  subject: Subject,
  window: Window,
  signal: AbortSignal,
) => Promise<Measurement>;

/** What was seen in several windows together; `none` where they cannot be added up. */
export function sumOf(all: readonly Measurement[]): Measurement {
  return all.reduce((one, other): Measurement => {
    if (one.kind === 'share' && other.kind === 'share')
      return { kind: 'share', hits: one.hits + other.hits, of: one.of + other.of, ...declared(one, other) };
    if (one.kind === 'times' && other.kind === 'times')
      return { kind: 'times', times: addHistograms(one.times, other.times), ...declared(one, other) };
    return { kind: 'none', why: 'these windows cannot be added up' };
  });
}

/** Declared requests among those of a measurement. */
export function syntheticOf(seen: Measurement): number {
  return seen.kind === 'share' || seen.kind === 'times' ? (seen.synthetic ?? 0) : 0;
}

function declared(one: Measurement, other: Measurement): { readonly synthetic?: number } {
  const synthetic = syntheticOf(one) + syntheticOf(other);
  return synthetic === 0 ? {} : { synthetic };
}
