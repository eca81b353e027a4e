import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';

const tests = join(import.meta.dirname, '..');
const files = globSync('{integration,faults,e2e}/*.ts', { cwd: tests });

/** What several files mention, with their names. */
function shared(pattern: RegExp): Record<string, string[]> {
  const users = new Map<string, string[]>();
  for (const file of files) {
    const found = readFileSync(join(tests, file), 'utf8').matchAll(pattern);
    for (const value of new Set([...found].map(([, text = '']) => text.replaceAll('_', ''))))
      users.set(value, [...(users.get(value) ?? []), file]);
  }
  expect(users.size).toBeGreaterThan(20);
  return Object.fromEntries([...users].filter(([, all]) => all.length > 1));
}

// They run side by side, and what a killed one has left holds its port and its range until that one runs again.
it.each([
  ['port', /\b(?:port|monitoring|https?)(?: =|:) (\d\d_?\d{3})\b/g],
  ['range of addresses', /\bpool: '?(10\.[\d.]+\/\d+)/g],
])('no two files of tests have the same %s', (_, pattern) => {
  expect(shared(pattern)).toEqual({});
});
