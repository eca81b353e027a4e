import { setTimeout as delay } from 'node:timers/promises';

/** Time comes in as an argument, so a test can run twenty hours in a second. All values are milliseconds. */
export interface Clock {
  /** Milliseconds since 1970, UTC. For records. */
  now(): number;
  /** Milliseconds from an arbitrary start, never set back. For durations and deadlines. */
  monotonic(): number;
  /** Resolves after `ms` milliseconds; rejects with the signal's reason when it aborts. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  sleep: async (ms, signal) => {
    await delay(ms, undefined, signal ? { signal } : {});
  },
};

/** RFC 3339 in UTC, as CONTRACT asks of every time. */
export function timestamp(ms: number): string {
  return new Date(ms).toISOString();
}
