import type { RotaConfig } from '../../config/alerts.ts';

const week = 7 * 86_400_000;

/** Who is on call, and until when. */
export interface OnCall {
  readonly name: string;
  readonly receivers: readonly string[];
  /** Local time at which the next person takes over: `2026-01-12 09:00 Europe/Berlin`. */
  readonly until: string;
}

/**
 * Who is on call (S0-61). Weeks are counted on the wall clock of the rota's zone, so that a handover stays at nine
 * o'clock through both changes of the clocks. Pure.
 * @param now milliseconds since 1970
 */
export function onCall(rota: RotaConfig, now: number): OnCall {
  const start = Date.parse(`${rota.start}T${rota.at}:00Z`);
  const weeks = Math.floor((wallClock(now, rota.zone) - start) / week);
  const count = rota.people.length;
  const person = rota.people[((weeks % count) + count) % count];
  if (!person) throw new RangeError('a rota has at least one person');
  const until = new Date(start + (weeks + 1) * week).toISOString();
  return {
    name: person.name,
    receivers: person.receivers,
    until: `${until.slice(0, 10)} ${until.slice(11, 16)} ${rota.zone}`,
  };
}

/** The wall clock of a zone, as if it were UTC. */
function wallClock(now: number, timeZone: string): number {
  const parts = new Intl.DateTimeFormat('en-GB', {
    timeZone,
    year: 'numeric',
    month: '2-digit',
    day: '2-digit',
    hour: '2-digit',
    minute: '2-digit',
    second: '2-digit',
    hourCycle: 'h23',
  }).formatToParts(now);
  const part = (type: Intl.DateTimeFormatPartTypes): string => parts.find((one) => one.type === type)?.value ?? '00';
  return Date.parse(
    `${part('year').padStart(4, '0')}-${part('month')}-${part('day')}T${part('hour')}:${part('minute')}:${part('second')}Z`,
  );
}
