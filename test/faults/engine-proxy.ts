import { rm } from 'node:fs/promises';
import { connect, createServer, type Server, type Socket } from 'node:net';

/** A Unix socket that leads to the real Docker Engine until it is cut: what an engine that dies looks like to its clients. */
export class EngineProxy {
  readonly path: string;
  /** How many requests have come so far. */
  requests = 0;
  readonly #sockets = new Set<Socket>();
  #server: Server | undefined;

  private constructor(path: string) {
    this.path = path;
  }

  static async open(path: string): Promise<EngineProxy> {
    const proxy = new EngineProxy(path);
    await proxy.restore();
    return proxy;
  }

  /** Value of DOCKER_HOST that leads here. */
  get host(): string {
    return `unix://${this.path}`;
  }

  /** Ends every connection and takes no further one. */
  async cut(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => (server ? server.close(resolve) : resolve(undefined)));
    await rm(this.path, { force: true });
  }

  /** Answers again. */
  async restore(): Promise<void> {
    const server = createServer({ allowHalfOpen: true }, (client) => this.#join(client));
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(this.path, resolve);
    });
    this.#server = server;
  }

  #join(client: Socket): void {
    client.on('data', (data: Buffer) => {
      this.requests += data.toString('latin1').match(/^(?:GET|HEAD|POST|PUT|DELETE) \/\S* HTTP\//gm)?.length ?? 0;
    });
    const engine = connect({ path: '/var/run/docker.sock', allowHalfOpen: true });
    for (const [one, other] of [
      [client, engine],
      [engine, client],
    ] as const) {
      this.#sockets.add(one);
      one.pipe(other);
      one.once('error', () => other.destroy());
      one.once('close', () => {
        this.#sockets.delete(one);
        other.destroy();
      });
    }
  }
}
