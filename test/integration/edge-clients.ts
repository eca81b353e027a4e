import { Agent, type IncomingHttpHeaders, request } from 'node:http';
import { Agent as SecureAgent, request as secureRequest } from 'node:https';
import { setTimeout as delay } from 'node:timers/promises';

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

export interface AskOptions {
  readonly method?: string;
  readonly headers?: Record<string, string>;
  readonly body?: string | Buffer;
  readonly agent?: Agent;
  readonly timeout?: number;
  /** Name that is asked for in the handshake; by default that of the header Host. Empty: none. */
  readonly servername?: string;
}

/** One request that is never repeated. Rejects on any error of the connection. */
export function ask(url: string, options: AskOptions = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const open = url.startsWith('https:') ? secureRequest : request;
    const outgoing = open(
      url,
      {
        method: options.method ?? 'GET',
        headers: options.headers ?? {},
        agent: options.agent ?? false,
        signal: AbortSignal.timeout(options.timeout ?? 20_000),
        // The edge makes its own certificate.
        ...(url.startsWith('https:') ? { rejectUnauthorized: false } : {}),
        ...(options.servername === undefined ? {} : { servername: options.servername }),
      },
      (incoming) => {
        const chunks: Buffer[] = [];
        incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
        incoming.on('error', reject);
        incoming.on('end', () => {
          if (!incoming.complete) reject(new Error('cut off'));
          else
            resolve({
              status: incoming.statusCode ?? 0,
              headers: incoming.headers,
              body: Buffer.concat(chunks).toString('utf8'),
            });
        });
      },
    );
    outgoing.on('error', reject);
    outgoing.end(options.body);
  });
}

/** What clients saw while something happened to the edge. */
export interface Tally {
  requests: number;
  failed: number;
  readonly reasons: Map<string, number>;
  readonly releases: Map<string, number>;
}

export interface Crowd {
  readonly tally: Tally;
  /** Lets requests in flight end. */
  stop(): Promise<Tally>;
}

/** Keeps one connection. */
function newAgent(url: string): Agent {
  const options = { keepAlive: true, maxSockets: 1 };
  return url.startsWith('https:') ? new SecureAgent(options) : new Agent(options);
}

/**
 * Clients that ask without a pause and never repeat a request: some keep their connection, some open a new one each
 * time. An answer counts as lost when it does not come, or not with 200.
 */
export function startCrowd(url: string, clients: { kept: number; fresh: number }): Crowd {
  const tally: Tally = { requests: 0, failed: 0, reasons: new Map(), releases: new Map() };
  let going = true;
  const count = (map: Map<string, number>, key: string) => map.set(key, (map.get(key) ?? 0) + 1);
  const client = async (agent: Agent | undefined) => {
    while (going) {
      tally.requests += 1;
      try {
        const { status, headers } = await ask(url, agent ? { agent } : {});
        if (status !== 200) throw new Error(`status ${status}`);
        count(tally.releases, String(headers['x-appliance-release']));
      } catch (error) {
        tally.failed += 1;
        count(tally.reasons, error instanceof Error ? error.message : String(error));
        // As a client would that was just refused; without it a closed port would be counted a thousand times a second.
        await delay(20);
      }
    }
    agent?.destroy();
  };
  const running = [
    ...Array.from({ length: clients.kept }, () => client(newAgent(url))),
    ...Array.from({ length: clients.fresh }, () => client(undefined)),
  ];
  return {
    tally,
    stop: async () => {
      going = false;
      await Promise.all(running);
      return tally;
    },
  };
}
