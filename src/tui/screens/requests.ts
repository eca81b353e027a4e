import { share } from '../../api/describe.ts';
import type { Status } from '../../api/schema.ts';
import { formatDuration } from '../../lib/units.ts';
import { dim, type Glyphs, type Segment } from '../line.ts';
import { type RequestSeries, sparkline } from '../series.ts';

/** Readings that a line of bars shows; one is five seconds. */
const sparks = 8;
/** Columns from which on there is room for bars. */
const widthForBars = 66;
/** Values that fill a bar at least, so that noise does not look like load: a request a second, 1 %, 10 ms. */
const least = { rate: 1, errors: 0.01, p95: 0.01 } as const;

/** What the edge has answered in the last minute, with bars: `12.4/s ▁▃▅  errors 0.21 % ▁▁▁  p95 84.0 ms ▅▅▅` */
export function requestSegments(
  now: Status['requests'],
  series: RequestSeries,
  width: number,
  glyphs: Glyphs,
): readonly Segment[] {
  if (!now) return [dim('nobody reads the access log yet')];
  const part = (name: keyof typeof least, label: string, text: string): Segment[] => [
    dim(label),
    { text },
    ...(width < widthForBars
      ? []
      : [{ text: ` ${sparkline(series[name], sparks, least[name], glyphs)}`, color: 'cyan' }]),
  ];
  const { perSecond, errorRatio, p95 } = now;
  return [
    ...part('rate', '', `${perSecond.toFixed(perSecond < 100 ? 1 : 0)}/s`),
    ...part('errors', '  errors ', errorRatio === null ? glyphs.none : share(errorRatio)),
    ...part('p95', '  p95 ', p95 === null ? glyphs.none : formatDuration(p95 * 1_000)),
  ];
}
