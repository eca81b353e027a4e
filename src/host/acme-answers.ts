import type { Order } from 'acme-client';
import { type AcmeAnswer, AcmeError, retryAfterOf } from './acme-http.ts';
import { type AcmeOrder, describeProblem, problemSchema } from './acme-shapes.ts';

/**
 * @param now milliseconds since 1970, for a `Retry-After` that is a date
 * @throws AcmeError for everything from status 400 on: later, not now, no, or not an authority at all
 */
export function assertGood(answer: AcmeAnswer, now: number): void {
  const { status, headers, data } = answer;
  if (status < 400) return;
  const problem = problemSchema.safeParse(data).data;
  const retryAfter = retryAfterOf(headers['retry-after'], now);
  const type = problem?.type;
  const limited = status === 429 || status === 503 || type === 'urn:ietf:params:acme:error:rateLimited';
  const failure = limited
    ? 'limited'
    : status >= 500
      ? 'unreachable'
      : type?.startsWith('urn:ietf:params:acme:')
        ? 'refused'
        : 'not-acme';
  throw new AcmeError(failure, `the authority answers ${status}: ${describeProblem(data) ?? 'without a reason'}`, {
    type,
    retryAfter,
  });
}

/** The library reads few fields of an order; the others are there for its types. */
export function asOrder(order: { readonly url: string } & Partial<AcmeOrder>): Order {
  const { url: at, status = 'pending', finalize = '', authorizations = [], identifiers = [], certificate } = order;
  return {
    url: at,
    status,
    finalize,
    authorizations: [...authorizations],
    identifiers: [...identifiers],
    ...(certificate === undefined ? {} : { certificate }),
  };
}
