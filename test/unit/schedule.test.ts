import { describe, expect, it } from 'vitest';
import { addDays, instantOf, localDay, offsetAt } from '../../src/lib/local-time.ts';
import { due, lastSlot, type Schedule, type SlotHistory } from '../../src/lib/schedule.ts';
import { random as seeded } from '../support/random.ts';

const minute = 60_000;
const hour = 60 * minute;
const day = 24 * hour;
const from = Date.UTC(1985, 0, 3);
const until = Date.UTC(2038, 0, 1);

const at = (clock: string): number => {
  const [hours = 0, minutes = 0] = clock.split(':').map(Number);
  return hours * 60 + minutes;
};
const nightly: Schedule = { at: [at('02:00')] };

/** What a store would know, in memory. */
class Memory {
  readonly runs: { key: string; at: number }[] = [];
  readonly failures = new Map<string, { count: number; at: number }>();
  readonly of = (key: string): SlotHistory => {
    const failed = this.failures.get(key);
    return {
      succeeded: this.runs.some((run) => run.key === key),
      running: false,
      failures: failed?.count ?? 0,
      lastFailure: failed?.at ?? null,
    };
  };
}

/** Asks once, and runs what is due. */
function tick(memory: Memory, schedule: Schedule, zone: string, now: number, since = 0): void {
  const { run } = due({ schedule, zone, seed: 'test' }, since, memory.of, now);
  if (run) memory.runs.push({ key: run.key, at: now });
}

/** Instants at which the clocks of a zone are put, to the second. */
function transitions(zone: string): number[] {
  const found: number[] = [];
  const step = 21 * day;
  let offset = offsetAt(zone, from);
  for (let start = from; start < until; start += step) {
    const next = offsetAt(zone, start + step);
    if (offset === next) continue;
    offset = next;
    let [before, after] = [start, start + step];
    while (after - before > 1_000) {
      const middle = Math.floor((before + after) / 2_000) * 1_000;
      if (offsetAt(zone, middle) === offsetAt(zone, before)) before = middle;
      else after = middle;
    }
    found.push(after);
  }
  return found;
}

/** One zone of each kind, by how far it is from UTC in each week of some years. */
function kindsOfZones(): string[] {
  const kinds = new Map<string, string>();
  for (const zone of Intl.supportedValuesOf('timeZone')) {
    const offsets = Array.from({ length: 160 }, (_, week) => offsetAt(zone, Date.UTC(2026, 0, 1) + 7 * week * day));
    kinds.set(offsets.join(' '), zone);
  }
  return [...kinds.values()];
}

/** Of all changes of all clocks the first of each kind: from which offset to which, at which time of the day. */
function kindsOfChanges(): { zone: string; change: number }[] {
  const kinds = new Map<string, { zone: string; change: number }>();
  for (const zone of Intl.supportedValuesOf('timeZone')) {
    for (const change of transitions(zone)) {
      const before = offsetAt(zone, change - 1_000);
      const kind = [before, offsetAt(zone, change), (change + before) % day].join(' ');
      if (!kinds.has(kind)) kinds.set(kind, { zone, change });
    }
  }
  return [...kinds.values()];
}

