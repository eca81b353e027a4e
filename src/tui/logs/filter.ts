import type { LogEntry, LogsView, State } from '../state.ts';
import { lastUpTo } from '../window.ts';
import { levelOf } from './level.ts';
import { patternOf } from './pattern.ts';

type Wanted = Pick<LogsView, 'level'> & { readonly pattern: string };

/** Lines that match what is being looked for, remembered until something changes. */
export class LogFilter {
  #key = '';
  #source: readonly LogEntry[] = [];
  #matching: readonly LogEntry[] = [];
  /** Matching lines that came after the frozen ones. */
  #newer = { key: '', frozen: [] as readonly LogEntry[], seen: 0, count: 0 };

  matching(all: readonly LogEntry[], { pattern, level }: Wanted): readonly LogEntry[] {
    if (pattern === '' && level === 'all') return all;
    const key = `${level} ${pattern}`;
    if (this.#key === key && this.#source === all) return this.#matching;
    const passes = passing({ pattern, level });
    const newest = this.#source.at(-1)?.seq ?? 0;
    const goesOn = this.#key === key && newest > 0;
    // Lines come by the thousand: what was looked at before is not looked at again.
    const oldest = all[0]?.seq ?? 0;
    this.#matching = goesOn
      ? [
          ...this.#matching.slice(lastUpTo(this.#matching, oldest - 1) + 1),
          ...all.slice(lastUpTo(all, newest) + 1).filter(passes),
        ]
      : all.filter(passes);
    this.#key = key;
    this.#source = all;
    return this.#matching;
  }

  /** How many matching lines have come since the view stands still. */
  newer(state: Pick<State, 'logs'>, frozen: readonly LogEntry[], wanted: Wanted): number {
    const key = `${wanted.level} ${wanted.pattern}`;
    const begun = frozen.at(-1)?.seq ?? 0;
    if (this.#newer.key !== key || this.#newer.frozen !== frozen) {
      this.#newer = { key, frozen, seen: begun, count: 0 };
    }
    const newest = state.logs.at(-1)?.seq ?? 0;
    if (newest > this.#newer.seen) {
      const passes = passing(wanted);
      const fresh = state.logs.slice(lastUpTo(state.logs, this.#newer.seen) + 1);
      // Lines that came and went between two looks are counted as well where nearly all lines are shown.
      const nearlyAll = wanted.pattern === '' && (wanted.level === 'all' || wanted.level === 'usual');
      const gone = nearlyAll ? newest - this.#newer.seen - fresh.length : 0;
      this.#newer.count += gone + fresh.filter(passes).length;
      this.#newer.seen = newest;
    }
    return this.#newer.count;
  }
}

function passing({ pattern, level }: Wanted): (entry: LogEntry) => boolean {
  const looked = pattern === '' ? undefined : patternOf(pattern);
  return ({ text, service, error }) => {
    if (looked && !looked.test(text) && !looked.test(service)) return false;
    if (level === 'all') return true;
    const named = levelOf(text);
    if (level === 'usual') return named !== 'debug';
    return named === 'error' || (named === undefined && error) || (level === 'warnings' && named === 'warning');
  };
}

/** What of the logs passes, and what is looked at: the frozen lines, or the newest. */
export function wantedOf(view: Pick<State, 'view'>['view']): Wanted {
  const { typing, logs } = view;
  return { pattern: typing?.purpose === 'filter' ? typing.text : logs.filter, level: logs.level };
}

/** Index of the last visible line: the newest while following, else the anchor; never so far up that the screen has gaps. */
export function lastVisible(matching: readonly LogEntry[], anchor: number | undefined, room: number): number {
  const newest = matching.length - 1;
  if (anchor === undefined) return newest;
  return Math.min(newest, Math.max(lastUpTo(matching, anchor), Math.min(room, matching.length) - 1));
}
