import type { JsonAssertion, SequenceStep } from '../../../config/sequences.ts';
import type { BoundedAnswer } from '../../../host/http-bounded.ts';
import { truncate } from '../../../lib/text.ts';
import { valuesAt } from './json-path.ts';

/**
 * Everything about an answer that is not as it must be. Pure.
 * @returns one line each, without the contents of tokens: of a value that is wrong the first 60 characters
 */
export function wrongsOf(answer: BoundedAnswer, expect: SequenceStep['expect']): string[] {
  const { status, within, contentType, contains, headers, json } = expect;
  const wrongs: string[] = [];
  if (!status.includes(answer.status)) wrongs.push(`status ${answer.status} instead of ${status.join(' or ')}`);
  if (within !== undefined && answer.seconds * 1_000 > within)
    wrongs.push(`it took ${answer.seconds.toFixed(2)} s instead of ${within / 1_000} s`);
  const type = String(answer.headers['content-type'] ?? '');
  if (contentType !== undefined && !type.startsWith(contentType))
    wrongs.push(`content-type ${type || 'is missing'} instead of ${contentType}`);
  if (contains !== undefined && !answer.text.includes(contains))
    wrongs.push(`it does not contain ${JSON.stringify(contains)}`);
  for (const [name, pattern] of Object.entries(headers)) {
    const found = answer.headers[name.toLowerCase()];
    if (found === undefined) wrongs.push(`no header ${name}`);
    else if (!new RegExp(pattern).test(String(found))) wrongs.push(`header ${name} is ${shown(found)}`);
  }
  return json.length === 0 ? wrongs : [...wrongs, ...jsonWrongs(answer.text, json)];
}

function jsonWrongs(text: string, assertions: readonly JsonAssertion[]): string[] {
  const document = parseJson(text);
  if (document === undefined) return ['its body is no JSON'];
  return assertions.flatMap((assertion) => {
    const found = valuesAt(document, assertion.at);
    if (found.length === 0) return [`${assertion.at} is missing`];
    const wrong = found.map((value) => wrongOf(value, assertion)).find((why) => why !== undefined);
    return wrong === undefined ? [] : [`${assertion.at} ${wrong}`];
  });
}

/** @returns undefined for what is no JSON */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function wrongOf(
  value: unknown,
  { exists, equals, oneOf, matches, between, atLeast, above, length }: JsonAssertion,
): string | undefined {
  if (exists && (value === null || value === '')) return 'is empty';
  if (equals !== undefined && value !== equals) return `is ${shown(value)} instead of ${shown(equals)}`;
  if (oneOf !== undefined && !oneOf.some((one) => one === value))
    return `is ${shown(value)}, none of ${oneOf.map(shown).join(', ')}`;
  if (matches !== undefined && !(typeof value === 'string' && new RegExp(matches).test(value)))
    return `is ${shown(value)}, which does not match ${matches}`;
  if (length !== undefined) {
    const size = typeof value === 'string' || Array.isArray(value) ? value.length : undefined;
    if (size !== length)
      return size === undefined ? `is ${shown(value)}, no list` : `has ${size} elements instead of ${length}`;
  }
  const number = typeof value === 'number' ? value : Number.NaN;
  if (between !== undefined && !within(number, between)) return `is ${shown(value)}, not from ${between.join(' to ')}`;
  if (atLeast !== undefined && !(number >= atLeast)) return `is ${shown(value)} instead of ${atLeast} or more`;
  if (above !== undefined && !(number > above)) return `is ${shown(value)}, not above ${above}`;
  return undefined;
}

function within(number: number, [least = Number.NaN, most = Number.NaN]: readonly number[]): boolean {
  return number >= least && number <= most;
}

function shown(value: unknown): string {
  return truncate(JSON.stringify(value) ?? 'missing', 60);
}