describe('a nightly run (S1-46)', { timeout: 240_000 }, () => {
  it('comes exactly once a local day in every zone, through every kind of clock change from 1985 to 2037', () => {
    const changes = kindsOfChanges();
    // Gaps and overlaps of an hour, of half an hour (Lord Howe), of 45 minutes and of whole days are among them.
    expect(changes.length).toBeGreaterThan(150);
    const times = ['00:00', '01:30', '02:00', '02:45', '23:30'];
    for (const { zone, change } of changes) {
      for (const time of times) {
        const memory = new Memory();
        const schedule = { at: [at(time)] };
        const days = new Set<string>();
        const start = change - 2 * day;
        for (let now = start; now <= change + 3 * day; now += 30 * minute) {
          tick(memory, schedule, zone, now, start);
          days.add(localDay(zone, now));
        }
        // The first and the last two days are only partly seen.
        const whole = [...days].sort().slice(1, -2);
        const keys = memory.runs.map(({ key }) => key);
        expect(new Set(keys).size, `${zone} ${time}: no day twice in ${keys.join(' ')}`).toBe(keys.length);
        for (const each of whole) expect(keys, `${zone} ${time} at ${new Date(change).toISOString()}`).toContain(each);
      }
    }
  });

  it('comes once for each of the 366 nights of a year in every zone, at the wall clock time that was asked for', () => {
    for (const zone of kindsOfZones()) {
      for (const year of [2028]) {
        for (let of = `${year}-01-01`; of <= `${year}-12-31`; of = addDays(of, 1)) {
          const instant = instantOf(zone, of, at('02:00'));
          expect(instant, `${zone} ${of}`).toBeDefined();
          const shown = new Date((instant ?? 0) + offsetAt(zone, instant ?? 0)).toISOString().slice(0, 16);
          // Where two o'clock does not come, three does.
          expect([`${of}T02:00`, `${of}T02:30`, `${of}T03:00`], `${zone} ${of}`).toContain(shown);
        }
      }
    }
  });

  it.each([
    ['Europe/Berlin', '2026-03-29', '02:00', '2026-03-29T01:00:00.000Z'], // the gap: three o'clock at once
    ['Europe/Berlin', '2026-10-25', '02:00', '2026-10-25T00:00:00.000Z'], // the overlap: the first of both
    ['Australia/Lord_Howe', '2026-10-04', '02:15', '2026-10-03T15:30:00.000Z'], // a gap of half an hour
    ['Australia/Lord_Howe', '2026-04-05', '01:45', '2026-04-04T14:45:00.000Z'], // an overlap of half an hour
    ['Asia/Kathmandu', '2026-03-29', '02:00', '2026-03-28T20:15:00.000Z'], // 5 h 45 min ahead
    ['America/Sao_Paulo', '2018-11-04', '00:00', '2018-11-04T03:00:00.000Z'], // a day without midnight
  ])('is due in %s on %s %s at %s', (zone, of, time, instant) => {
    expect(new Date(instantOf(zone, of, at(time)) ?? 0).toISOString()).toBe(instant);
  });

  it('has no run for the day that Samoa never had', () => {
    expect(instantOf('Pacific/Apia', '2011-12-30', at('02:00'))).toBeUndefined();
    expect(instantOf('Pacific/Apia', '2011-12-31', at('02:00'))).toBeDefined();
  });
});

