/** One line of the benchmark table. */
export interface Row {
  readonly name: string;
  readonly value: number;
  readonly unit: string;
  /** What was measured beside it, in the same run. */
  readonly rival?: { readonly name: string; readonly value: number };
  /** Median of the paired ratios, ours to the rival's. */
  readonly ratio?: number;
  /** How far single runs lay apart, in words. */
  readonly spread?: string;
  readonly target: string;
  readonly met: boolean;
}

/** The middle value; of an even number the mean of the middle two. @throws RangeError for no values */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const upper = sorted[sorted.length >> 1];
  const lower = sorted[(sorted.length - 1) >> 1];
  if (upper === undefined || lower === undefined) throw new RangeError('no values, no median');
  return (lower + upper) / 2;
}

/** The values from the first to the third quartile: what a busy neighbour did to single runs is left out. */
export function middleHalf(values: readonly number[]): number[] {
  const sorted = [...values].sort((a, b) => a - b);
  const quarter = Math.floor(sorted.length / 4);
  return sorted.slice(quarter, sorted.length - quarter);
}

/** Smallest and largest value, as `0.91–0.97`. @param digits decimals */
export function range(values: readonly number[], digits = 2): string {
  return `${Math.min(...values).toFixed(digits)}–${Math.max(...values).toFixed(digits)}`;
}

function number(value: number): string {
  const digits = Number.isInteger(value) ? 0 : Math.abs(value) < 10 ? 2 : Math.abs(value) < 100 ? 1 : 0;
  return value.toLocaleString('en-US', { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

/** The rows as a Markdown table. */
export function table(rows: readonly Row[]): string {
  const head = ['what', 'measured', 'beside it', 'ratio', 'spread', 'target', 'met'];
  const cells = rows.map((row) => [
    row.name,
    `${number(row.value)} ${row.unit}`.trim(),
    row.rival ? `${number(row.rival.value)} ${row.unit} (${row.rival.name})` : '–',
    row.ratio === undefined ? '–' : row.ratio.toFixed(2),
    row.spread ?? '–',
    row.target,
    row.met ? 'yes' : '**no**',
  ]);
  return [head, head.map(() => '---'), ...cells].map((line) => `| ${line.join(' | ')} |`).join('\n');
}

/** Runs one benchmark alone and prints its table; the exit status is 1 when a target is missed. */
export async function main(bench: () => Promise<Row[]>): Promise<void> {
  const rows = await bench();
  process.stdout.write(`${table(rows)}\n`);
  process.exitCode = rows.every((row) => row.met) ? 0 : 1;
}
