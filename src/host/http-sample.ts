import { request } from 'node:http';
import { messageOf } from '../lib/errors.ts';

/** Bytes of an answer that are read before it counts as whole. */
const maxBody = 10 * 1024 * 1024;

export interface SampleQuestion {
  readonly address: string;
  readonly port: number;
  readonly method: string;
  /** Path and query. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string | undefined;
  /** Milliseconds for the whole exchange. */
  readonly timeout: number;
}

export interface SampleAnswer {
  /** Null without an answer. */
  readonly status: number | null;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
  /** Seconds until its last byte, or until it was given up. */
  readonly seconds: number;
  /** Why there is no answer. */
  readonly why: string | null;
  /** Whether it was given up because it took too long. */
  readonly late: boolean;
}

/**
 * One request on a connection of its own, timed to the last byte; redirects are not followed.
 * @returns never rejects but when the signal aborts: no answer is an answer
 */
export async function sampleHttp(question: SampleQuestion, signal: AbortSignal): Promise<SampleAnswer> {
  const { address, port, method, path, headers, body, timeout } = question;
  const began = performance.now();
  const deadline = AbortSignal.timeout(timeout);
  const seconds = () => (performance.now() - began) / 1_000;
  try {
    return await new Promise<SampleAnswer>((resolve, reject) => {
      const both = AbortSignal.any([signal, deadline]);
      const outgoing = request(
        { host: address, port, method, path, headers, agent: false, signal: both },
        (incoming) => {
          const { statusCode = 0, headers: said } = incoming;
          const done = () => resolve({ status: statusCode, headers: said, seconds: seconds(), why: null, late: false });
          let size = 0;
          incoming.on('data', (chunk: Buffer) => {
            size += chunk.length;
            if (size <= maxBody) return;
            done();
            incoming.destroy();
          });
          incoming.on('error', reject);
          incoming.on('end', () => {
            if (incoming.complete) done();
            else reject(new Error('the connection ended in the middle of its answer'));
          });
        },
      );
      outgoing.on('error', reject);
      outgoing.end(body);
    });
  } catch (error) {
    signal.throwIfAborted();
    const late = deadline.aborted;
    const why = late ? `no answer within ${timeout / 1_000} s` : messageOf(error);
    return { status: null, headers: {}, seconds: seconds(), why, late };
  }
}
