import type { HeaderLines, Scheme } from './headers.ts';
import type { LimitLines } from './limits.ts';
import { block, quote } from './nginx-text.ts';

interface OwnAnswer {
  readonly status: number;
  /** Value of `X-Appliance-Edge`, by which a client tells the edge's answer from the application's. */
  readonly kind: string;
  readonly title: string;
  readonly text: string;
  /** Seconds until it makes sense to ask again. */
  readonly retryAfter: number;
}

const answers: readonly OwnAnswer[] = [
  {
    status: 429,
    kind: 'rate-limit',
    title: 'Too many requests',
    text: 'This address asks more often than it may. Please wait a moment.',
    retryAfter: 1,
  },
  {
    status: 502,
    kind: 'bad-gateway',
    title: 'Not reachable',
    text: 'The application did not answer. Please try again in a moment.',
    retryAfter: 5,
  },
  {
    status: 503,
    kind: 'maintenance',
    title: 'Maintenance',
    text: 'This part is being worked on. Please try again in a moment.',
    retryAfter: 10,
  },
  {
    status: 504,
    kind: 'timeout',
    title: 'Too slow',
    text: 'The application took too long to answer. Please try again in a moment.',
    retryAfter: 5,
  },
];

/**
 * Answers that nginx gives itself. What an application answers, 5xx included, passes untouched. They are named
 * locations, which any method reaches and which leave the request's path as it was for the log.
 */
export function renderOwnAnswers(scheme: Scheme, headers: HeaderLines, limits: LimitLines): string[] {
  return answers.flatMap(({ status, kind, title, text, retryAfter }) => {
    const html = `<!doctype html><html lang="en"><meta charset="utf-8"><title>${title}</title><h1>${title}</h1><p>${text}</p></html>`;
    const location = block(`location @appliance_${status}`, [
      'default_type text/html;',
      ...headers.add(scheme, [
        ['X-Appliance-Edge', kind],
        ['Retry-After', status === 429 ? limits.retryAfter : String(retryAfter)],
        ['Cache-Control', 'no-store'],
      ]),
      `return ${status} ${quote(html)};`,
    ]);
    return [`error_page ${status} @appliance_${status};`, location];
  });
}
