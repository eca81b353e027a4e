import type { Machine } from './machine.ts';
import { type Dict, data, Refused, textOf, type Value } from './values.ts';

/** It answers `stop`, or `pickled` where a pickle of its own comes next; any other answer means: go on. */
type Operation = (machine: Machine) => unknown;

/** Longest text whose value is kept: names and keys are shorter. */
const keptText = 1_024;
const none: Value = { kind: 'none' };
const list: Value = { kind: 'list' };
const set: Value = { kind: 'set' };

const dict = (): Dict => ({ kind: 'dict', entries: new Map(), magic: undefined, overfull: false });
const tuple = (items: readonly Value[]): Value => ({ kind: 'tuple', items });
const number = (value: number | undefined): Value => ({ kind: 'number', value });

/** A text as both readers of Python see it; anything that is not plain has no value here. */
function text(bytes: Buffer): Value {
  if (bytes.length > keptText) return { kind: 'text', value: undefined };
  const value = bytes.toString('utf8');
  return { kind: 'text', value: Buffer.from(value).equals(bytes) ? value : undefined };
}

/** A text of protocol 0: with a backslash it is written in another way than it is read. */
function escaped(bytes: Buffer): Value {
  return bytes.includes(0x5c) || bytes.some((byte) => byte > 0x7e) ? { kind: 'text', value: undefined } : text(bytes);
}

function quoted(line: Buffer): Value {
  const [first] = line;
  if (line.length < 2 || (first !== 0x27 && first !== 0x22) || line.at(-1) !== first)
    throw new Refused('a text has no quotes around it');
  return escaped(line.subarray(1, -1));
}

/** Little-endian length of eight bytes. */
function long(bytes: Buffer): number {
  const value = bytes.readBigUInt64LE(0);
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw new Refused('a length is beyond any file');
  return Number(value);
}

function integer(bytes: Buffer): number | undefined {
  if (bytes.length > 6) return undefined;
  return bytes.length === 0 ? 0 : bytes.readIntLE(0, bytes.length);
}

/** Bytes whose content matters to nobody here; they are passed, not read. */
const passed =
  (length: (machine: Machine) => number): Operation =>
  (machine) => {
    machine.cursor.skip(length(machine));
    machine.push(data);
  };
const spoken =
  (length: (machine: Machine) => number): Operation =>
  (machine) => {
    const count = length(machine);
    if (count > keptText) {
      machine.cursor.skip(count);
      machine.push({ kind: 'text', value: undefined });
    } else machine.push(text(machine.cursor.take(count)));
  };
const oneByte = ({ cursor }: Machine): number => cursor.byte();
const fourBytes = ({ cursor }: Machine): number => cursor.take(4).readUInt32LE(0);
const signedFour = ({ cursor }: Machine): number => {
  const length = cursor.take(4).readInt32LE(0);
  if (length < 0) throw new Refused('a length is negative');
  return length;
};
const eightBytes = ({ cursor }: Machine): number => long(cursor.take(8));
const refuse =
  (why: string): Operation =>
  () => {
    throw new Refused(why);
  };
const decimal = (line: Buffer): number => {
  const written = line.toString('latin1');
  if (!/^\d{1,9}$/.test(written)) throw new Refused('an index is not written as a number');
  return Number(written);
};
const word = (bytes: Buffer): string | undefined => textOf(text(bytes));

