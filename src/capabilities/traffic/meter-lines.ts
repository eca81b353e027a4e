/**
 * Reads lines of the access log without making an object of each: the format is our own (log-format.ts), and of fifteen
 * fields five are wanted (docs/benchmarks.md has the figures beside JSON.parse). A line that is not of that format is told
 * apart, never guessed at.
 */

export type LogColour = 'blue' | 'green' | null;

/** Where the fields of a line go; called once for each. */
export interface LineSink {
  /**
   * @param second when the request ended, seconds since 1970
   * @param ms how long it took, in whole milliseconds
   * @param colour null for what no colour has answered
   */
  request(second: number, status: number, ms: number, colour: LogColour, release: string): void;
  /** A line that is none of ours. */
  unreadable(): void;
}

// A quote inside a value is escaped in the log, so nothing that a client sends can look like this.
const statusKey = '","status":';
const bytesKey = ',"bytes":';
const secondsKey = ',"seconds":';
const colourKey = ',"colour":"';
const releaseKey = '","release":"';
const timeKey = '{"time":"';
/** `2026-01-05T12:00:00+00:00` */
const timeLength = 25;
const [zero, nine, dot, quote] = [48, 57, 46, 34];

/** Reads lines into a sink. It remembers what it saw last: thousands of lines share one second and two releases. */
export class LineReader {
  readonly #sink: LineSink;
  #timeText = '';
  #second = 0;
  readonly #releases = { blue: '', green: '', none: '' };
  /** Where the last number ended. */
  #at = 0;

  constructor(sink: LineSink) {
    this.#sink = sink;
  }

  /**
   * Reads all whole lines of a text.
   * @returns where the first line begins that has no end yet
   */
  read(text: string): number {
    let start = 0;
    // Looked for once and kept: a text of nothing but line ends would otherwise be searched to its end for each.
    let status = text.indexOf(statusKey);
    for (;;) {
      const end = text.indexOf('\n', start);
      if (end < 0) return start;
      while (status >= 0 && status < start) status = text.indexOf(statusKey, start);
      if (status < 0 || status > end || !this.#line(text, start, status)) this.#sink.unreadable();
      start = end + 1;
    }
  }

  #line(text: string, start: number, key: number): boolean {
    if (!text.startsWith(timeKey, start)) return false;
    const second = this.#secondOf(text, start + timeKey.length);
    const status = this.#digits(text, key + statusKey.length);
    if (!(second > 0) || status < 100 || status > 999 || !text.startsWith(bytesKey, this.#at)) return false;
    this.#digits(text, this.#at + bytesKey.length);
    if (!text.startsWith(secondsKey, this.#at)) return false;
    const ms = this.#milliseconds(text, this.#at + secondsKey.length);
    if (ms < 0 || !text.startsWith(colourKey, this.#at)) return false;
    const colourAt = this.#at + colourKey.length;
    const colour = text.startsWith('green', colourAt) ? 'green' : text.startsWith('blue', colourAt) ? 'blue' : null;
    const after = colourAt + (colour?.length ?? 0);
    if (!text.startsWith(releaseKey, after)) return false;
    this.#sink.request(second, status, ms, colour, this.#releaseOf(text, after + releaseKey.length, colour));
    return true;
  }

  #secondOf(text: string, at: number): number {
    if (this.#timeText === '' || !text.startsWith(this.#timeText, at)) {
      this.#timeText = text.slice(at, at + timeLength);
      this.#second = Math.floor(Date.parse(this.#timeText) / 1_000);
    }
    return this.#second;
  }

  #releaseOf(text: string, at: number, colour: LogColour): string {
    const known = this.#releases[colour ?? 'none'];
    if (text.startsWith(known, at) && text.charCodeAt(at + known.length) === quote) return known;
    // Copied: a part of a text keeps all of it in memory, and names of releases are kept.
    const release = Buffer.from(text.slice(at, Math.max(at, text.indexOf('"', at))), 'latin1').toString('latin1');
    this.#releases[colour ?? 'none'] = release;
    return release;
  }

  /** Digits from a place on; −1 when there are none. */
  #digits(text: string, from: number): number {
    let value = 0;
    let at = from;
    for (; ; at += 1) {
      const code = text.charCodeAt(at);
      if (!(code >= zero && code <= nine)) break;
      value = value * 10 + code - zero;
    }
    this.#at = at;
    return at === from ? -1 : value;
  }

  /** `0.003` as 3; −1 when it is no such number. */
  #milliseconds(text: string, from: number): number {
    const whole = this.#digits(text, from);
    if (whole < 0 || text.charCodeAt(this.#at) !== dot) return -1;
    const point = this.#at + 1;
    const fraction = this.#digits(text, point);
    return fraction < 0 || this.#at - point !== 3 ? -1 : whole * 1_000 + fraction;
  }
}
