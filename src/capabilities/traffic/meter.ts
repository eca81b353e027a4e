import type { Clock } from '../../lib/clock.ts';
import { colours } from '../../lib/colour.ts';
import { messageOf } from '../../lib/errors.ts';
import { type Histogram, latencyEdges } from '../../lib/histogram.ts';
import type { Measurement, MetricReader, Subject, Window } from '../../lib/measurement.ts';
import { LogFollower } from './log-follower.ts';
import { LineReader, type LineSink, type LogColour } from './meter-lines.ts';
import { count, emptyTally, histogramOfTally, Slots, type Tally } from './meter-slots.ts';

/** Releases that are counted apart; an application may say of itself what it likes. */
const mostReleases = 32;
/** Milliseconds for which what was read last is good enough. */
const fresh = 500;

/** What a release has answered since the meter began. */
export interface ReleaseTotals {
  readonly codes: ReadonlyMap<number, number>;
  readonly times: Histogram;
}

export interface MeterOptions {
  readonly path: string;
  readonly clock: Pick<Clock, 'now' | 'monotonic'>;
  /**
   * Limits in seconds that times are counted against exactly, besides those of the policies that come with the program.
   * Asked for once, before the first line is read.
   */
  readonly limits?: (() => Promise<readonly number[]>) | undefined;
}

/**
 * Measures releases by the access log of the edge: needs neither Prometheus nor the application. Requests are told apart
 * by colour, because an answer that the edge gives itself (502, 504) carries no release of its own.
 */
export class Meter {
  readonly #limits: MeterOptions['limits'];
  readonly #clock: MeterOptions['clock'];
  readonly #follower: LogFollower;
  readonly #reader: LineReader;
  #edges: readonly number[] = [];
  #slots: Readonly<Record<'blue' | 'green', Slots>> = { blue: new Slots(1), green: new Slots(1) };
  /** The class of each time in whole milliseconds. */
  #classes: Uint16Array = new Uint16Array(1);
  readonly #releases = new Map<string, { readonly codes: Map<number, number>; readonly tally: Tally }>();
  readonly #began: number;
  #now = 0;
  #polled = Number.NEGATIVE_INFINITY;
  #polling: Promise<void> | null = null;
  #trouble = '';
  #lines = 0;
  #unreadable = 0;
  #lastUnreadable = 0;

  constructor({ path, clock, limits }: MeterOptions) {
    this.#limits = limits;
    this.#clock = clock;
    this.#follower = new LogFollower(path);
    this.#began = Math.floor(clock.now() / 1_000);
    const sink: LineSink = {
      request: (second, status, ms, colour, release) => this.#count(second, status, ms, colour, release),
      unreadable: () => {
        this.#lines += 1;
        this.#unreadable += 1;
        this.#lastUnreadable = this.#now * 1_000;
      },
    };
    this.#reader = new LineReader(sink);
  }

  /** Ends of the classes that times are counted in, in seconds; none before the first line is read. */
  get edges(): readonly number[] {
    return this.#edges;
  }

