import type { BoundedAnswer } from '../../../host/http-bounded.ts';
import { type Check, fail, pass } from '../check.ts';

/** Header → what it must say, and why a page wants it. */
const wanted: readonly { readonly name: string; readonly pattern: RegExp; readonly tlsOnly?: true }[] = [
  { name: 'content-security-policy', pattern: /default-src|script-src|frame-ancestors/ },
  { name: 'strict-transport-security', pattern: /max-age=[1-9]\d{5,}/, tlsOnly: true },
  { name: 'x-content-type-options', pattern: /^nosniff$/i },
  { name: 'x-frame-options', pattern: /^(?:DENY|SAMEORIGIN)$/i },
  { name: 'referrer-policy', pattern: /./ },
];

/** Pages carry the headers that keep browsers careful (S1-18). @param page asked over TLS, through the edge */
export function headersCheck(page: (signal: AbortSignal) => Promise<BoundedAnswer>): Check {
  return {
    id: 'security.headers',
    group: 'security',
    requirement: ['S1-18'],
    about: 'security headers',
    expected: wanted.map(({ name }) => name).join(', '),
    hint: 'the edge sets them; a header that the application sets itself wins over that',
    look: async (signal) => {
      const { headers } = await page(signal);
      const bad = missingHeaders(headers, true);
      return bad.length > 0 ? fail(bad.join('; ')) : pass(`${wanted.length} are set`);
    },
  };
}

/** Headers that are not there or say too little. Pure. */
export function missingHeaders(headers: BoundedAnswer['headers'], tls: boolean): string[] {
  return wanted
    .filter(({ tlsOnly }) => tls || !tlsOnly)
    .flatMap(({ name, pattern }) => {
      const value = headers[name];
      if (value === undefined) return [`${name} is missing`];
      return pattern.test(String(value)) ? [] : [`${name} is ${String(value).slice(0, 60)}`];
    });
}
