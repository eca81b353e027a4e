import type { z } from 'zod';
import { didYouMean } from '../lib/near.ts';
import type { Outline } from './outline.ts';

/** One mistake in a file of configuration, where it stands and what to write instead. */
export interface ConfigProblem {
  /** Counted from 1; null when the mistake has no place of its own. */
  readonly line: number | null;
  readonly column: number | null;
  /** Where in the document: `services.backend.role`. */
  readonly path: string;
  readonly message: string;
}

/** A mistake before its place is known. */
interface Issue {
  readonly path: readonly PropertyKey[];
  /** The key that is meant, when it is the key that is wrong. */
  readonly key?: string;
  readonly message: string;
}

export function pathText(path: readonly PropertyKey[]): string {
  return path.reduce<string>(
    (text, step) =>
      typeof step === 'number' ? `${text}[${step}]` : text === '' ? String(step) : `${text}.${String(step)}`,
    '',
  );
}

/**
 * Says a schema's complaint in words for the person who wrote the file.
 * @param value the document as it was read, to tell what is missing from what is wrong
 */
export function explain(issue: z.core.$ZodIssue, value: unknown, outline: Outline): Issue[] {
  const { path } = issue;
  if (issue.code === 'unrecognized_keys') {
    const known = outline.keysAt(path);
    return issue.keys.map((key) => {
      const hint = didYouMean(key, known) ?? (known.length > 0 ? `known are ${known.join(', ')}` : undefined);
      return { path, key, message: `unknown key ${key}${hint === undefined ? '' : `; ${hint}`}` };
    });
  }
  if (issue.code === 'invalid_key') {
    const inner = issue.issues[0]?.message ?? 'this key is not allowed';
    return [{ path: path.slice(0, -1), key: String(path.at(-1)), message: `${String(path.at(-1))}: ${inner}` }];
  }
  const given = valueAt(value, path);
  if (given === undefined && issue.code !== 'custom') {
    const about = outline.describe(path);
    return [{ path, message: `is missing${about === undefined ? '' : ` (${about})`}` }];
  }
  if (issue.code === 'invalid_value') {
    const allowed = issue.values.map(String);
    const near = typeof given === 'string' ? didYouMean(given, allowed) : undefined;
    return [
      { path, message: `${JSON.stringify(given)} is not one of ${allowed.join(', ')}${near ? `; ${near}` : ''}` },
    ];
  }
  if (issue.code === 'invalid_type') {
    return [{ path, message: `must be ${article(issue.expected)}, but is ${article(kindOf(given))}` }];
  }
  return [{ path, message: issue.message }];
}

function valueAt(value: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>((inner, step) => {
    if (typeof inner !== 'object' || inner === null) return undefined;
    return Object.getOwnPropertyDescriptor(inner, step)?.value;
  }, value);
}

function kindOf(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'array';
  return typeof value;
}

const kinds: Readonly<Record<string, string>> = {
  array: 'a list',
  object: 'a group of keys',
  record: 'a group of keys',
  string: 'text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  null: 'empty',
};

function article(kind: string): string {
  return kinds[kind] ?? kind;
}
