/**
 * Times to answer, counted in classes. Classes end at whole milliseconds, which is how finely nginx tells them; limits that
 * a policy names are ends of classes, so that "slower than 200 ms" is an exact count and not a guess (field of a p95 of
 * 110 ms that a class from 100 to 250 ms would show as 242 ms).
 */
export interface Histogram {
  /** Upper ends of the classes in seconds, rising, each included. One more class has no end. */
  readonly edges: readonly number[];
  readonly counts: readonly number[];
  readonly count: number;
  /** Sum of the times, and of their squares. */
  readonly sum: number;
  readonly squares: number;
}

const longest = 100_000;
const growth = 1.1;

/** Limits of the policies that come with the program, in seconds. */
export const statedLimits: readonly number[] = [0.1, 0.12, 0.15, 0.2, 0.3, 0.5, 1];

/** Ends of classes: 1 ms to 100 s, each a tenth longer than the one before, and every limit in use. @param limits seconds */
export function latencyEdges(limits: readonly number[] = []): number[] {
  const edges = new Set([...statedLimits, ...limits].map((limit) => Math.round(limit * 1_000)).filter((ms) => ms > 0));
  for (let ms = 1; ms < longest; ms = Math.max(ms + 1, Math.round(ms * growth))) edges.add(ms);
  edges.add(longest);
  return [...edges].sort((a, b) => a - b).map((ms) => ms / 1_000);
}

export function histogramOf(times: Iterable<number>, edges: readonly number[] = latencyEdges()): Histogram {
  const counts = new Array<number>(edges.length + 1).fill(0);
  let [count, sum, squares] = [0, 0, 0];
  for (const time of times) {
    const found = edges.findIndex((edge) => time <= edge);
    const index = found < 0 ? edges.length : found;
    counts[index] = (counts[index] ?? 0) + 1;
    count += 1;
    sum += time;
    squares += time * time;
  }
  return { edges, counts, count, sum, squares };
}

/** Both together. They must have the same classes. */
export function addHistograms(one: Histogram, other: Histogram): Histogram {
  return {
    edges: one.edges,
    counts: one.counts.map((held, index) => held + (other.counts[index] ?? 0)),
    count: one.count + other.count,
    sum: one.sum + other.sum,
    squares: one.squares + other.squares,
  };
}

/** How many took longer than a limit in seconds; exact where the limit is the end of a class, else linear within it. */
export function slowerThan({ edges, counts, count }: Histogram, limit: number): number {
  let faster = 0;
  for (const [index, held] of counts.entries()) {
    const edge = edges[index];
    if (edge === undefined || held === 0) continue;
    const start = edges[index - 1] ?? 0;
    if (edge <= limit) faster += held;
    else if (start < limit) faster += Math.floor((held * (limit - start)) / (edge - start));
  }
  return count - faster;
}

/** The time in seconds within which a share of the requests was answered; undefined without any. */
export function quantileOf({ edges, counts, count }: Histogram, share: number): number | undefined {
  if (count === 0) return undefined;
  const rank = Math.min(count, Math.max(1, Math.ceil(share * count)));
  let seen = 0;
  for (const [index, held] of counts.entries()) {
    if (seen + held >= rank) {
      const start = edges[index - 1] ?? 0;
      const end = edges[index] ?? start * growth;
      return start + ((end - start) * (rank - seen)) / held;
    }
    seen += held;
  }
  return undefined;
}
