import type { Clock } from '../../lib/clock.ts';
import { ApplianceError, messageOf } from '../../lib/errors.ts';
import { oneLine, truncate } from '../../lib/text.ts';
import { formatDuration } from '../../lib/units.ts';
import { type Check, type CheckResult, inconclusive, type Observation } from './check.ts';

/** Milliseconds that a check may take when it does not say otherwise. */
const usualDeadline = 10_000;
/** Longest text of an observation: it may quote what a server said. */
const longest = 400;

export interface RunChecks {
  readonly clock: Pick<Clock, 'monotonic'>;
  readonly signal: AbortSignal;
  /** How many may look at a time; default: all. */
  readonly atOnce?: number;
  /** Told of each result as it comes. */
  readonly onResult?: (result: CheckResult) => void;
}

/**
 * Looks at everything side by side, each check with a deadline of its own. One that throws or hangs is inconclusive and
 * takes no other along (DESIGN §1.4: no data is never a pass).
 * @returns results in the order of the checks
 * @throws the reason of the signal when it aborts
 */
export async function runChecks(checks: readonly Check[], options: RunChecks): Promise<CheckResult[]> {
  const results: CheckResult[] = [];
  let next = 0;
  const work = async (): Promise<void> => {
    for (let index = next++; index < checks.length; index = next++) {
      const check = checks[index];
      if (!check) return;
      const result = await runCheck(check, options);
      options.signal.throwIfAborted();
      results[index] = result;
      options.onResult?.(result);
    }
  };
  await Promise.all(Array.from({ length: Math.min(options.atOnce ?? checks.length, checks.length) }, work));
  return results;
}

async function runCheck(check: Check, { clock, signal }: RunChecks): Promise<CheckResult> {
  const { id, group, requirement, about, expected, hint, deadline = usualDeadline } = check;
  const began = clock.monotonic();
  const seen = await observe(check, deadline, signal);
  return {
    id,
    group,
    requirement,
    about,
    ...seen,
    expected: seen.expected ?? expected,
    hint: seen.hint ?? (seen.verdict === 'pass' ? undefined : hint),
    observed: truncate(oneLine(seen.observed), longest),
    seconds: Math.round(clock.monotonic() - began) / 1_000,
  };
}

async function observe(check: Check, deadline: number, signal: AbortSignal): Promise<Observation> {
  const late = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  const overdue = new Promise<Observation>((resolve) => {
    timer = setTimeout(() => {
      resolve(inconclusive(`no answer within ${formatDuration(deadline)}`));
      late.abort(new Error('the deadline of the check has passed'));
    }, deadline);
  });
  const aborted = new Promise<Observation>((resolve) => {
    signal.addEventListener('abort', () => resolve(inconclusive('interrupted')), { once: true });
  });
  try {
    // A check that throws before its first await rejects too.
    const looking = (async () => check.look(AbortSignal.any([signal, late.signal])))().catch((error: unknown) =>
      inconclusive(...whyNot(error)),
    );
    return await Promise.race([looking, overdue, aborted]);
  } finally {
    clearTimeout(timer);
  }
}

function whyNot(error: unknown): [string, Partial<Observation>] {
  const hint = error instanceof ApplianceError ? error.hint : undefined;
  return [`it could not look: ${messageOf(error)}`, hint === undefined ? {} : { hint }];
}
