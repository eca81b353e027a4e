import { type IncomingMessage, request as plainRequest } from 'node:http';
import { createBrotliDecompress, createGunzip, createInflate } from 'node:zlib';
import { messageOf } from '../lib/errors.ts';
import { readBody } from './http-body.ts';

/** Most of an answer that is read, in bytes after it was unpacked: whoever sends more is not a page. */
const mostBytes = 8 * 1024 * 1024;

export interface BoundedQuestion {
  readonly protocol: 'http' | 'https';
  readonly address: string;
  readonly port: number;
  /** Host header, and for TLS the name that the certificate must be for. */
  readonly host: string;
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string | undefined;
  /** Certificates in PEM that count beside those of the system, also without whoever has signed them. */
  readonly ca?: string | undefined;
  /** Milliseconds for the whole exchange. */
  readonly timeout: number;
}

export interface BoundedAnswer {
  readonly status: number;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
  readonly text: string;
  /** Seconds until its last byte. */
  readonly seconds: number;
}

/**
 * One request on a connection of its own; redirects are not followed. What is endless, too large or packed so that it
 * becomes too large is given up.
 * @throws Error that says why there is no whole answer: `no answer within 10 s`, a code of TLS, …
 */
export async function askBounded(question: BoundedQuestion, signal: AbortSignal): Promise<BoundedAnswer> {
  const { protocol, address, port, host, method, path, headers, body, ca, timeout } = question;
  const began = performance.now();
  const deadline = AbortSignal.timeout(timeout);
  const both = AbortSignal.any([signal, deadline]);
  const tls = protocol === 'https' ? await import('node:https') : undefined;
  const options = {
    host: address,
    port,
    method,
    path,
    agent: false as const,
    signal: both,
    headers: {
      'accept-encoding': 'gzip, deflate, br',
      ...headers,
      host,
      ...(body === undefined ? {} : { 'content-length': String(Buffer.byteLength(body)) }),
    },
    ...(tls
      ? {
          servername: host,
          ...(ca === undefined
            ? {}
            : { ca: [...(await import('node:tls')).rootCertificates, ca], allowPartialTrustChain: true }),
        }
      : {}),
  };
  try {
    return await new Promise<BoundedAnswer>((resolve, reject) => {
      const outgoing = (tls?.request ?? plainRequest)(options, (incoming) => {
        readText(incoming).then(
          (text) =>
            resolve({
              status: incoming.statusCode ?? 0,
              headers: incoming.headers,
              text,
              seconds: (performance.now() - began) / 1_000,
            }),
          (error: unknown) => {
            incoming.destroy();
            reject(error);
          },
        );
      });
      outgoing.on('error', reject);
      outgoing.end(body);
    });
  } catch (error) {
    signal.throwIfAborted();
    if (deadline.aborted) throw new Error(`no whole answer within ${timeout / 1_000} s`);
    throw new Error(codeAndMessage(error));
  }
}

/** Certificates that are refused are told apart by their code, which is what people look for. */
function codeAndMessage(error: unknown): string {
  const message = messageOf(error);
  const code = error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;
  return code === undefined || message.includes(code) ? message : `${message} (${code})`;
}

const unpackers: Readonly<Record<string, () => ReturnType<typeof createGunzip>>> = {
  gzip: createGunzip,
  'x-gzip': createGunzip,
  deflate: createInflate,
  br: createBrotliDecompress,
};

async function readText(incoming: IncomingMessage): Promise<string> {
  const encoding = incoming.headers['content-encoding']?.trim().toLowerCase();
  const unpacker = encoding === undefined || encoding === 'identity' ? undefined : unpackers[encoding];
  if (encoding !== undefined && encoding !== 'identity' && !unpacker)
    throw new Error(`its answer is packed with ${encoding}, which nobody asked for`);
  const stream = unpacker ? incoming.pipe(unpacker()) : incoming;
  // A pipe does not carry errors on.
  if (unpacker) incoming.on('error', (error) => stream.destroy(error));
  return readBody(incoming, mostBytes, stream);
}
