/** How two JSON values are compared. */
export interface JsonRule {
  /** How far numbers may be apart, as a share of the greater one, or of 1 where both are smaller. */
  readonly tolerance: number;
  /** Places that may differ: `took`, `items.*.id`. */
  readonly ignore: readonly string[];
}

/** Characters of a place that are told; keys may be data. */
const longestPlace = 120;

/**
 * The first place where two JSON values differ, such as `items.3.price`, or undefined when there is none. Names the place,
 * never the values. Pure.
 */
export function jsonDifference(live: unknown, shadow: unknown, { tolerance, ignore }: JsonRule): string | undefined {
  const patterns = ignore.map((pattern) => pattern.split('.'));
  const ignored = (place: readonly string[]): boolean =>
    patterns.some(
      (pattern) =>
        pattern.length === place.length && pattern.every((part, index) => part === '*' || part === place[index]),
    );
  const walk = (a: unknown, b: unknown, place: readonly string[]): readonly string[] | undefined => {
    if (place.length > 0 && ignored(place)) return undefined;
    if (typeof a === 'number' && typeof b === 'number') return near(a, b, tolerance) ? undefined : place;
    const [left, right] = [entries(a), entries(b)];
    if (left === undefined || right === undefined || Array.isArray(a) !== Array.isArray(b))
      return a === b ? undefined : place;
    for (const key of new Set([...left.keys(), ...right.keys()])) {
      const deeper = [...place, key];
      const different =
        left.has(key) && right.has(key)
          ? walk(left.get(key), right.get(key), deeper)
          : ignored(deeper)
            ? undefined
            : deeper;
      if (different) return different;
    }
    return undefined;
  };
  const place = walk(live, shadow, []);
  return place && (place.length === 0 ? 'the whole' : place.join('.').slice(0, longestPlace));
}

function near(a: number, b: number, tolerance: number): boolean {
  return Math.abs(a - b) <= tolerance * Math.max(1, Math.abs(a), Math.abs(b));
}

/** The members of an object or array; undefined for all else. */
function entries(value: unknown): ReadonlyMap<string, unknown> | undefined {
  return typeof value === 'object' && value !== null ? new Map(Object.entries(value)) : undefined;
}
