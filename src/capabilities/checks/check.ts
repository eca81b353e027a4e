import type { Verdict } from '../../lib/verdict.ts';

/** The checklists that `appliance check` knows, in the order in which they are worked through. */
export const checkGroups = ['preflight', 'config', 'smoke', 'load', 'security', 'post-deploy'] as const;
export type CheckGroup = (typeof checkGroups)[number];

/** What one look has shown. */
export interface Observation {
  readonly verdict: Verdict;
  /** The numbers or words that were seen. Never a secret. */
  readonly observed: string;
  /** Where it says more than the check itself does. */
  readonly expected?: string | undefined;
  readonly samples?: number | undefined;
  readonly needed?: number | undefined;
  readonly hint?: string | undefined;
}

/** One line of a checklist. It changes nothing, and is given its hands by whoever makes it. */
export interface Check {
  /** `preflight.disk`: unique, and what `check_verdict{id}` is labelled with. */
  readonly id: string;
  readonly group: CheckGroup;
  /** Demands that it answers, for example `S1-3`. */
  readonly requirement: readonly string[];
  /** What it looks at, for people. */
  readonly about: string;
  readonly expected: string;
  /** What to do when it does not pass. */
  readonly hint?: string | undefined;
  /** Milliseconds that it may take; default: 10,000. */
  readonly deadline?: number | undefined;
  /** What it throws makes it inconclusive: a check that could not look has seen nothing. */
  look(signal: AbortSignal): Promise<Observation>;
}

/** What came of a check. */
export interface CheckResult extends Observation {
  readonly id: string;
  readonly group: CheckGroup;
  readonly requirement: readonly string[];
  readonly about: string;
  readonly expected: string;
  /** Seconds that it took. */
  readonly seconds: number;
}

export const pass = (observed: string, more: Partial<Observation> = {}): Observation => ({
  verdict: 'pass',
  observed,
  ...more,
});
export const fail = (observed: string, more: Partial<Observation> = {}): Observation => ({
  verdict: 'fail',
  observed,
  ...more,
});
/** @param observed why nothing can be said */
export const inconclusive = (observed: string, more: Partial<Observation> = {}): Observation => ({
  verdict: 'inconclusive',
  observed,
  ...more,
});
