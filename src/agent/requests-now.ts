import type { Status } from '../api/schema.ts';
import type { Traffic } from '../capabilities/traffic/index.ts';
import type { Clock } from '../lib/clock.ts';
import { colours } from '../lib/colour.ts';
import { quantileOf } from '../lib/histogram.ts';
import { type Measurement, sumOf } from '../lib/measurement.ts';

/** Milliseconds that are looked back on. */
const span = 60_000;
/** Milliseconds that a status waits for the access log; the first time, hours of it are read, and that goes on beside. */
const patience = 500;

/**
 * What the edge has answered in the last minute, all colours together, from its access log.
 * @returns null while nothing can be said: there is no log, it cannot be read, or its beginning is still being read
 */
export async function requestsNow(
  { meter }: { readonly meter: Pick<Traffic['meter'], 'poll' | 'measure'> },
  clock: Pick<Clock, 'now' | 'sleep'>,
): Promise<NonNullable<Status['requests']> | null> {
  const late = new AbortController();
  const waited = clock.sleep(patience, late.signal).then(
    () => false,
    () => false,
  );
  const read = await Promise.race([meter.poll().then(() => true), waited]);
  late.abort();
  if (!read) return null;
  const to = clock.now();
  const all = (metric: string): Measurement | undefined => {
    const seen = colours.map((colour) => meter.measure(metric, { colour }, { from: to - span, to }));
    const known = seen.filter(({ kind }) => kind !== 'none');
    return known.length === 0 ? undefined : sumOf(known);
  };
  const [errors, times] = [all('errors'), all('latency-p95')];
  if (errors?.kind !== 'share' || times?.kind !== 'times') return null;
  const seconds = span / 1_000;
  return {
    seconds,
    perSecond: errors.of / seconds,
    errorRatio: errors.of === 0 ? null : errors.hits / errors.of,
    p95: quantileOf(times.times, 0.95) ?? null,
  };
}
