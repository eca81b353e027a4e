import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { portOf } from './issuing.ts';

type Answering = (question: IncomingMessage, answer: ServerResponse, path: string) => boolean | undefined;

/** An ACME server that issues nothing and misbehaves as it is told: for what Pebble never does. */
export class FaultyAuthority {
  readonly #server: Server;
  /** Paths that were asked, in order. */
  readonly asked: string[] = [];
  /** Answers in place of the good one; returns whether it has. */
  fault: Answering = () => false;
  meta: Readonly<Record<string, unknown>> = {};
  /** States that the order takes from look to look; the last one stays. */
  orderStates: string[] = ['ready'];
  /** What the certificate address gives. */
  chain = '';

  private constructor(server: Server) {
    this.#server = server;
  }

  static async start(): Promise<FaultyAuthority> {
    const server = createServer();
    const authority = new FaultyAuthority(server);
    server.on('request', (question, answer) => authority.#answer(question, answer));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return authority;
  }

  get base(): string {
    return `http://127.0.0.1:${portOf(this.#server)}`;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #answer(question: IncomingMessage, answer: ServerResponse): void {
    const path = question.url ?? '/';
    this.asked.push(path);
    question.resume();
    answer.setHeader('replay-nonce', `n${this.asked.length}`);
    if (this.fault(question, answer, path)) return;
    const json = (status: number, body: unknown, headers: Record<string, string> = {}): void => {
      answer.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body));
    };
    const at = (name: string): string => `${this.base}/${name}`;
    const order = (): Record<string, unknown> => ({
      status: this.orderStates.length > 1 ? this.orderStates.shift() : this.orderStates[0],
      finalize: at('finalize'),
      authorizations: [at('authz')],
      identifiers: [{ type: 'dns', value: 'shop.example' }],
      certificate: at('certificate'),
    });
    if (path === '/dir')
      json(200, {
        newNonce: at('nonce'),
        newAccount: at('account'),
        newOrder: at('order'),
        renewalInfo: at('ari'),
        meta: this.meta,
      });
    else if (path === '/nonce') answer.writeHead(200).end();
    else if (path === '/account') json(201, { status: 'valid' }, { location: at('account/1') });
    else if (path === '/order') json(201, order(), { location: at('order/1') });
    else if (path === '/order/1' || path === '/finalize') json(200, order());
    else if (path === '/certificate')
      answer.writeHead(200, { 'content-type': 'application/pem-certificate-chain' }).end(this.chain);
    else json(404, { type: 'urn:ietf:params:acme:error:malformed', detail: `nothing at ${path}` });
  }
}

/** A problem document (RFC 7807), as authorities give it. */
export function problem(
  answer: ServerResponse,
  status: number,
  type: string,
  detail: string,
  headers: Record<string, string> = {},
): true {
  answer.writeHead(status, { 'content-type': 'application/problem+json', ...headers });
  answer.end(JSON.stringify({ type: `urn:ietf:params:acme:error:${type}`, detail, status }));
  return true;
}

/** Any other answer. */
export function plain(
  answer: ServerResponse,
  status: number,
  body: string,
  headers: Record<string, string> = {},
): true {
  answer.writeHead(status, headers).end(body);
  return true;
}
