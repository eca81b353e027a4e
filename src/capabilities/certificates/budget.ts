const hour = 3_600_000;
const week = 7 * 24 * hour;

/** What the authority counts, too. Times are milliseconds since 1970. */
export interface Spent {
  /** When certificates of exactly these names were issued. */
  readonly issued: readonly number[];
  /** Name → when its validations failed. */
  readonly failed: ReadonlyMap<string, readonly number[]>;
  /** Until when the authority wants to be left alone (`Retry-After`). */
  readonly retryAt: number | undefined;
}

export interface Limits {
  /** 0: none. */
  readonly certificatesPerWeek: number;
  /** 0: none. */
  readonly failuresPerHour: number;
}

export type Allowance =
  | { readonly allowed: true }
  | { readonly allowed: false; readonly until: number; readonly why: string };

/**
 * Whether an attempt may be spent now: the authority has not asked for a pause, and its weekly limit for the same names
 * and its hourly one for failed validations (letsencrypt.org/docs/rate-limits) leave room. Pure.
 */
export function allowance(spent: Spent, limits: Limits, now: number): Allowance {
  if (spent.retryAt !== undefined && spent.retryAt > now)
    return {
      allowed: false,
      until: spent.retryAt,
      why: 'the authority asked to be left alone until then (Retry-After)',
    };
  const { certificatesPerWeek: perWeek, failuresPerHour: perHour } = limits;
  const issued = freeAt(spent.issued, perWeek, week, now);
  if (issued !== undefined)
    return { allowed: false, until: issued, why: `${perWeek} certificates of these names were issued within 7 days` };
  for (const [name, times] of spent.failed) {
    const failed = freeAt(times, perHour, hour, now);
    if (failed !== undefined)
      return { allowed: false, until: failed, why: `${perHour} validations of ${name} failed within an hour` };
  }
  return { allowed: true };
}

/** When the first of too many leaves the sliding window; undefined when there is room now. */
function freeAt(times: readonly number[], limit: number, period: number, now: number): number | undefined {
  if (limit === 0) return undefined;
  // A clock that was set back must not lock anybody out for longer than the window.
  const within = times.filter((at) => at > now - period && at <= now + period).sort((a, b) => a - b);
  const oldest = within.at(-limit);
  return oldest === undefined ? undefined : Math.min(oldest, now) + period;
}
