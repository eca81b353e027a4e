import { createHash } from 'node:crypto';
import { addDays, instantOf, type LocalDay, localDay, weekdayOf } from './local-time.ts';

/** When a job is to run, by the clock on the wall of a zone. */
export interface Schedule {
  /** Minutes since midnight, ascending; each is a run of its own. */
  readonly at: readonly number[];
  /** 0 Sunday to 6 Saturday; every day when absent. */
  readonly weekday?: number | undefined;
  /** Milliseconds by which runs are spread at most, so that many hosts do not come at once. */
  readonly jitter?: number | undefined;
}

/** One planned run: the local day that it belongs to, and when it is due. */
export interface Slot {
  /** `2026-03-29`; of several runs a day `2026-03-29/2`. What has run is known by it, whatever the clock says later. */
  readonly key: string;
  /** Milliseconds since 1970. */
  readonly at: number;
}

/** Moments that somebody else names, each of which is a run of its own. */
export interface Moments {
  readonly slots: () => readonly Slot[];
  /** When that is, for people. */
  readonly words: string;
}

export interface ScheduledJob {
  readonly schedule: Schedule | Moments;
  readonly zone: string;
  /** Sets the jitter of one host and job apart from that of others. */
  readonly seed: string;
}

/** What is known of a slot's runs. */
export interface SlotHistory {
  readonly succeeded: boolean;
  /** A run of it is on its way. */
  readonly running: boolean;
  /** Runs that did not succeed. */
  readonly failures: number;
  /** When the last of them ended; milliseconds since 1970. */
  readonly lastFailure: number | null;
}

export interface Due {
  /** What is to be run now; null when nothing is. */
  readonly run: Slot | null;
  /** When the job is due next: now or earlier while it is. Null for a schedule that never comes. */
  readonly next: number | null;
  /** The slot that should have run and has not; null when all is well. */
  readonly missing: Slot | null;
}

/** Minutes from the end of a failed run to the next try; the last of them from then on, until the next slot. */
const pauses = [1, 5, 15, 30, 60] as const;
const minute = 60_000;

/** Days that are looked at in either direction: more than a week, and a zone may skip a day. */
const reach = 9;

/**
 * Whether a job is to be run now (S1-46). Each slot is run once: whether that was done is asked by its local day and not
 * by comparing times, so a clock that is set back runs nothing twice, and one that was far ahead keeps nothing from
 * running. Of slots that were missed only the last is made up for. Pure.
 * @param since milliseconds since 1970: slots before it are nobody's business, because the job did not exist
 * @param historyOf what was done about a slot
 */
export function due(job: ScheduledJob, since: number, historyOf: (key: string) => SlotHistory, now: number): Due {
  const slots = slotsAround(job, now);
  const upcoming = slots.find(({ at, key }) => at > now && !historyOf(key).succeeded)?.at ?? null;
  const last = slots.findLast(({ at }) => at <= now);
  if (!last || last.at < since) return { run: null, next: upcoming, missing: null };
  const { succeeded, running, failures, lastFailure } = historyOf(last.key);
  if (succeeded) return { run: null, next: upcoming, missing: null };
  if (running) return { run: null, next: upcoming, missing: last };
  const again = retryAt(failures, lastFailure, now);
  return again <= now ? { run: last, next: now, missing: last } : { run: null, next: again, missing: last };
}

/** The last slot that has come, whoever has run it. */
export function lastSlot(job: ScheduledJob, now: number): Slot | undefined {
  return slotsAround(job, now).findLast(({ at }) => at <= now);
}

function retryAt(failures: number, lastFailure: number | null, now: number): number {
  // A failure that lies in the future was dated by a clock that has been set back since.
  if (failures === 0 || lastFailure === null || lastFailure > now) return now;
  const pause = pauses[Math.min(failures, pauses.length) - 1] ?? 60;
  return lastFailure + pause * minute;
}

/** Slots near an instant, ascending. */
function slotsAround({ schedule, zone, seed }: ScheduledJob, now: number): Slot[] {
  if ('slots' in schedule) return schedule.slots().toSorted((a, b) => a.at - b.at);
  const today = localDay(zone, now);
  const span = schedule.weekday === undefined ? 3 : reach;
  const slots: Slot[] = [];
  for (let distance = -span; distance <= span; distance += 1) {
    const on = addDays(today, distance);
    if (schedule.weekday !== undefined && weekdayOf(on) !== schedule.weekday) continue;
    schedule.at.forEach((time, index) => {
      const at = instantOf(zone, on, time);
      const key = keyOf(on, index);
      if (at !== undefined) slots.push({ key, at: at + jitterOf(schedule.jitter ?? 0, `${seed} ${key}`) });
    });
  }
  return slots.sort((a, b) => a.at - b.at);
}

function keyOf(on: LocalDay, index: number): string {
  return index === 0 ? on : `${on}/${index + 1}`;
}

/** Always the same for the same host, job and slot. */
function jitterOf(most: number, of: string): number {
  if (most <= 0) return 0;
  return createHash('sha256').update(of).digest().readUInt32BE(0) % most;
}
