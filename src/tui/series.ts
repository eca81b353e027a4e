import type { ServiceStatus, Status } from '../api/schema.ts';
import type { Glyphs } from './line.ts';

/** Readings that are kept of each service. */
const kept = 60;
/** Milliseconds that lie between two of them: a status may be asked for more often. */
const apart = 4_500;

interface Readings {
  readonly at: number;
  readonly cpu: readonly number[];
  readonly memory: readonly number[];
}

/** What each container used in the last minutes, by `keyOf`. */
export type Series = ReadonlyMap<string, Readings>;

/** @returns the key of a container in a `Series` */
export function keyOf({ project, name }: Pick<ServiceStatus, 'project' | 'name'>): string {
  return `${project}/${name}`;
}

/** Adds the readings of a status. @param now milliseconds since 1970 */
export function withReadings(series: Series, services: readonly ServiceStatus[], now: number): Series {
  const next = new Map<string, Readings>();
  for (const service of services) {
    const key = keyOf(service);
    const before = series.get(key) ?? { at: Number.NEGATIVE_INFINITY, cpu: [], memory: [] };
    const { cpuPercent, memoryBytes } = service;
    const due = now - before.at >= apart && cpuPercent !== null && memoryBytes !== null;
    const add = (values: readonly number[], value: number) => [...values.slice(1 - kept), value];
    next.set(
      key,
      due ? { at: now, cpu: add(before.cpu, cpuPercent), memory: add(before.memory, memoryBytes) } : before,
    );
  }
  return next;
}

/** What was answered in the last minutes: requests a second, share of errors, p95 in seconds. */
export interface RequestSeries {
  readonly at: number;
  readonly rate: readonly number[];
  readonly errors: readonly number[];
  readonly p95: readonly number[];
}

export const noRequests: RequestSeries = { at: Number.NEGATIVE_INFINITY, rate: [], errors: [], p95: [] };

/** Adds the reading of a status. What nobody knows leaves no bar. @param now milliseconds since 1970 */
export function withRequests(series: RequestSeries, requests: Status['requests'], now: number): RequestSeries {
  if (!requests || now - series.at < apart) return series;
  const add = (values: readonly number[], value: number | null) =>
    value === null ? values : [...values.slice(1 - kept), value];
  const { perSecond, errorRatio, p95 } = requests;
  return {
    at: now,
    rate: add(series.rate, perSecond),
    errors: add(series.errors, errorRatio),
    p95: add(series.p95, p95),
  };
}

/**
 * The last values as a row of bars, the newest at the right; blank where there are no readings yet.
 * @param width columns
 * @param least the highest value that fills a bar is never below this, so that noise does not look like load
 */
export function sparkline(values: readonly number[], width: number, least: number, glyphs: Glyphs): string {
  const shown = values.slice(-width);
  const top = Math.max(least, ...shown);
  const bars = shown.map((value) => {
    const step = Math.round((Math.max(0, value) / top) * (glyphs.bars.length - 1));
    return glyphs.bars[step] ?? '';
  });
  return bars.join('').padStart(width);
}
