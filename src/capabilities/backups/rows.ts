import { count } from '../../lib/text.ts';

/** Where the rows of two databases differ: `public.orders: 3 rows (expected 50,000)`. Pure. */
export function rowDifferences(
  expected: Readonly<Record<string, number>>,
  seen: Readonly<Record<string, number>>,
): string[] {
  const tables = [...new Set([...Object.keys(expected), ...Object.keys(seen)])].sort();
  return tables.flatMap((table) => {
    const [wanted, found] = [expected[table], seen[table]];
    if (wanted === found) return [];
    const is = found === undefined ? 'not there' : count(found, 'row');
    return [`${table}: ${is} (expected ${wanted === undefined ? 'no such table' : count(wanted, 'row')})`];
  });
}
