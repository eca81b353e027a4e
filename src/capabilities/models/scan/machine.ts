import { passArray } from './array.ts';
import type { Cursor } from './bytes.ts';
import { attribute, call, callOf } from './calls.ts';
import { type OwnClasses, roleOf } from './names.ts';
import { type Dict, data, type GlobalName, Refused, textOf, type Value } from './values.ts';

/** How a file is going to be read. */
export interface Reading {
  readonly own: OwnClasses;
  /** joblib reads raw bytes behind a NumpyArrayWrapper, `pickle` does not: the same file means different things. */
  readonly joblib: boolean;
  /** Text that may look like a pickle by chance: names are no proof, calls are. */
  readonly lenient?: boolean;
  /** Stops with its reason. */
  readonly signal: AbortSignal;
}

/** What one pickle has named, for the report. */
export interface Named {
  readonly globals: Set<string>;
}

/** Most values on the stack and in the memo of one pickle: a bomb ends here, a model does not. */
const bounds = { stack: 2_000_000, memo: 5_000_000 } as const;
/** Entries of a dict that are kept. */
const keptEntries = 64;

/** The stack of an unpickler: as in CPython, a mark puts the old one aside. */
export class Machine {
  stack: Value[] = [];
  readonly #aside: Value[][] = [];
  readonly memo = new Map<number, Value>();
  readonly cursor: Cursor;
  readonly reading: Reading;
  readonly #named: Named;
  #frameEnd: number | undefined;
  #depth = 0;

  constructor(cursor: Cursor, reading: Reading, named: Named) {
    this.cursor = cursor;
    this.reading = reading;
    this.#named = named;
  }

  push(value: Value): void {
    if (this.stack.length + this.#depth >= bounds.stack) throw new Refused('it stacks more values than any model does');
    this.stack.push(value);
  }

  pop(): Value {
    const value = this.stack.pop();
    if (!value) throw new Refused('it takes a value from an empty stack');
    return value;
  }

  top(): Value {
    const value = this.stack.at(-1);
    if (!value) throw new Refused('it looks at an empty stack');
    return value;
  }

  mark(): void {
    this.#depth += this.stack.length + 1;
    this.#aside.push(this.stack);
    this.stack = [];
  }

  /** What stands above the last mark, which goes. */
  popMark(): Value[] {
    const above = this.stack;
    const below = this.#aside.pop();
    if (!below) throw new Refused('it asks for a mark that was never set');
    this.stack = below;
    this.#depth -= below.length + 1;
    return above;
  }

  /** Python pops a mark where the stack above it is empty. */
  discard(): void {
    if (this.stack.length > 0) this.stack.pop();
    else this.popMark();
  }

  remember(index: number): void {
    if (this.memo.size >= bounds.memo) throw new Refused('it remembers more values than any model does');
    this.memo.set(index, this.top());
  }

  recall(index: number): void {
    const value = this.memo.get(index);
    if (!value) throw new Refused(`it recalls value ${index}, which was never remembered`);
    this.push(value);
  }

  global(module: string | undefined, name: string | undefined): GlobalName {
    if (module === undefined || name === undefined)
      throw new Refused('it imports a name that stands nowhere as a plain text');
    const global: GlobalName = { kind: 'global', module, name };
    const written = `${module}.${name}`;
    if (this.#named.globals.size < 10_000) this.#named.globals.add(written);
    if (!this.reading.lenient && roleOf(global, this.reading.own) === undefined)
      throw new Refused(`it imports ${written.slice(0, 200)}, which no model needs`);
    return global;
  }

  frame(length: number): void {
    if (this.#frameEnd !== undefined && this.cursor.position < this.#frameEnd)
      throw new Refused('a frame begins inside of another');
    if (length > this.cursor.left) throw new Refused('a frame is longer than the file');
    this.#frameEnd = this.cursor.position + length;
  }

  /** Frames are read ahead: something that lies across the end of one is read differently by different readers. */
  checkFrame(): void {
    if (this.#frameEnd !== undefined && this.cursor.position > this.#frameEnd)
      throw new Refused('something lies across the end of a frame');
    if (this.cursor.position === this.#frameEnd) this.#frameEnd = undefined;
  }

  /** Calls what lies on the stack, or refuses to. */
  reduce(callee: Value, args: Value): void {
    this.push(call(callee, args, this.reading.own));
  }

  create(callee: Value, args: readonly Value[]): void {
    this.push(callOf(callee, args, this.reading.own));
  }

  setEntries(target: Value, pairs: readonly Value[]): void {
    if (pairs.length % 2 === 1) throw new Refused('it sets a key without a value');
    if (target.kind === 'dict') {
      for (let index = 0; index < pairs.length; index += 2)
        setEntry(target, pairs[index] ?? data, pairs[index + 1] ?? data);
      return;
    }
    assertContainer(target, this.reading.own);
  }

  append(target: Value): void {
    if (target.kind !== 'list' && target.kind !== 'set') assertContainer(target, this.reading.own);
  }

  /** BUILD. @returns whether the items of an array stand next, pickled */
  build(): boolean {
    const state = this.pop();
    const target = this.top();
    attribute(target, state);
    if (target.kind !== 'made' || target.of.name !== 'NumpyArrayWrapper') return false;
    if (!this.reading.joblib)
      throw new Refused('it holds an array as only joblib reads it, but its name says that something else will');
    // joblib reads what follows from the file, past what a frame has already taken from it.
    this.checkFrame();
    if (this.#frameEnd !== undefined) throw new Refused('an array of joblib begins inside of a frame');
    const passed = passArray(target, this.cursor);
    this.pop();
    this.push(data);
    return passed === 'pickled';
  }
}

function setEntry(dict: Dict, key: Value, value: Value): void {
  const name = textOf(key);
  if (name === undefined) {
    if (key.kind === 'text') dict.overfull = true;
    return;
  }
  if (/^__.*__$/s.test(name)) dict.magic = name;
  if (dict.entries.size < keptEntries || dict.entries.has(name)) dict.entries.set(name, value);
  else dict.overfull = true;
}

function assertContainer(target: Value, own: OwnClasses): void {
  if (target.kind === 'made' && roleOf(target.of, own) === 'container') return;
  throw new Refused('it fills something that is no plain container');
}
