import { setImmediate as breathe } from 'node:timers/promises';
import type { Cursor } from './bytes.ts';
import { Machine, type Named, type Reading } from './machine.ts';
import { operations } from './opcodes.ts';
import { Refused } from './values.ts';

/** Most operations of one pickle, and pickles inside of each other: a bomb ends here, a model does not. */
const bounds = { operations: 100_000_000, nesting: 8 } as const;
/** Operations between two pauses in which others may work. */
const stretch = 20_000;

/**
 * Runs one pickle without ever making an object.
 * @returns when STOP is reached; the cursor stands behind it
 * @throws Refused, Truncated with the first reason not to load it
 */
export async function interpret(cursor: Cursor, reading: Reading, named: Named, nesting = 0): Promise<void> {
  if (nesting > bounds.nesting) throw new Refused('pickles are nested too deep');
  const machine = new Machine(cursor, reading, named);
  for (let count = 1; ; count += 1) {
    if (count > bounds.operations) throw new Refused('it has more operations than any model needs');
    if (count % stretch === 0) {
      await breathe();
      reading.signal.throwIfAborted();
    }
    const code = cursor.byte();
    const operation = operations.get(code);
    if (!operation)
      throw new Refused(`byte ${cursor.position - 1} is no operation that is known (0x${code.toString(16)})`);
    const next = operation(machine);
    machine.checkFrame();
    if (next === 'stop') {
      machine.pop();
      return;
    }
    // Items of an object array are a pickle of their own, which joblib reads with `pickle.load`.
    if (next === 'pickled') await interpret(cursor, { ...reading, joblib: false }, named, nesting + 1);
  }
}
