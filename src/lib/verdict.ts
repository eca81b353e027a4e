/**
 * Three-way verdicts. Every check, gate and probe answers with one of these; no data is never a pass (DESIGN §1.4).
 */
export const verdicts = ['pass', 'fail', 'inconclusive'] as const;
export type Verdict = (typeof verdicts)[number];

/** What one check saw, beside what it expected. */
export interface Finding {
  readonly id: string;
  readonly verdict: Verdict;
  /** The numbers or words that were seen, for people. */
  readonly observed: string;
  readonly expected?: string | undefined;
  /** How many samples the verdict rests on, and how many more it needs to be conclusive. */
  readonly samples?: number | undefined;
  readonly needed?: number | undefined;
  /** What to do about it. */
  readonly hint?: string | undefined;
}

/**
 * Combines several verdicts into one: any `fail` fails, else any `inconclusive` (or no verdict at all) is
 * inconclusive, else pass.
 */
export function combine(all: Iterable<Verdict>): Verdict {
  let seen = false;
  let inconclusive = false;
  for (const verdict of all) {
    if (verdict === 'fail') return 'fail';
    seen = true;
    inconclusive ||= verdict === 'inconclusive';
  }
  return seen && !inconclusive ? 'pass' : 'inconclusive';
}
