import { metricOf } from '../../../config/metrics.ts';
import type { PolicyRule } from '../../../config/policy.ts';
import type { Window } from '../../../lib/measurement.ts';

export type RuleRole = 'gate' | 'rollback' | 'investigate';

/** The windows that a verdict on a rule needs. */
export interface Windows {
  /**
   * `every`: the limit must hold in each of them, one after the other, without a gap. `any`: one is enough; the first is
   * the whole time that was watched.
   */
  readonly mode: 'every' | 'any';
  readonly windows: readonly Window[];
  /** Milliseconds of the time that the rule asks for which nobody has watched yet. */
  readonly missing: number;
}

const minute = 60_000;

/**
 * Which spans of time to measure. Pure. Windows end now and never reach back behind the beginning of the watch.
 * @param since milliseconds since 1970: when the watch began
 */
export function windowsOf(rule: PolicyRule, role: RuleRole, since: number, now: number): Windows {
  const from = Math.min(since, now);
  if (rule.for === 0) {
    const start = rule.over === undefined ? from : Math.max(from, now - rule.over);
    const whole = { from: start, to: now };
    // A release that was good for hours must not hide that it has just become bad.
    const recent = { from: Math.max(from, now - minute), to: now };
    const looksTwice = role !== 'gate' && rule.over === undefined && metricOf(rule.metric).source === 'edge';
    const windows = looksTwice && recent.from > whole.from ? [whole, recent] : [whole];
    return { mode: 'any', windows, missing: 0 };
  }
  const missing = Math.max(0, rule.for - (now - from));
  // A gate is a proof over the whole time; a trigger is a row of windows.
  const step = rule.over ?? (role === 'gate' || rule.for % minute !== 0 ? rule.for : minute);
  const count = Math.round(rule.for / step);
  const row = Array.from({ length: count }, (_, index) => ({
    from: now - (count - index) * step,
    to: now - (count - index - 1) * step,
  })).filter((window) => window.from >= from);
  if (row.length === 0 && role === 'gate') return { mode: 'every', windows: [{ from, to: now }], missing };
  return { mode: 'every', windows: row, missing };
}
