import type { Histogram } from '../../lib/histogram.ts';
import type { Window } from '../../lib/measurement.ts';

/** Seconds for which every single second is kept, and minutes for which every minute is. */
const secondsKept = 15 * 60;
const minutesKept = 26 * 60;
/** Seconds that a line may be ahead of the clock before it is not believed. */
const mostAhead = 60 * 60;

/** What happened within a second or a minute. */
export interface Tally {
  requests: number;
  serverErrors: number;
  refusals: number;
  /** Requests whose time counts; all but upgraded connections. */
  timed: number;
  /** Seconds, and their squares. */
  sum: number;
  squares: number;
  readonly counts: Uint32Array;
}

/** Counts of one colour by second and by minute, in bounded memory: about 0.6 KB for each that had requests. */
export class Slots {
  readonly #classes: number;
  readonly #seconds = new Map<number, Tally>();
  readonly #minutes = new Map<number, Tally>();

  /** @param classes of the histogram of times */
  constructor(classes: number) {
    this.#classes = classes;
  }

  /**
   * @param second when it ended, seconds since 1970
   * @param now seconds since 1970
   * @param index class of its time; −1 when its time does not count
   */
  add(second: number, now: number, status: number, seconds: number, index: number): void {
    if (second > now + mostAhead || second <= now - minutesKept * 60) return;
    if (second > now - secondsKept) count(this.#slot(this.#seconds, second), status, seconds, index);
    count(this.#slot(this.#minutes, Math.floor(second / 60)), status, seconds, index);
  }

  /** Forgets what is too old, and what a clock that was set wrong has left behind. @param now seconds since 1970 */
  prune(now: number): void {
    for (const second of this.#seconds.keys())
      if (second <= now - secondsKept || second > now + mostAhead) this.#seconds.delete(second);
    for (const minute of this.#minutes.keys())
      if (minute <= now / 60 - minutesKept || minute > (now + mostAhead) / 60) this.#minutes.delete(minute);
  }

  /**
   * All of a window: by the second where seconds are kept, by whole minutes before that. A minute that is only partly in
   * the window is left out.
   * @param now seconds since 1970
   */
  within({ from, to }: Window, now: number): Tally {
    const total = emptyTally(this.#classes);
    const [first, end] = [Math.ceil(from / 1_000), Math.ceil(to / 1_000)];
    const oldest = now - secondsKept + 1;
    // From here on by the second.
    const fine = first >= oldest ? first : Math.min(end, Math.ceil(oldest / 60) * 60);
    for (const [minute, tally] of this.#minutes)
      if (minute * 60 >= first && (minute + 1) * 60 <= fine) merge(total, tally);
    for (const [second, tally] of this.#seconds) if (second >= fine && second < end) merge(total, tally);
    return total;
  }

  #slot(slots: Map<number, Tally>, key: number): Tally {
    let tally = slots.get(key);
    if (!tally) {
      tally = emptyTally(this.#classes);
      slots.set(key, tally);
    }
    return tally;
  }
}

export function emptyTally(classes: number): Tally {
  return { requests: 0, serverErrors: 0, refusals: 0, timed: 0, sum: 0, squares: 0, counts: new Uint32Array(classes) };
}

export function count(tally: Tally, status: number, seconds: number, index: number): void {
  tally.requests += 1;
  if (status >= 500) tally.serverErrors += 1;
  else if (status === 401 || status === 403) tally.refusals += 1;
  if (index < 0) return;
  tally.timed += 1;
  tally.sum += seconds;
  tally.squares += seconds * seconds;
  tally.counts[index] = (tally.counts[index] ?? 0) + 1;
}

function merge(total: Tally, other: Tally): void {
  total.requests += other.requests;
  total.serverErrors += other.serverErrors;
  total.refusals += other.refusals;
  total.timed += other.timed;
  total.sum += other.sum;
  total.squares += other.squares;
  for (let index = 0; index < total.counts.length; index += 1)
    total.counts[index] = (total.counts[index] ?? 0) + (other.counts[index] ?? 0);
}

export function histogramOfTally(tally: Tally, edges: readonly number[]): Histogram {
  return { edges, counts: [...tally.counts], count: tally.timed, sum: tally.sum, squares: tally.squares };
}