/** Operations of the pickle format by their byte, protocols 0 to 5 (CPython `pickletools`). */
export const operations: ReadonlyMap<number, Operation> = new Map(
  Object.entries({
    '\x80': (m) => {
      if (m.cursor.byte() > 5) throw new Refused('it uses a protocol after 5');
    },
    '\x95': (m) => m.frame(eightBytes(m)),
    '.': () => 'stop',
    // Stack and memo.
    '(': (m) => m.mark(),
    '0': (m) => m.discard(),
    '1': (m) => void m.popMark(),
    '2': (m) => m.push(m.top()),
    p: (m) => m.remember(decimal(m.cursor.line())),
    q: (m) => m.remember(m.cursor.byte()),
    r: (m) => m.remember(fourBytes(m)),
    // CPython counts what is remembered, whatever the indexes of PUT were (picklescan#14).
    '\x94': (m) => m.remember(m.memo.size),
    g: (m) => m.recall(decimal(m.cursor.line())),
    h: (m) => m.recall(m.cursor.byte()),
    j: (m) => m.recall(fourBytes(m)),
    // Values.
    N: (m) => m.push(none),
    '\x88': (m) => m.push(data),
    '\x89': (m) => m.push(data),
    I: (m) => {
      const line = m.cursor.line().toString('latin1');
      if (!/^[+-]?\d+$/.test(line)) throw new Refused('a number is not written as one');
      m.push(line === '00' || line === '01' ? data : number(Number(line)));
    },
    L: (m) => {
      const line = m.cursor.line().toString('latin1');
      if (!/^[+-]?\d+L?$/.test(line)) throw new Refused('a number is not written as one');
      m.push(number(Number(line.replace('L', ''))));
    },
    J: (m) => m.push(number(m.cursor.take(4).readInt32LE(0))),
    K: (m) => m.push(number(m.cursor.byte())),
    M: (m) => m.push(number(m.cursor.take(2).readUInt16LE(0))),
    '\x8a': (m) => m.push(number(integer(m.cursor.take(m.cursor.byte())))),
    '\x8b': passed(signedFour),
    F: (m) => {
      m.cursor.line();
      m.push(data);
    },
    G: passed(() => 8),
    S: (m) => m.push(quoted(m.cursor.line())),
    T: spoken(signedFour),
    U: spoken(oneByte),
    V: (m) => m.push(escaped(m.cursor.line())),
    X: spoken(fourBytes),
    '\x8c': spoken(oneByte),
    '\x8d': spoken(eightBytes),
    B: passed(fourBytes),
    C: passed(oneByte),
    '\x8e': passed(eightBytes),
    '\x96': passed(eightBytes),
    // Containers.
    ']': (m) => m.push(list),
    l: (m) => {
      m.popMark();
      m.push(list);
    },
    a: (m) => {
      m.pop();
      m.append(m.top());
    },
    e: (m) => {
      m.popMark();
      m.append(m.top());
    },
    ')': (m) => m.push(tuple([])),
    t: (m) => m.push(tuple(m.popMark())),
    '\x85': (m) => m.push(tuple([m.pop()])),
    '\x86': (m) => {
      const second = m.pop();
      m.push(tuple([m.pop(), second]));
    },
    '\x87': (m) => {
      const [third, second] = [m.pop(), m.pop()];
      m.push(tuple([m.pop(), second, third]));
    },
    '}': (m) => m.push(dict()),
    d: (m) => {
      const made = dict();
      m.setEntries(made, m.popMark());
      m.push(made);
    },
    s: (m) => {
      const [value, key] = [m.pop(), m.pop()];
      m.setEntries(m.top(), [key, value]);
    },
    u: (m) => {
      const pairs = m.popMark();
      m.setEntries(m.top(), pairs);
    },
    '\x8f': (m) => m.push(set),
    '\x90': (m) => {
      m.popMark();
      m.append(m.top());
    },
    '\x91': (m) => {
      m.popMark();
      m.push(set);
    },
    // Names and calls.
    c: (m) => {
      const [module, name] = [word(m.cursor.line()), word(m.cursor.line())];
      m.push(m.global(module, name));
    },
    '\x93': (m) => {
      const [name, module] = [m.pop(), m.pop()];
      m.push(m.global(textOf(module), textOf(name)));
    },
    i: (m) => {
      const global = m.global(word(m.cursor.line()), word(m.cursor.line()));
      m.create(global, m.popMark());
    },
    o: (m) => {
      const [callee, ...args] = m.popMark();
      m.create(callee ?? data, args);
    },
    R: (m) => {
      const args = m.pop();
      m.reduce(m.pop(), args);
    },
    '\x81': (m) => {
      const args = m.pop();
      if (args.kind !== 'tuple') throw new Refused('it makes an object with what is no plain tuple');
      m.create(m.pop(), args.items);
    },
    '\x92': (m) => {
      const [named, args] = [m.pop(), m.pop()];
      if (args.kind !== 'tuple' || named.kind !== 'dict' || named.entries.size > 0 || named.overfull)
        throw new Refused('it makes an object with named arguments');
      m.create(m.pop(), args.items);
    },
    b: (m) => (m.build() ? 'pickled' : undefined),
    // What can only be read together with something outside of the file.
    P: refuse('it refers to an object outside of the file (PERSID)'),
    Q: refuse('it refers to an object outside of the file (BINPERSID)'),
    '\x82': refuse('it uses the extension registry of the interpreter'),
    '\x83': refuse('it uses the extension registry of the interpreter'),
    '\x84': refuse('it uses the extension registry of the interpreter'),
    '\x97': refuse('it refers to a buffer outside of the file'),
    '\x98': refuse('it refers to a buffer outside of the file'),
  } satisfies Record<string, Operation>).map(([key, operation]) => [key.charCodeAt(0), operation]),
);
