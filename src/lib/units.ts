import { ApplianceError } from './errors.ts';

const durationUnits = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;
const byteUnits = {
  B: 1,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  TB: 1e12,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
  TiB: 2 ** 40,
} as const;

export const durationPattern = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/;
export const bytesPattern = /^(\d+(?:\.\d+)?)\s*(B|KB|MB|GB|TB|KiB|MiB|GiB|TiB)$/;

/**
 * Parses `500ms`, `30s`, `5m`, `2h` or `7d`.
 * @returns milliseconds
 * @throws ApplianceError `usage` when the text is anything else
 */
export function parseDuration(text: string): number {
  const match = durationPattern.exec(text.trim());
  if (!match)
    throw new ApplianceError('usage', `"${text}" is not a duration; write for example 500ms, 30s, 5m, 2h or 7d`);
  return Number(match[1]) * durationUnits[match[2] as keyof typeof durationUnits];
}

/**
 * Parses a share such as `10%` or `2.5%`, without the sign too.
 * @returns above 0 and below 1
 * @throws ApplianceError `usage` when the text is anything else
 */
export function parseShare(text: string): number {
  const percent = Number(/^(\d{1,2}(?:\.\d{1,4})?)\s*%?$/.exec(text.trim())?.[1] ?? Number.NaN);
  if (percent > 0) return percent / 100;
  throw new ApplianceError(
    'usage',
    `"${text}" is not a share of the requests; write for example 10%, above 0 and below 100`,
  );
}

/**
 * Parses `512MB` or `2GiB`.
 * @returns bytes
 * @throws ApplianceError `usage` when the text is anything else
 */
export function parseBytes(text: string): number {
  const match = bytesPattern.exec(text.trim());
  if (!match) throw new ApplianceError('usage', `"${text}" is not a size; write for example 512MB or 2GiB`);
  return Math.round(Number(match[1]) * byteUnits[match[2] as keyof typeof byteUnits]);
}

/** `850 ms`, `12.3 s`, `4 min 05 s`, `3 h 20 min`, `2 d 4 h` for people. @param ms milliseconds */
export function formatDuration(ms: number): string {
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  const seconds = ms / 1_000;
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${String(Math.floor(seconds % 60)).padStart(2, '0')} s`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return `${hours} h ${minutes % 60} min`;
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

/** As `formatDuration`, without the parts that are zero: `5 min`, `30 s`, `2 h`. @param ms milliseconds */
export function durationText(ms: number): string {
  return formatDuration(ms)
    .replace(/ 00 s$| 0 (?:min|h)$/, '')
    .replace(/\.0 s$/, ' s');
}

/** `812 B`, `3.4 MiB`, … for people. @param bytes a size in bytes */
export function formatBytes(bytes: number): string {
  const names = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < names.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${names[unit]}`;
}
