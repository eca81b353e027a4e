import { request as overHttp } from 'node:http';
import { request as overHttps } from 'node:https';
import { rootCertificates } from 'node:tls';
import { messageOf } from '../lib/errors.ts';
import { readBody } from './http-body.ts';

/** Why an authority did not do what it was asked for. */
export type AcmeFailure =
  /** No connection, no answer in time, or one that ends in the middle. */
  | 'unreachable'
  /** 429, or 503 with `Retry-After`: later. */
  | 'limited'
  /** It answers, but not as RFC 8555 says. */
  | 'not-acme'
  /** It says no, and why. */
  | 'refused';

export class AcmeError extends Error {
  override readonly name = 'AcmeError';
  readonly failure: AcmeFailure;
  /** `urn:ietf:params:acme:error:…`, where it gave one. */
  readonly type: string | undefined;
  /** Milliseconds that it wants to be left alone. */
  readonly retryAfter: number | undefined;

  constructor(
    failure: AcmeFailure,
    message: string,
    more: {
      readonly type?: string | undefined;
      readonly retryAfter?: number | undefined;
      readonly cause?: unknown;
    } = {},
  ) {
    super(message, more.cause === undefined ? undefined : { cause: more.cause });
    this.failure = failure;
    this.type = more.type;
    this.retryAfter = more.retryAfter;
  }
}

export interface AcmeAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  /** JSON where it is said to be JSON, else text. */
  readonly data: unknown;
}

/** One request to an authority. @throws AcmeError `unreachable`; the reason of the signal when that aborted */
export type AcmeTransport = (
  url: string,
  question: { readonly method: string; readonly body?: string; readonly signal: AbortSignal },
) => Promise<AcmeAnswer>;

/** Most that an authority may answer, in bytes: a long chain has 20 kB. */
const maxBytes = 1024 * 1024;

/**
 * Requests with a deadline each, and without redirects or retries: whoever asks decides when to ask again.
 * @param root PEM of a further root that the authority's HTTPS may be signed by
 * @param timeout milliseconds for one request
 */
export function acmeTransport({
  root,
  timeout,
}: {
  readonly root?: string | undefined;
  readonly timeout: number;
}): AcmeTransport {
  const ca = root === undefined ? undefined : [...rootCertificates, root];
  return (url, { method, body, signal }) => {
    const deadline = AbortSignal.any([signal, AbortSignal.timeout(timeout)]);
    return new Promise<AcmeAnswer>((resolve, reject) => {
      const fail = (error: unknown): void =>
        reject(signal.aborted ? signal.reason : unreachable(url, error, timeout, deadline));
      const headers = {
        'user-agent': 'appliance',
        ...(body === undefined ? {} : { 'content-type': 'application/jose+json' }),
      };
      const send = url.startsWith('https:') ? overHttps : overHttp;
      const outgoing = send(url, { method, headers, signal: deadline, ...(ca ? { ca } : {}) }, (incoming) => {
        readBody(incoming, maxBytes).then((text) => {
          const given = Object.entries(incoming.headers).map(
            ([name, value]) => [name, [value].flat().join(', ')] as const,
          );
          resolve({
            status: incoming.statusCode ?? 0,
            headers: Object.fromEntries(given),
            data: /\bjson\b/.test(incoming.headers['content-type'] ?? '') ? parsed(text) : text,
          });
        }, fail);
      });
      outgoing.on('error', fail);
      outgoing.end(body);
    });
  };
}

function unreachable(url: string, error: unknown, timeout: number, deadline: AbortSignal): AcmeError {
  const { host } = new URL(url);
  const why = deadline.aborted ? `no answer within ${timeout / 1_000} s` : messageOf(error);
  return new AcmeError('unreachable', `${host} cannot be reached: ${why}`, { cause: error });
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/**
 * `Retry-After` in milliseconds: seconds, or a date (RFC 9110 §10.2.3).
 * @param now milliseconds since 1970, by the clock of this host
 */
export function retryAfterOf(header: string | undefined, now: number): number | undefined {
  if (header === undefined) return undefined;
  if (/^\s*\d{1,9}\s*$/.test(header)) return Number(header) * 1_000;
  const at = Date.parse(header);
  return Number.isNaN(at) ? undefined : Math.max(0, at - now);
}
