import type { Socket } from 'node:net';

/**
 * One HTTP/1.1 request on a connected Unix socket, and its answer as it comes. The server is our own and speaks Node's
 * HTTP; of the protocol this reads what that server writes: a status, a length or chunks. `node:http` would do the same
 * and cost every command 10 ms to load and warm up, a quarter of the time that `appliance status` may take.
 */
export interface Answer {
  readonly status: number;
  /** The body as text, in pieces as they arrive. Throws ECONNRESET when the connection ends before the answer does. */
  readonly body: AsyncIterable<string>;
}

/** Longest head of an answer, in bytes. */
const longestHead = 16 * 1024;

/**
 * Sends a request and waits for the head of the answer. The connection is closed after the answer.
 * @param headers names in lower case
 * @throws Error with code ECONNRESET when the connection ends first; whatever the socket was destroyed with
 */
export async function exchange(
  socket: Socket,
  request: { readonly method: string; readonly path: string; readonly headers: Readonly<Record<string, string>> },
  body: string | undefined,
): Promise<Answer> {
  const reader = new Reader(socket);
  const headers = { host: 'appliance', connection: 'close', ...request.headers };
  const head = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  socket.write(`${request.method} ${request.path} HTTP/1.1\r\n${head.join('')}\r\n${body ?? ''}`);
  const [statusLine = '', ...lines] = (await reader.until('\r\n\r\n', longestHead)).split('\r\n');
  const status = Number(/^HTTP\/1\.1 (\d{3})/.exec(statusLine)?.[1] ?? 0);
  const header = (name: string) =>
    lines
      .find((line) => line.toLowerCase().startsWith(`${name}:`))
      ?.slice(name.length + 1)
      .trim();
  const chunked = header('transfer-encoding')?.toLowerCase() === 'chunked';
  const length = Number(header('content-length') ?? 0);
  return { status, body: decode(chunked ? chunks(reader) : reader.bytes(length)) };
}

async function* chunks(reader: Reader): AsyncGenerator<Buffer> {
  for (;;) {
    const size = Number.parseInt(await reader.until('\r\n', 64), 16);
    if (!(size >= 0)) throw broken();
    if (size > 0) yield* reader.bytes(size);
    await reader.until('\r\n', longestHead);
    if (size === 0) return;
  }
}

/** Bytes to text; a character may be split between two pieces. */
async function* decode(pieces: AsyncIterable<Buffer>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  for await (const piece of pieces) yield decoder.decode(piece, { stream: true });
}

/** Reads a socket by marks and lengths. */
class Reader {
  readonly #source: AsyncIterator<Buffer>;
  #held: Buffer = Buffer.alloc(0);

  constructor(socket: Socket) {
    this.#source = socket[Symbol.asyncIterator]();
  }

  /** The text before a mark, which is read too. */
  async until(mark: string, longest: number): Promise<string> {
    for (;;) {
      const end = this.#held.indexOf(mark);
      if (end !== -1) {
        const text = this.#held.toString('latin1', 0, end);
        this.#held = this.#held.subarray(end + mark.length);
        return text;
      }
      if (this.#held.length > longest) throw broken();
      this.#held = Buffer.concat([this.#held, await this.#next()]);
    }
  }

  /** So many bytes, in pieces as they arrive. */
  async *bytes(amount: number): AsyncGenerator<Buffer> {
    let left = amount;
    while (left > 0) {
      if (this.#held.length === 0) this.#held = await this.#next();
      const piece = this.#held.subarray(0, left);
      this.#held = this.#held.subarray(piece.length);
      left -= piece.length;
      yield piece;
    }
  }

  async #next(): Promise<Buffer> {
    const { value, done } = await this.#source.next();
    if (done) throw broken();
    return value;
  }
}

function broken(): Error {
  return Object.assign(new Error('the connection ended in the middle of an answer'), { code: 'ECONNRESET' });
}
