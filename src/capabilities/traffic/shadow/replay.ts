import { Agent, request } from 'node:http';
import type { Exchange } from '../../../host/nginx-exchange.ts';
import { messageOf } from '../../../lib/errors.ts';
import type { Route } from '../../../lib/routes.ts';
import { routeFor } from '../../../lib/routes.ts';
import type { Topology } from '../../../lib/topology.ts';
import type { Answer } from './compare.ts';

/** Bytes of an answer that are kept: as many as the edge keeps (nginx/shadow.js). */
const longestBody = 65_536;
/** Bytes after which an answer is long enough to be left: it can only be compared by its status. */
const mostRead = 8 * longestBody;

/** Headers that belong to one connection (RFC 9110 §7.6.1), and those that the edge itself sets for the application. */
const own = new Set([
  ...['connection', 'keep-alive', 'proxy-connection', 'te', 'trailer', 'transfer-encoding', 'upgrade', 'expect'],
  ...['content-length', 'x-real-ip', 'x-forwarded-for', 'x-forwarded-proto', 'x-request-id'],
  ...['x-appliance-preview', 'x-appliance-shadow'],
]);

/** Sends copies of requests to the containers of a colour. */
export class Replayer {
  readonly #topology: Topology;
  readonly #routes: readonly Route[];
  readonly #agent: Agent;
  readonly #timeout: number;
  #turn = 0;

  /**
   * @param routes those of appliance.yaml, for a release that holds none
   * @param limits.timeout milliseconds for a whole answer
   */
  constructor(topology: Topology, routes: readonly Route[], limits: { concurrency: number; timeout: number }) {
    this.#topology = topology;
    this.#routes = topology.routes ?? routes;
    this.#timeout = limits.timeout;
    this.#agent = new Agent({ keepAlive: true, maxSockets: limits.concurrency, timeout: limits.timeout });
  }

  /**
   * Asks the colour what the live one was asked, as the edge would, marked with `X-Appliance-Shadow: 1`.
   * @returns its answer, or why there is none
   */
  async ask(exchange: Exchange, signal: AbortSignal): Promise<Answer | string> {
    const target = this.#targetOf(exchange.path);
    if (target === undefined) return 'no route to it';
    const late = AbortSignal.timeout(this.#timeout);
    const began = performance.now();
    try {
      const answer = await this.#exchange(target, exchange, AbortSignal.any([signal, late]));
      return { ...answer, seconds: (performance.now() - began) / 1_000 };
    } catch (error) {
      signal.throwIfAborted();
      return late.aborted ? `no answer within ${this.#timeout / 1_000} s` : `no answer: ${reason(error)}`;
    }
  }

  close(): void {
    this.#agent.destroy();
  }

  #targetOf(path: string): { readonly host: string; readonly port: number } | undefined {
    const route = routeFor(this.#routes, path);
    const addresses = (route && this.#topology.addresses[route.service]) ?? [];
    const host = addresses[this.#turn++ % Math.max(1, addresses.length)];
    return route && host !== undefined ? { host, port: route.port } : undefined;
  }

  #exchange(
    target: { readonly host: string; readonly port: number },
    exchange: Exchange,
    signal: AbortSignal,
  ): Promise<Omit<Answer, 'seconds'>> {
    return new Promise((resolve, reject) => {
      const { method, target: path, body } = exchange;
      const outgoing = request({ ...target, method, path, headers: headersOf(exchange), agent: this.#agent, signal });
      outgoing.on('response', (incoming) => {
        const chunks: Buffer[] = [];
        let size = 0;
        const text = (name: 'content-type' | 'content-encoding') => incoming.headers[name] ?? '';
        const answered = (whole: boolean) =>
          resolve({
            status: incoming.statusCode ?? 0,
            type: text('content-type'),
            encoding: text('content-encoding'),
            body: whole && size <= longestBody ? Buffer.concat(chunks) : null,
          });
        incoming.on('data', (chunk: Buffer) => {
          size += chunk.length;
          if (size <= longestBody) chunks.push(chunk);
          if (size <= mostRead) return;
          answered(false);
          incoming.destroy();
        });
        incoming.on('error', reject);
        incoming.on('end', () => answered(true));
      });
      outgoing.on('error', reject);
      outgoing.end(body.length > 0 ? body : undefined);
    });
  }
}

/** The headers of a request as the edge passes them on. */
function headersOf({ headers, requestId, client, scheme, body }: Exchange): Record<string, string | string[]> {
  const all: Record<string, string | string[]> = {};
  for (const [name, value] of headers) {
    const key = name.toLowerCase();
    if (own.has(key)) continue;
    const before = all[key];
    all[key] = before === undefined ? value : [...(Array.isArray(before) ? before : [before]), value];
  }
  return {
    ...all,
    'x-real-ip': client,
    'x-forwarded-for': client,
    'x-forwarded-proto': scheme,
    'x-request-id': requestId,
    'x-appliance-shadow': '1',
    ...(body.length > 0 ? { 'content-length': String(body.length) } : {}),
  };
}

/** What went wrong, without addresses or what an application has said: it stands in a report. */
function reason(error: unknown): string {
  const code = typeof error === 'object' && error !== null && 'code' in error ? error.code : undefined;
  return typeof code === 'string' ? code : messageOf(error).slice(0, 60);
}
