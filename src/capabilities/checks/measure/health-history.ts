import type { MetricReader } from '../../../lib/measurement.ts';

/** Looks that are kept for one release: a day at one every five seconds. */
const longest = 17_280;

/** Remembers how many containers of a release were healthy at each look. */
export class HealthHistory {
  readonly #looks = new Map<string, { at: number; share: number }[]>();

  /** @param at milliseconds since 1970 @param share from 0 to 1 */
  record(tag: string, at: number, share: number): void {
    const looks = this.#looks.get(tag) ?? [];
    looks.push({ at, share });
    if (looks.length > longest) looks.shift();
    this.#looks.set(tag, looks);
  }

  readonly read: MetricReader = async (_, { tag }, { from, to }) => {
    const seen = (this.#looks.get(tag) ?? []).filter(({ at }) => at >= from && at < to).map(({ share }) => share);
    const last = seen.at(-1);
    if (last === undefined) return { kind: 'none', why: 'nobody has looked in this time' };
    return { kind: 'value', last, least: Math.min(...seen), most: Math.max(...seen), samples: seen.length };
  };
}
