import { brotliDecompressSync, gunzipSync, inflateSync, zstdDecompressSync } from 'node:zlib';
import { type JsonRule, jsonDifference } from './json-difference.ts';

/** What an application answered. */
export interface Answer {
  readonly status: number;
  /** `Content-Type` and `Content-Encoding`; empty when it had none. */
  readonly type: string;
  readonly encoding: string;
  /** Null when it is too long to be kept. */
  readonly body: Buffer | null;
  readonly seconds: number;
}

/** Whether two answers are the same. `statusOnly`: nobody could compare their bodies. */
export type Comparison =
  | { readonly kind: 'equal'; readonly statusOnly: boolean }
  | { readonly kind: 'status' | 'body'; readonly difference: string };

/** Most that a compressed body may become, in bytes. */
const longestPlain = 4 * 1024 * 1024;
type Decoder = (body: Buffer, options: { readonly maxOutputLength: number }) => Buffer;
const decoders: ReadonlyMap<string, Decoder> = new Map<string, Decoder>([
  ['gzip', gunzipSync],
  ['x-gzip', gunzipSync],
  ['deflate', inflateSync],
  ['br', brotliDecompressSync],
  ['zstd', zstdDecompressSync],
]);

/**
 * Compares what two releases answered to the same request: status, then body, byte for byte, or as JSON where a rule says
 * so. Says where they differ, never what they hold. Pure.
 */
export function compareAnswers(live: Answer, shadow: Answer, rule: JsonRule | undefined): Comparison {
  if (live.status !== shadow.status) return { kind: 'status', difference: `status ${live.status} → ${shadow.status}` };
  if (live.body === null || shadow.body === null) {
    // One that is longer than what is kept differs from one that is not.
    return (live.body === null) === (shadow.body === null)
      ? { kind: 'equal', statusOnly: true }
      : { kind: 'body', difference: 'its length' };
  }
  const [before, after] = [plain(live, live.body), plain(shadow, shadow.body)];
  if (before.equals(after)) return { kind: 'equal', statusOnly: false };
  if (rule && isJson(live.type) && isJson(shadow.type)) {
    const [left, right] = [parsed(before), parsed(after)];
    if (left !== undefined && right !== undefined) {
      const place = jsonDifference(left.value, right.value, rule);
      return place === undefined
        ? { kind: 'equal', statusOnly: false }
        : { kind: 'body', difference: `body at ${place}` };
    }
  }
  return { kind: 'body', difference: 'body' };
}

/** What is declared for a path: the longest prefix wins. */
export function ruleFor<Rule extends { readonly path: string }>(
  rules: readonly Rule[],
  path: string,
): Rule | undefined {
  return rules.filter((rule) => path.startsWith(rule.path)).sort((a, b) => b.path.length - a.path.length)[0];
}

function plain({ encoding }: Answer, body: Buffer): Buffer {
  const decode = decoders.get(encoding.trim().toLowerCase());
  if (!decode || body.length === 0) return body;
  try {
    return decode(body, { maxOutputLength: longestPlain });
  } catch {
    return body; // Not what it says it is: then the bytes have to be the same.
  }
}

/** `application/json`, `application/problem+json; charset=utf-8` */
function isJson(type: string): boolean {
  return /^[^;]*[/+]json\s*(?:;|$)/i.test(type);
}

function parsed(text: Buffer): { readonly value: unknown } | undefined {
  try {
    return { value: JSON.parse(text.toString('utf8')) };
  } catch {
    return undefined;
  }
}
