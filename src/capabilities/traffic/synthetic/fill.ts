/** Milliseconds, or a share of the stage, after which it is known how many requests users send. */
const known = { most: 10_000, share: 0.1 } as const;

/** A stage as whoever fills it up sees it. Times are milliseconds. */
export interface Shortage {
  /** Requests that its verdicts lack. */
  readonly lacking: number;
  /** Requests of users that the new release gets in a second. */
  readonly perSecond: number;
  /** How long it was watched, and the least time that is left. */
  readonly held: number;
  readonly left: number;
}

/**
 * How many declared requests are to be answered before the next look. Only what users will not send themselves in the time
 * that the stage takes anyway; when that is over, all that is missing. Pure.
 */
export function requestsToSend({ lacking, perSecond, held, left }: Shortage): number {
  if (lacking <= 0 || held < Math.min(known.most, (held + left) * known.share)) return 0;
  return Math.max(0, Math.ceil(lacking - (perSecond * left) / 1_000));
}