  /** Lines that were read, and those of them that are none of the edge's. */
  get lines(): { readonly read: number; readonly unreadable: number } {
    return { read: this.#lines, unreadable: this.#unreadable };
  }

  /** Reads what came since the last time. Trouble with the log is kept for whoever asks for a value. */
  async poll(): Promise<void> {
    this.#polling ??= this.#poll().finally(() => {
      this.#polling = null;
    });
    await this.#polling;
  }

  /** One metric of one release; what cannot be seen is `none` with the reason. */
  readonly read: MetricReader = async (metric, subject, window, signal) => {
    signal.throwIfAborted();
    if (this.#clock.monotonic() - this.#polled > fresh) await this.poll();
    signal.throwIfAborted();
    return this.measure(metric, subject, window);
  };

  /** As `read`, of what has been read so far. */
  measure(metric: string, { colour }: Pick<Subject, 'colour'>, window: Window): Measurement {
    const tally = this.#slots[colour].within(window, Math.floor(this.#clock.now() / 1_000));
    if (tally.requests === 0) {
      const trouble = this.#troubleWithin(window);
      if (trouble !== '') return { kind: 'none', why: trouble };
    }
    switch (metric) {
      case 'errors':
        return { kind: 'share', hits: tally.serverErrors, of: tally.requests };
      case 'refusals':
        return { kind: 'share', hits: tally.refusals, of: tally.requests };
      case 'server-errors':
        if (tally.requests === 0) return { kind: 'none', why: 'no requests' };
        return { kind: 'events', count: tally.serverErrors, about: `of ${tally.requests} requests` };
      case 'request-rate':
        return rate(tally.requests, window);
      default:
        return metric.startsWith('latency-')
          ? { kind: 'times', times: histogramOfTally(tally, this.#edges) }
          : { kind: 'none', why: `the access log does not show ${metric}` };
    }
  }

  /** By release, for Prometheus: counters that begin with the meter and never go back. */
  totals(): ReadonlyMap<string, ReleaseTotals> {
    return new Map(
      [...this.#releases].map(([release, { codes, tally }]) => [
        release,
        { codes, times: histogramOfTally(tally, this.#edges) },
      ]),
    );
  }

  async close(): Promise<void> {
    await this.#polling;
    await this.#follower.close();
  }

  async #poll(): Promise<void> {
    const lines = (text: string): number => {
      this.#now = Math.floor(this.#clock.now() / 1_000);
      return this.#reader.read(text);
    };
    this.#now = Math.floor(this.#clock.now() / 1_000);
    try {
      if (this.#edges.length === 0) this.#classify(latencyEdges(await this.#limits?.()));
      await this.#follower.poll(lines, this.#clock.monotonic());
      this.#trouble = this.#follower.reading ? '' : 'there is no access log yet';
    } catch (error) {
      this.#trouble = `the access log cannot be read: ${messageOf(error)}`;
    }
    for (const colour of colours) this.#slots[colour].prune(this.#now);
    this.#polled = this.#clock.monotonic();
  }

  #classify(edges: readonly number[]): void {
    this.#edges = edges;
    this.#classes = classesOf(edges);
    this.#slots = { blue: new Slots(edges.length + 1), green: new Slots(edges.length + 1) };
  }

  #count(second: number, status: number, ms: number, colour: LogColour, release: string): void {
    this.#lines += 1;
    // A connection that was upgraded says how long somebody stayed, not how long an answer took.
    const index = status === 101 ? -1 : (this.#classes[Math.min(ms, this.#classes.length - 1)] ?? 0);
    if (colour !== null) this.#slots[colour].add(second, this.#now, status, ms / 1_000, index);
    if (second >= this.#began) this.#total(release, status, ms / 1_000, index);
  }

  #total(release: string, status: number, seconds: number, index: number): void {
    let held = this.#releases.get(release);
    if (!held) {
      const name = this.#releases.size < mostReleases ? release : 'other';
      held = this.#releases.get(name) ?? { codes: new Map(), tally: emptyTally(this.#edges.length + 1) };
      this.#releases.set(name, held);
    }
    held.codes.set(status, (held.codes.get(status) ?? 0) + 1);
    count(held.tally, status, seconds, index);
  }

  #troubleWithin({ from }: Window): string {
    if (this.#trouble !== '') return this.#trouble;
    return this.#lastUnreadable >= from
      ? `no requests, and ${this.#unreadable} lines of the access log cannot be read`
      : '';
  }
}

function rate(requests: number, { from, to }: Window): Measurement {
  if (to <= from) return { kind: 'none', why: 'no time has passed' };
  const value = requests / ((to - from) / 1_000);
  return { kind: 'value', last: value, least: value, most: value, samples: 1 };
}

/** The class of each whole millisecond; the last entry stands for all that are longer. */
function classesOf(edges: readonly number[]): Uint16Array {
  const longest = Math.round((edges.at(-1) ?? 0) * 1_000);
  const classes = new Uint16Array(longest + 2);
  let index = 0;
  for (let ms = 0; ms < classes.length; ms += 1) {
    while (index < edges.length && ms > Math.round((edges[index] ?? 0) * 1_000)) index += 1;
    classes[ms] = index;
  }
  return classes;
}
