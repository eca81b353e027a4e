import type { LogEntry, View } from './state.ts';
import { lastUpTo } from './window.ts';

/** The part of the logs that is on the screen. */
export interface LogWindow {
  readonly entries: readonly LogEntry[];
  /** Lines that pass the filter. */
  readonly matching: number;
  /** Matching lines below the last visible one. */
  readonly below: number;
  /** Set when the filter is not a valid pattern and is taken as plain text. */
  readonly literal: boolean;
}

/** Lines that match what is being looked for, remembered until something changes. */
export class LogFilter {
  #key = '';
  #source: readonly LogEntry[] = [];
  #matching: readonly LogEntry[] = [];
  #literal = false;

  matching(all: readonly LogEntry[], pattern: string): readonly LogEntry[] {
    if (pattern === '') {
      this.#literal = false;
      return all;
    }
    if (this.#key === pattern && this.#source === all) return this.#matching;
    const { test, literal } = matcher(pattern);
    this.#key = pattern;
    this.#source = all;
    this.#literal = literal;
    this.#matching = all.filter(({ text, service }) => test(text) || test(service));
    return this.#matching;
  }

  /** What is visible of the logs. @param room lines of the screen */
  window(all: readonly LogEntry[], view: Pick<View, 'filter' | 'typing' | 'anchor'>, room: number): LogWindow {
    const matching = this.matching(all, view.typing ?? view.filter);
    const last = lastVisible(matching, view.anchor, room);
    return {
      entries: matching.slice(Math.max(0, last + 1 - room), last + 1),
      matching: matching.length,
      below: matching.length - 1 - last,
      literal: this.#literal,
    };
  }
}

/** Index of the last visible line: the newest while following, else the anchor; never so far up that the screen has gaps. */
function lastVisible(matching: readonly LogEntry[], anchor: number | undefined, room: number): number {
  const newest = matching.length - 1;
  if (anchor === undefined) return newest;
  return Math.min(newest, Math.max(lastUpTo(matching, anchor), Math.min(room, matching.length) - 1));
}

/** Moves the window by so many lines. @returns the new anchor; undefined when that means to follow again */
export function scrolled(
  matching: readonly LogEntry[],
  anchor: number | undefined,
  lines: number,
  room: number,
): number | undefined {
  const highest = Math.min(room, matching.length) - 1;
  const target = Math.max(lastVisible(matching, anchor, room) + lines, highest);
  return target >= matching.length - 1 ? undefined : matching[target]?.seq;
}

/** A search is a regular expression that ignores case; while it is not a valid one, it is plain text. */
function matcher(pattern: string): { test: (text: string) => boolean; literal: boolean } {
  try {
    const expression = new RegExp(pattern, 'i');
    return { test: (text) => expression.test(text), literal: false };
  } catch {
    const wanted = pattern.toLowerCase();
    return { test: (text) => text.toLowerCase().includes(wanted), literal: true };
  }
}
