/** What a container used at one moment. */
export interface UsageSample {
  /** Milliseconds since 1970. */
  readonly at: number;
  /** `backend-1` */
  readonly container: string;
  /** Bytes, without page cache that can be given back. */
  readonly memory: number;
  /** Seconds of processor time since it started. */
  readonly cpu: number;
}

const minute = 60_000;

/**
 * Whether containers are to be measured now: every 5 minutes in the first hour, hourly from then on. A week makes some 180
 * samples of each. Pure.
 * @param last when they were measured last; undefined: never. All times milliseconds since 1970
 */
export function sampleDue(since: number, last: number | undefined, now: number): boolean {
  // One that lies in the future was dated by a clock that has been set back since.
  if (last === undefined || last > now) return true;
  return now - last >= (now - since < 60 * minute ? 5 * minute : 60 * minute);
}

/** Samples by container. */
export function byContainer(samples: readonly UsageSample[]): Map<string, UsageSample[]> {
  const all = new Map<string, UsageSample[]>();
  for (const sample of samples) all.set(sample.container, [...(all.get(sample.container) ?? []), sample]);
  return all;
}
