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

/** Where rows are missing that are expected; there may be more of them, where somebody writes meanwhile. Pure. */
export function lostRows(expected: Readonly<Record<string, number>>, seen: Readonly<Record<string, number>>): string[] {
  const known = Object.entries(seen).filter(([table, rows]) => rows < (expected[table] ?? 0));
  const missing = Object.entries(expected).filter(([table]) => seen[table] === undefined);
  const short = Object.fromEntries(known);
  return rowDifferences(
    Object.fromEntries([...missing, ...known.map(([table]) => [table, expected[table] ?? 0] as const)]),
    short,
  );
}
