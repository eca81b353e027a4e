/** Local time of any IANA zone, by the rules that the runtime carries (ICU). Pure. All instants are milliseconds since 1970. */

const minute = 60_000;
const hour = 60 * minute;
const day = 24 * hour;

/** A local day, `2026-03-29`. Days compare as text. */
export type LocalDay = string;

const formatters = new Map<string, Intl.DateTimeFormat>();

function formatter(zone: string): Intl.DateTimeFormat {
  let found = formatters.get(zone);
  if (!found) {
    found = new Intl.DateTimeFormat('en-US', {
      timeZone: zone,
      calendar: 'gregory',
      hourCycle: 'h23',
      year: 'numeric',
      month: 'numeric',
      day: 'numeric',
      hour: 'numeric',
      minute: 'numeric',
      second: 'numeric',
    });
    formatters.set(zone, found);
  }
  return found;
}

/** Whether the runtime knows a zone by this name. */
export function isZone(zone: string): boolean {
  try {
    formatter(zone);
    return true;
  } catch {
    return false;
  }
}

/** The zone of this host, as the runtime understands it (`TZ`, else /etc/localtime). */
export function hostZone(): string {
  return new Intl.DateTimeFormat().resolvedOptions().timeZone;
}

/** What the clock on the wall shows, written as if it were UTC. */
function wall(zone: string, at: number): number {
  const parts: Partial<Record<string, string>> = {};
  for (const { type, value } of formatter(zone).formatToParts(at)) parts[type] = value;
  const number = (name: string): number => Number(parts[name]);
  return Date.UTC(
    number('year'),
    number('month') - 1,
    number('day'),
    number('hour'),
    number('minute'),
    number('second'),
  );
}

/** Milliseconds by which a zone is ahead of UTC. */
export function offsetAt(zone: string, at: number): number {
  const seconds = Math.floor(at / 1_000) * 1_000;
  return wall(zone, seconds) - seconds;
}

/** The local day of an instant. */
export function localDay(zone: string, at: number): LocalDay {
  return new Date(wall(zone, Math.floor(at / 1_000) * 1_000)).toISOString().slice(0, 10);
}

/** The day so many days later, by the calendar. */
export function addDays(of: LocalDay, days: number): LocalDay {
  return new Date(Date.parse(`${of}T00:00:00Z`) + days * day).toISOString().slice(0, 10);
}

/** 0 Sunday to 6 Saturday. */
export function weekdayOf(of: LocalDay): number {
  return new Date(`${of}T00:00:00Z`).getUTCDay();
}

/** Instants that were asked for lately: the same few are asked for every minute. */
const known = new Map<string, number | undefined>();
const mostKnown = 2_000;

/**
 * The first instant at which the clock on the wall shows a time of a day or, where the clock is put over that time, the
 * instant at which it is put.
 * @param time minutes since midnight
 * @returns undefined for a day that a zone never had (Pacific/Apia has no 30th of December 2011)
 */
export function instantOf(zone: string, of: LocalDay, time: number): number | undefined {
  const key = `${zone} ${of} ${time}`;
  if (known.has(key)) return known.get(key);
  if (known.size >= mostKnown) known.clear();
  const at = findInstant(zone, of, time);
  known.set(key, at);
  return at;
}

function findInstant(zone: string, of: LocalDay, time: number): number | undefined {
  const wanted = Date.parse(`${of}T00:00:00Z`) + time * minute;
  // Zones are at most 14 h ahead of UTC and 12 h behind; local mean times were up to 16 h away.
  const [from, until] = [wanted - 16 * hour, wanted + 16 * hour];
  const offsets = offsetsBetween(zone, from, until);
  const shown = offsets.map((offset) => wanted - offset).filter((at) => offsetAt(zone, at) === wanted - at);
  if (shown.length > 0) return Math.min(...shown);
  const jump = firstAfter(zone, from, until, wanted);
  // The clock was put over the time: if it was put from another day as well, this day never was.
  return localDay(zone, jump) === of || localDay(zone, jump - 1_000) === of ? jump : undefined;
}

/** Each offset that a zone has between two instants. */
function offsetsBetween(zone: string, from: number, until: number): number[] {
  const [first, last] = [offsetAt(zone, from), offsetAt(zone, until)];
  if (first === last) return [first];
  const offsets = new Set([first, last]);
  for (let at = from; at < until; at += hour) offsets.add(offsetAt(zone, at));
  return [...offsets];
}

/** The first instant, to the second, whose wall clock is beyond a time that it never shows. */
function firstAfter(zone: string, from: number, until: number, wanted: number): number {
  let [before, after] = [from, until];
  while (after - before > 1_000) {
    const middle = Math.floor((before + after) / 2_000) * 1_000;
    if (middle + offsetAt(zone, middle) < wanted) before = middle;
    else after = middle;
  }
  return after;
}
