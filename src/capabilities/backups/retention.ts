import { formatDuration } from '../../lib/units.ts';
import type { Snapshot } from './snapshots.ts';

/** How long snapshots are kept. */
export interface KeepPolicy {
  /** Milliseconds. */
  readonly within: number;
  readonly daily: number;
  readonly weekly: number;
  readonly monthly: number;
}

type Kept = Pick<Snapshot, 'id' | 'time' | 'proven' | 'protected' | 'newer' | 'damaged'>;

/** Whether a snapshot is kept, and why; no reason means that it goes. */
export interface Retained<S extends Kept = Snapshot> {
  readonly snapshot: S;
  readonly reasons: readonly string[];
}

/**
 * Says of each snapshot why it is kept (S1-47). Pure. Days, weeks and months are those of UTC and count only where there is
 * a snapshot, so that a long pause empties nothing. Kept whatever the policy says: the newest, the last that was proven,
 * what a person protects, and what a newer appliance has made.
 * @param now milliseconds since 1970
 * @returns the newest first
 */
export function retention<S extends Kept>(snapshots: readonly S[], policy: KeepPolicy, now: number): Retained<S>[] {
  const sorted = [...snapshots].sort((a, b) => b.time - a.time);
  const reasons = new Map<S, string[]>(sorted.map((snapshot) => [snapshot, []]));
  const keep = (snapshot: S | undefined, why: string): void => void (snapshot && reasons.get(snapshot)?.push(why));
  keep(sorted.find(({ damaged }) => !damaged) ?? sorted[0], 'the newest');
  keep(
    sorted.find(({ proven }) => proven !== null),
    'the last that was proven',
  );
  for (const snapshot of sorted) {
    if (snapshot.protected) keep(snapshot, 'protected');
    if (snapshot.newer) keep(snapshot, 'made by a newer appliance');
    if (now - snapshot.time <= policy.within) keep(snapshot, `younger than ${formatDuration(policy.within)}`);
  }
  for (const { name, count, key } of periods(policy)) {
    const seen = new Set<string>();
    for (const snapshot of sorted) {
      const period = key(new Date(snapshot.time));
      if (seen.has(period) || seen.size === count) continue;
      seen.add(period);
      keep(snapshot, `the last of its ${name}: ${period}`);
    }
  }
  return sorted.map((snapshot) => ({ snapshot, reasons: reasons.get(snapshot) ?? [] }));
}

function periods({ daily, weekly, monthly }: KeepPolicy) {
  return [
    { name: 'day', count: daily, key: (time: Date) => time.toISOString().slice(0, 10) },
    { name: 'week', count: weekly, key: isoWeek },
    { name: 'month', count: monthly, key: (time: Date) => time.toISOString().slice(0, 7) },
  ];
}

/** `2026-W47`: the week of ISO 8601, which belongs to the year of its Thursday. */
function isoWeek(time: Date): string {
  const thursday = new Date(Date.UTC(time.getUTCFullYear(), time.getUTCMonth(), time.getUTCDate()));
  thursday.setUTCDate(thursday.getUTCDate() + 4 - (thursday.getUTCDay() || 7));
  const first = Date.UTC(thursday.getUTCFullYear(), 0, 1);
  const week = Math.floor((thursday.getTime() - first) / (7 * 86_400_000)) + 1;
  return `${thursday.getUTCFullYear()}-W${String(week).padStart(2, '0')}`;
}
