import type { Clock } from '../../../lib/clock.ts';
import type { Colour } from '../../../lib/colour.ts';
import { addHistograms, latencyEdges } from '../../../lib/histogram.ts';
import type { Measurement, MetricReader, Subject, Window } from '../../../lib/measurement.ts';
import { histogramOfTally, Slots, type Tally } from '../meter-slots.ts';
import type { SyntheticSample } from './load.ts';

/** How often declared requests were answered well by a release, and how often not. */
export interface SyntheticTotals {
  readonly good: number;
  readonly failed: number;
}

/** Releases that are counted apart. */
const mostReleases = 32;

/** What became of declared requests. Kept apart from those of users: nothing here reaches the access log or its figures. */
export class SyntheticSamples {
  readonly #clock: Pick<Clock, 'now'>;
  readonly #edges: () => readonly number[];
  readonly #slots = new Map<Colour, { readonly edges: readonly number[]; readonly slots: Slots }>();
  readonly #totals = new Map<string, SyntheticTotals>();
  /** The last failure of each colour. */
  readonly #whys = new Map<Colour, string>();

  /** @param edges classes that the times of users are counted in */
  constructor(clock: Pick<Clock, 'now'>, edges: () => readonly number[]) {
    this.#clock = clock;
    this.#edges = edges;
  }

  record({ tag, colour }: Subject, { good, seconds, why }: SyntheticSample): void {
    const now = Math.floor(this.#clock.now() / 1_000);
    const { edges, slots } = this.#of(colour);
    const found = edges.findIndex((edge) => (seconds ?? 0) <= edge);
    const index = seconds === null ? -1 : found < 0 ? edges.length : found;
    slots.add(now, now, good ? 200 : 500, seconds ?? 0, index);
    slots.prune(now);
    if (why !== null) this.#whys.set(colour, why);
    const before = this.#totals.get(tag) ?? { good: 0, failed: 0 };
    this.#totals.delete(tag);
    this.#totals.set(tag, { good: before.good + (good ? 1 : 0), failed: before.failed + (good ? 0 : 1) });
    const [oldest] = this.#totals.keys();
    if (this.#totals.size > mostReleases && oldest !== undefined) this.#totals.delete(oldest);
  }

  /** By release, since the agent began. */
  totals(): ReadonlyMap<string, SyntheticTotals> {
    return this.#totals;
  }

  /** Answers to a colour within a window, how many of them are failures, and why the last one was. */
  within(colour: Colour, window: Window): SyntheticTotals & { readonly why: string | undefined } {
    const { requests, serverErrors } = this.#tally(colour, window);
    return { good: requests - serverErrors, failed: serverErrors, why: this.#whys.get(colour) };
  }

  /** What `real` measures of the requests of users, with the declared ones added to what they can speak of. */
  added(real: MetricReader): MetricReader {
    return async (metric, subject, window, signal) => {
      const seen = await real(metric, subject, window, signal);
      const tally = this.#tally(subject.colour, window);
      return tally.requests === 0 ? seen : together(metric, seen, tally, this.#of(subject.colour).edges);
    };
  }

  #tally(colour: Colour, window: Window): Tally {
    return this.#of(colour).slots.within(window, Math.floor(this.#clock.now() / 1_000));
  }

  #of(colour: Colour) {
    let held = this.#slots.get(colour);
    if (!held) {
      const known = this.#edges();
      const edges = known.length > 0 ? known : latencyEdges();
      held = { edges, slots: new Slots(edges.length + 1) };
      this.#slots.set(colour, held);
    }
    return held;
  }
}

/** A log that cannot be read stays `none`: requests of our own do not show what users get. */
function together(metric: string, seen: Measurement, tally: Tally, edges: readonly number[]): Measurement {
  if (metric === 'errors' && seen.kind === 'share')
    return {
      kind: 'share',
      hits: seen.hits + tally.serverErrors,
      of: seen.of + tally.requests,
      synthetic: tally.requests,
    };
  if (metric === 'server-errors' && seen.kind === 'events') return { ...seen, count: seen.count + tally.serverErrors };
  if (seen.kind === 'times')
    return {
      kind: 'times',
      times: addHistograms(seen.times, histogramOfTally(tally, edges)),
      synthetic: tally.timed,
    };
  return seen;
}
