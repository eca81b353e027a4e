import { LineCounter, parseDocument } from 'yaml';
import type { z } from 'zod';
import { messageOf } from '../lib/errors.ts';
import type { CrossIssue } from './cross-issue.ts';
import { explodingAlias, explosionText } from './expansion.ts';
import { locate } from './locate.ts';
import type { Outline } from './outline.ts';
import { type ConfigProblem, explain, pathText } from './problems.ts';

/** What a file must look like. */
export interface Grammar<T> {
  readonly schema: z.ZodType<T>;
  readonly outline: Outline;
  /** Everything that is well-formed but cannot work. */
  readonly crossCheck: (value: T) => readonly CrossIssue[];
  /** What works, but is hardly meant. */
  readonly advise?: (value: T) => readonly CrossIssue[];
}

export type Parsed<T> =
  | { readonly value: T; readonly problems: readonly []; readonly warnings: readonly ConfigProblem[] }
  | { readonly value: null; readonly problems: readonly ConfigProblem[] };

/** Reads a YAML text by a grammar. Pure; finds all mistakes, not just the first, each with its line and column. */
export function parseText<T>(text: string, { schema, outline, crossCheck, advise }: Grammar<T>): Parsed<T> {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, merge: true, prettyErrors: false, uniqueKeys: true });
  const at = (offset: number) => ({ line: lines.linePos(offset).line, column: lines.linePos(offset).col });
  const broken = [...document.errors, ...document.warnings].map(
    ({ code, message, pos }): ConfigProblem => ({
      ...at(pos[0]),
      path: '',
      message: code === 'DUPLICATE_KEY' ? `key ${keyTextAt(text, pos[0])} stands here for the second time` : message,
    }),
  );
  if (broken.length > 0) return { value: null, problems: broken };
  const exploding = explodingAlias(document);
  if (exploding) {
    return { value: null, problems: [{ ...at(exploding.range?.[0] ?? 0), path: '', message: explosionText }] };
  }
  let raw: unknown;
  try {
    raw = document.toJS({ maxAliasCount: -1 });
  } catch (error) {
    return { value: null, problems: [{ line: null, column: null, path: '', message: messageOf(error) }] };
  }
  const problem = (path: readonly PropertyKey[], message: string, key?: string): ConfigProblem => {
    const place = locate(document, lines, path, key);
    return { line: place?.line ?? null, column: place?.column ?? null, path: pathText(path), message };
  };
  if (raw === null || raw === undefined)
    return { value: null, problems: [{ line: 1, column: 1, path: '', message: 'the file is empty' }] };
  const parsed = schema.safeParse(raw);
  if (!parsed.success) {
    const issues = parsed.error.issues.flatMap((issue) => explain(issue, raw, outline));
    return { value: null, problems: inOrder(issues.map(({ path, message, key }) => problem(path, message, key))) };
  }
  const placed = (found: readonly CrossIssue[]) => inOrder(found.map(({ path, message }) => problem(path, message)));
  const issues = crossCheck(parsed.data);
  if (issues.length > 0) return { value: null, problems: placed(issues) };
  return { value: parsed.data, problems: [], warnings: placed(advise?.(parsed.data) ?? []) };
}

function keyTextAt(text: string, offset: number): string {
  return /^[^\s:]+/.exec(text.slice(offset))?.[0] ?? '';
}

function inOrder(problems: ConfigProblem[]): ConfigProblem[] {
  return problems.sort((a, b) => (a.line ?? 0) - (b.line ?? 0) || (a.column ?? 0) - (b.column ?? 0));
}