describe('what happens to hosts', { timeout: 120_000 }, () => {
  const zone = 'Europe/Berlin';
  const job = { schedule: nightly, zone, seed: 'test' };
  const monday = Date.UTC(2026, 10, 16, 12);

  it('a host that was off for a week makes up for the last night, once', () => {
    const memory = new Memory();
    tick(memory, nightly, zone, monday);
    for (let now = monday + 7 * day; now < monday + 7.4 * day; now += minute) tick(memory, nightly, zone, now);
    expect(memory.runs.map(({ key }) => key)).toEqual(['2026-11-16', '2026-11-23']);
  });

  it('an event loop that was blocked over two o’clock is late, not without a backup', () => {
    const memory = new Memory();
    tick(memory, nightly, zone, Date.UTC(2026, 10, 17, 0, 59));
    tick(memory, nightly, zone, Date.UTC(2026, 10, 17, 4, 37));
    tick(memory, nightly, zone, Date.UTC(2026, 10, 17, 4, 38));
    expect(memory.runs.map(({ key }) => key)).toEqual(['2026-11-16', '2026-11-17']);
  });

  it('a clock that is set back runs nothing twice, and one that was years ahead keeps nothing from running', () => {
    const memory = new Memory();
    const visit = (now: number) => tick(memory, nightly, zone, now);
    visit(monday);
    visit(monday + 3 * day);
    visit(monday); // set back
    visit(monday + 1 * day); // a day that was jumped over
    visit(Date.UTC(2041, 5, 1)); // far ahead
    visit(monday + 1 * day); // and back again
    visit(monday + 2 * day);
    visit(monday + 3 * day); // has had its run before the clock was set back
    visit(monday + 4 * day);
    const keys = memory.runs.map(({ key }) => key);
    expect(keys).toEqual(['2026-11-16', '2026-11-19', '2026-11-17', '2041-06-01', '2026-11-18', '2026-11-20']);
  });

  it('one run a night at the most, and none is missing, whatever the clock, the power and the load do', () => {
    for (let seed = 1; seed <= 20; seed += 1) {
      const random = seeded(seed);
      const zones = Intl.supportedValuesOf('timeZone');
      const where = zones[Math.floor(random() * zones.length)] ?? 'UTC';
      const memory = new Memory();
      const seen = new Set<string>();
      let now = Date.UTC(2026, Math.floor(random() * 12), 1);
      for (let step = 0; step < 1_500; step += 1) {
        tick(memory, nightly, where, now);
        const last = lastSlot({ schedule: nightly, zone: where, seed: 'test' }, now);
        if (last) seen.add(last.key);
        const chance = random();
        if (chance < 0.01) now -= random() * 40 * day;
        else if (chance < 0.02) now += random() * 400 * day;
        else now += chance < 0.05 ? random() * 5 * day : (0.2 + random()) * hour;
      }
      const keys = memory.runs.map(({ key }) => key);
      expect(new Set(keys).size, `${where}, seed ${seed}`).toBe(keys.length);
      // Every night after which the host was on for one tick has its run.
      expect(new Set(keys), `${where}, seed ${seed}`).toEqual(seen);
    }
  });

  it('has no business with nights before it existed', () => {
    const since = Date.UTC(2026, 10, 16, 9);
    const nothing = due(job, since, new Memory().of, since + hour);
    expect(nothing).toEqual({ run: null, missing: null, next: Date.UTC(2026, 10, 17, 1) });
  });

  it('tries again after 1, 5, 15, 30, 60 and 60 minutes, and never two nights at once', () => {
    const memory = new Memory();
    const tried: number[] = [];
    for (let now = Date.UTC(2026, 10, 17, 1); now < Date.UTC(2026, 10, 18, 1, 2); now += minute) {
      const { run } = due(job, 0, memory.of, now);
      if (!run) continue;
      tried.push(now);
      memory.failures.set(run.key, { count: (memory.failures.get(run.key)?.count ?? 0) + 1, at: now });
    }
    const pauses = tried.slice(1).map((each, index) => (each - (tried[index] ?? 0)) / minute);
    expect(pauses.slice(0, 6)).toEqual([1, 5, 15, 30, 60, 60]);
    // The next night begins anew.
    expect(tried.at(-2)).toBe(Date.UTC(2026, 10, 18, 1));
    expect(tried.at(-1)).toBe(Date.UTC(2026, 10, 18, 1, 1));
    // A failure that was dated by a clock that is set back since does not hold up anything.
    memory.failures.set('2026-11-18', { count: 9, at: Date.UTC(2031, 0, 1) });
    expect(due(job, 0, memory.of, Date.UTC(2026, 10, 18, 2)).run?.key).toBe('2026-11-18');
  });

  it('runs on one weekday only, or several times a day, each host a little apart', () => {
    const weekly = { schedule: { at: [at('04:00')], weekday: 0 }, zone, seed: 'a' };
    expect(lastSlot(weekly, monday)?.key).toBe('2026-11-15');
    const twice = (seed: string) => ({ schedule: { at: [at('03:00'), at('15:00')], jitter: hour }, zone, seed });
    expect(lastSlot(twice('a'), Date.UTC(2026, 10, 16, 20))?.key).toBe('2026-11-16/2');
    const spread = new Set(
      ['a', 'b', 'c', 'd'].map((seed) => lastSlot(twice(seed), Date.UTC(2026, 10, 16, 20))?.at ?? 0),
    );
    expect(spread.size).toBe(4);
    for (const one of spread) expect(one - Date.UTC(2026, 10, 16, 14)).toBeLessThan(hour);
  });
});
