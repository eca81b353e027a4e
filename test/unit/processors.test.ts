import { availableParallelism, cpus } from 'node:os';
import { expect, it } from 'vitest';
import { lastOf, lastProcessors } from '../../src/host/processors.ts';

it.each([
  ['0-1', 1, '1'],
  ['0-7', 2, '6,7'],
  ['0,2-3,8', 2, '3,8'],
  ['0-1', 2, undefined],
  ['3', 1, undefined],
  ['0-1', 4, undefined],
  ['', 1, undefined],
])('of %s the last %d are %s', (list, wanted, expected) => {
  expect(lastOf(list, wanted)).toBe(expected);
});

it('asks the kernel', async () => {
  // A process may have the time of two of them, and be let on all eight.
  expect(await lastProcessors(cpus().length)).toBeUndefined();
  if (availableParallelism() > 1) expect(await lastProcessors(1)).toMatch(/^\d+$/);
});
