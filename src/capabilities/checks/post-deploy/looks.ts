import { durationText } from '../../../lib/units.ts';

/** One look at a release some time after it went live. */
export interface Look {
  /** `hour`, `day`, `week`, or the time in words. */
  readonly name: string;
  /** Milliseconds since the release went live. */
  readonly after: number;
  /** Demands that it answers. */
  readonly ids: readonly string[];
}

/** A release that users get, since a time in milliseconds since 1970. */
export interface LiveSince {
  readonly release: string;
  readonly since: number;
}

const hour = 3_600_000;
/** S0-58 to S0-60: the first hour, day and week. */
const usual: readonly Look[] = [
  { name: 'hour', after: hour, ids: ['S0-58'] },
  { name: 'day', after: 24 * hour, ids: ['S0-59', 'S1-92'] },
  { name: 'week', after: 7 * 24 * hour, ids: ['S0-60'] },
];

/**
 * The first hour, day and week, and whatever else a policy wants to be reviewed. Pure.
 * @param reviews of the policy; `after` in milliseconds since the deploy
 * @returns by time
 */
export function looksOf(reviews: readonly { readonly id: string; readonly after: number }[]): Look[] {
  const looks = [...usual];
  for (const { id, after } of reviews) {
    const index = looks.findIndex((look) => look.after === after);
    const look = looks[index] ?? { name: durationText(after).replaceAll(' ', ''), after, ids: [] };
    looks.splice(index < 0 ? looks.length : index, 1, { ...look, ids: [...new Set([...look.ids, id])] });
  }
  return looks.sort((a, b) => a.after - b.after);
}

/** When the looks at a release are due, for the schedule. Pure. */
export function slotsOf({ release, since }: LiveSince, looks: readonly Look[]): { key: string; at: number }[] {
  return looks.map(({ name, after }) => ({ key: `${release}@${since}/${name}`, at: since + after }));
}

/** The last look whose time has come; undefined before the first. Pure. @param now milliseconds since 1970 */
export function lastLook(since: number, looks: readonly Look[], now: number): Look | undefined {
  return looks.findLast(({ after }) => since + after <= now);
}
