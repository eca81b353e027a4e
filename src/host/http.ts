import { request as plainRequest } from 'node:http';
import { readBody } from './http-body.ts';

export interface HttpQuestion {
  readonly method?: 'GET' | 'POST' | 'PUT' | 'DELETE';
  /** Sent as JSON. */
  readonly body?: unknown;
  /** Sent as `Authorization: Bearer …`. */
  readonly token?: string | undefined;
  /** Most that may be answered, in bytes. */
  readonly maxBytes: number;
  readonly signal: AbortSignal;
}

export interface HttpAnswer {
  readonly status: number;
  readonly text: string;
}

/**
 * One request over HTTP on a connection of its own, redirects not followed: one that was kept may have been closed by a
 * neighbour that was started anew, and nobody asks a second time. Node's own `fetch` would do the same, but it keeps a parser and a
 * decompressor of its own: measured, the agent held 15 MB more for asking two neighbours every few seconds.
 * @throws Error of the system, of the signal, or when the answer is too long
 */
export async function askHttp(url: string, question: HttpQuestion): Promise<HttpAnswer> {
  const { method = 'GET', body, maxBytes, signal } = question;
  const text = body === undefined ? undefined : JSON.stringify(body);
  const headers = {
    ...(text === undefined ? {} : { 'content-type': 'application/json' }),
    ...(question.token === undefined ? {} : { authorization: `Bearer ${question.token}` }),
  };
  const request = url.startsWith('https:') ? (await import('node:https')).request : plainRequest;
  return new Promise((resolve, reject) => {
    const outgoing = request(url, { method, headers, signal, agent: false }, (incoming) => {
      const { statusCode: status = 0 } = incoming;
      readBody(incoming, maxBytes).then((said) => resolve({ status, text: said }), reject);
    });
    outgoing.on('error', reject);
    outgoing.end(text);
  });
}
