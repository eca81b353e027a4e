import type { Socket } from 'node:net';
import { ApplianceError, asApplianceError, type ErrorCode, errorCodes, messageOf, systemCode } from '../lib/errors.ts';
import type { Paths } from '../lib/paths.ts';
import type { Client } from './client.ts';
import { type Endpoint, endpoints, nonceHeader, pidHeader, sshHeader } from './endpoints.ts';
import { type Answer, exchange } from './exchange.ts';
import { createNonce } from './nonce.ts';
import type { Input, Output, RouteName } from './routes.ts';
import { type Patience, usualPatience, watchSilence } from './silence.ts';

const net = process.getBuiltinModule('node:net');

/** Longest document that is accepted, in characters: far above any real answer, far below what fills a memory. */
const longestDocument = 32 * 1024 * 1024;

/**
 * A client of the agent that listens on this host: the operator socket if the caller may use it, else the read-only one.
 * @param patience with an agent that says nothing
 * @returns undefined when no agent is running
 * @throws ApplianceError `not_permitted` when an agent is there but neither socket may be used
 */
export async function connectSocket(paths: Paths, patience: Patience = usualPatience): Promise<Client | undefined> {
  let denied: unknown;
  for (const access of ['operator', 'viewer'] as const) {
    const path = access === 'operator' ? paths.operatorSocket : paths.viewerSocket;
    try {
      return new SocketClient(path, access, paths.nonces, patience, await open(path));
    } catch (error) {
      const code = systemCode(error);
      if (code === 'EACCES' || code === 'EPERM') denied = error;
      else if (code !== 'ENOENT' && code !== 'ECONNREFUSED') {
        throw new ApplianceError('agent_unreachable', `the socket ${path} cannot be used: ${messageOf(error)}`, {
          cause: error,
        });
      }
    }
  }
  if (denied === undefined) return undefined;
  throw new ApplianceError('not_permitted', 'an agent is running, but you may not use its sockets', {
    hint: `use sudo, or have yourself added to the group of agent.sock (may operate) or view.sock (may look) in ${paths.run} and log in again`,
    cause: denied,
  });
}

function open(path: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = net.connect({ path });
    socket.once('error', reject);
    socket.once('connect', () => {
      socket.off('error', reject);
      resolve(socket);
    });
  });
}

class SocketClient implements Client {
  readonly host = 'agent';
  readonly access: Client['access'];
  readonly #path: string;
  readonly #nonces: string;
  readonly #patience: Patience;
  readonly #open = new Set<Socket>();
  /** The connection that showed that somebody listens; the first request uses it. */
  #first: Socket | undefined;

  constructor(path: string, access: Client['access'], nonces: string, patience: Patience, first: Socket) {
    this.#path = path;
    this.access = access;
    this.#nonces = nonces;
    this.#patience = patience;
    this.#first = this.#watch(first);
  }

  async ask<Name extends RouteName>(name: Name, input: Input<Name>, signal?: AbortSignal): Promise<Output<Name>> {
    return this.#request(name, input, signal, async (answer) => asOutput<Name>(parse(await readAll(answer.body))));
  }

  async *stream<Name extends RouteName>(
    name: Name,
    input: Input<Name>,
    signal?: AbortSignal,
  ): AsyncGenerator<Output<Name>> {
    const connection = await this.#connect();
    const stop = () => connection.destroy();
    const unwatch = this.#watchSilence(connection);
    signal?.addEventListener('abort', stop, { once: true });
    try {
      if (signal?.aborted) return;
      const { body } = await this.#send(connection, name, input);
      for await (const line of lines(body)) {
        const document = parse(line);
        const error = errorIn(document);
        if (error) throw error;
        // Several lines may have come in one piece.
        if (signal?.aborted) return;
        yield asOutput<Name>(document);
      }
    } catch (error) {
      if (signal?.aborted) return;
      throw unreachable(error);
    } finally {
      unwatch();
      signal?.removeEventListener('abort', stop);
      connection.destroy();
    }
  }

  async close(): Promise<void> {
    for (const connection of this.#open) connection.destroy();
  }

  async #request<Name extends RouteName, Result>(
    name: Name,
    input: Input<Name>,
    signal: AbortSignal | undefined,
    read: (answer: Answer) => Promise<Result>,
  ): Promise<Result> {
    signal?.throwIfAborted();
    const connection = await this.#connect();
    const stop = () => connection.destroy();
    const endpoint: Endpoint = endpoints[name];
    const deadline = this.#patience.answerWithin[endpoint.method];
    const timer = endpoint.unhurried ? undefined : setTimeout(() => connection.destroy(tooSlow(deadline)), deadline);
    const unwatch = this.#watchSilence(connection);
    signal?.addEventListener('abort', stop, { once: true });
    try {
      return await read(await this.#send(connection, name, input));
    } catch (error) {
      signal?.throwIfAborted();
      throw unreachable(error);
    } finally {
      clearTimeout(timer);
      unwatch();
      signal?.removeEventListener('abort', stop);
      connection.destroy();
    }
  }

  /** Sends a request. @returns a good answer, of which the head has come @throws ApplianceError a bad one */
  async #send<Name extends RouteName>(connection: Socket, name: Name, input: Input<Name>): Promise<Answer> {
    const { method, path } = endpoints[name];
    const body = method === 'POST' ? JSON.stringify(input) : undefined;
    const nonce = method === 'POST' ? await createNonce(this.#nonces) : undefined;
    try {
      const answer = await exchange(connection, { method, path, headers: headersFor(body, nonce?.name) }, body);
      if (answer.status === 200) return answer;
      throw (
        errorIn(parse(await readAll(answer.body))) ??
        new ApplianceError('internal', `the agent answered ${answer.status} without a reason`)
      );
    } finally {
      await nonce?.remove();
    }
  }

  /** Gives up a connection whose agent neither says anything nor answers that it lives. */
  #watchSilence(connection: Socket): () => void {
    const { tick, giveUpAfter } = this.#patience;
    return watchSilence(
      {
        heard: () => connection.bytesRead,
        ask: (signal) => this.#ping(signal),
        giveUp: () => connection.destroy(silentFor(tick * giveUpAfter)),
      },
      this.#patience,
    );
  }

