import { Agent, request } from 'node:http';
import { Agent as SecureAgent, request as secureRequest } from 'node:https';
import { setTimeout as delay } from 'node:timers/promises';

/** One request that did not get the answer it should have. */
export interface Loss {
  readonly at: number;
  readonly client: string;
  readonly why: string;
}

export interface LoadReport {
  readonly requests: number;
  readonly losses: readonly Loss[];
  /** Releases in the order in which they were first seen, with how many answers each gave. */
  readonly releases: ReadonlyMap<string, number>;
  /** Milliseconds of each good answer, in no order; none unless they were asked for. */
  readonly times: readonly number[];
}

export interface LoadOptions {
  readonly port: number;
  readonly path: string;
  /** Clients that keep their connection open and never retry. */
  readonly keepAlive: number;
  /** Clients that open a new connection for each request. */
  readonly fresh: number;
  /** Milliseconds between two requests of one client, on average: clients in step would wait for each other. */
  readonly pause: number;
  /** Over TLS, whatever certificate is shown; a new connection resumes no session. */
  readonly secure?: boolean;
  /** What counts as a good answer. Default: status 200 and a release header. */
  readonly good?: (status: number, release: string | undefined) => boolean;
  /** Whether it is kept how long each answer took. */
  readonly timed?: boolean;
}

/** Which certificate is shown is the business of others. */
const unchecked = { servername: 'localhost', rejectUnauthorized: false };

/**
 * Sends requests until it is stopped. Nothing is retried: a connection that is reset under a request is a lost request.
 * Each client does one request after the other, so the load is bounded by their number.
 */
export class Load {
  readonly #options: LoadOptions;
  readonly #stop = new AbortController();
  readonly #clients: Promise<void>[] = [];
  readonly #losses: Loss[] = [];
  readonly #releases = new Map<string, number>();
  readonly #times: number[] = [];
  #requests = 0;

  constructor(options: LoadOptions) {
    this.#options = options;
    const kept = { keepAlive: true, maxSockets: 1 };
    for (let index = 0; index < options.keepAlive; index += 1) {
      const agent = options.secure ? new SecureAgent({ ...kept, maxCachedSessions: 0 }) : new Agent(kept);
      this.#clients.push(this.#client(`keep-alive ${index}`, agent));
    }
    for (let index = 0; index < options.fresh; index += 1)
      this.#clients.push(this.#client(`fresh ${index}`, undefined));
  }

  get requests(): number {
    return this.#requests;
  }

  /** Releases that have answered so far, with how many answers each gave. */
  get releases(): ReadonlyMap<string, number> {
    return this.#releases;
  }

  async stop(): Promise<LoadReport> {
    this.#stop.abort();
    await Promise.all(this.#clients);
    return { requests: this.#requests, losses: this.#losses, releases: this.#releases, times: this.#times };
  }

  async #client(name: string, agent: Agent | undefined): Promise<void> {
    const { pause, good = (status, release) => status === 200 && release !== undefined } = this.#options;
    while (!this.#stop.signal.aborted) {
      this.#requests += 1;
      const began = performance.now();
      try {
        const { status, release } = await this.#ask(agent);
        if (good(status, release)) {
          this.#releases.set(release ?? '', (this.#releases.get(release ?? '') ?? 0) + 1);
          if (this.#options.timed) this.#times.push(performance.now() - began);
        } else this.#losses.push({ at: Date.now(), client: name, why: `status ${status} of ${release}` });
      } catch (error) {
        this.#losses.push({ at: Date.now(), client: name, why: String(error) });
      }
      if (pause > 0) await delay(pause * (0.5 + Math.random()));
    }
    agent?.destroy();
  }

  #ask(agent: Agent | undefined): Promise<{ status: number; release: string | undefined }> {
    const { port, path, secure } = this.#options;
    const about = { host: '127.0.0.1', port, path, agent: agent ?? false, timeout: 15_000 };
    return new Promise((resolve, reject) => {
      const asked = (secure ? secureRequest : request)({ ...about, ...(secure && unchecked) }, (response) => {
        response.resume();
        response.once('end', () => {
          const release = response.headers['x-appliance-release'];
          resolve({ status: response.statusCode ?? 0, release: typeof release === 'string' ? release : undefined });
        });
        response.once('error', reject);
      });
      asked.once('timeout', () => asked.destroy(new Error('no answer in 15 s')));
      asked.once('error', reject);
      asked.end();
    });
  }
}
