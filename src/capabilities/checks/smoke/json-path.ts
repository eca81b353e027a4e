/**
 * What stands at a place of a JSON document: `status`, `items.0.name`, `predictions.*.confidence`.
 * @returns every value found; none where there is none
 */
export function valuesAt(document: unknown, path: string): unknown[] {
  if (path === '') return [document];
  return path.split('.').reduce<unknown[]>((found, key) => found.flatMap((value) => inside(value, key)), [document]);
}

function inside(value: unknown, key: string): unknown[] {
  if (typeof value !== 'object' || value === null) return [];
  if (key === '*') return Object.values(value);
  if (Array.isArray(value)) return /^\d+$/.test(key) && Number(key) < value.length ? [value[Number(key)]] : [];
  const found = Object.entries(value).find(([name]) => name === key);
  return found ? [found[1]] : [];
}