  /** Any answer will do: whoever answers lives. */
  async #ping(signal: AbortSignal): Promise<void> {
    const connection = this.#watch(await open(this.#path));
    const stop = () => connection.destroy();
    signal.addEventListener('abort', stop, { once: true });
    try {
      await exchange(connection, { ...endpoints.ping, headers: headersFor(undefined, undefined) }, undefined);
    } finally {
      signal.removeEventListener('abort', stop);
      connection.destroy();
    }
  }

  async #connect(): Promise<Socket> {
    const first = this.#first;
    this.#first = undefined;
    if (first && !first.destroyed) return first;
    try {
      return this.#watch(await open(this.#path));
    } catch (error) {
      throw unreachable(error);
    }
  }

  #watch(socket: Socket): Socket {
    this.#open.add(socket);
    // Whoever reads the socket sees what happened to it; nobody reads one that waits for its request.
    socket.on('error', () => undefined);
    socket.once('close', () => this.#open.delete(socket));
    return socket;
  }
}

function tooSlow(deadline: number): ApplianceError {
  return new ApplianceError('agent_unreachable', `the agent did not answer within ${deadline / 1_000} s`, {
    hint: 'look at its log and restart it; every verb also works without an agent',
  });
}

function silentFor(duration: number): ApplianceError {
  return new ApplianceError('agent_unreachable', `the agent has not said a word for ${duration / 1_000} s`, {
    left: 'it may be stopped or starved; an operation that it runs goes on when it does, or is settled at its next start',
    hint: 'start it again: sudo /opt/appliance/bin/appliance-service restart; then look: appliance status',
  });
}

function headersFor(body: string | undefined, nonce: string | undefined): Record<string, string> {
  const ssh = process.env.SSH_CONNECTION?.split(' ')[0];
  return {
    accept: 'application/json, application/x-ndjson',
    ...(body === undefined
      ? {}
      : { 'content-type': 'application/json', 'content-length': String(Buffer.byteLength(body)) }),
    ...(nonce === undefined ? {} : { [nonceHeader]: nonce, [pidHeader]: String(process.pid) }),
    ...(ssh ? { [sshHeader]: ssh } : {}),
  };
}

async function readAll(body: AsyncIterable<string>): Promise<string> {
  let text = '';
  for await (const piece of body) {
    text += piece;
    if (text.length > longestDocument) throw new ApplianceError('internal', 'the answer of the agent is too long');
  }
  return text;
}

/** Splits an answer into its lines as they come. */
async function* lines(body: AsyncIterable<string>): AsyncGenerator<string> {
  let rest = '';
  for await (const piece of body) {
    const parts = (rest + piece).split('\n');
    rest = parts.pop() ?? '';
    for (const part of parts) if (part !== '') yield part;
    if (rest.length > longestDocument) throw new ApplianceError('internal', 'a line of the agent is too long');
  }
  if (rest !== '') yield rest;
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new ApplianceError('agent_unreachable', 'the agent answered something that is not JSON', { cause: error });
  }
}

/**
 * The agent checks what it answers against the output schema of the route before it sends it. Checking again here
 * would cost every command 40 ms for zod, so this is the one place that takes an answer at its word.
 */
function asOutput<Name extends RouteName>(document: unknown): Output<Name> {
  return document as Output<Name>;
}

/** The error that an answer or a line stands for, if it is `{"error": …}` and nothing else. */
function errorIn(document: unknown): ApplianceError | undefined {
  if (!isRecord(document) || Object.keys(document).length !== 1 || !isRecord(document.error)) return undefined;
  const { code, message, left, hint } = document.error;
  return new ApplianceError(
    isErrorCode(code) ? code : 'internal',
    typeof message === 'string' ? message : 'no reason',
    {
      left: typeof left === 'string' ? left : undefined,
      hint: typeof hint === 'string' ? hint : undefined,
    },
  );
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isErrorCode(value: unknown): value is ErrorCode {
  return typeof value === 'string' && Object.hasOwn(errorCodes, value);
}

/** A broken connection means that the agent is gone; everything else is passed on as it is. */
function unreachable(error: unknown): ApplianceError {
  const gone = ['ECONNRESET', 'ECONNREFUSED', 'ENOENT', 'EPIPE', 'ERR_STREAM_DESTROYED', 'ERR_STREAM_PREMATURE_CLOSE'];
  if (error instanceof ApplianceError || !gone.includes(systemCode(error) ?? '')) return asApplianceError(error);
  return new ApplianceError('agent_unreachable', 'the agent went away while it answered', {
    left: 'an operation that it was running is finished or taken back when it starts again',
    hint: 'appliance status shows how things are',
    cause: error,
  });
}
