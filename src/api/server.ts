import { chmodSync, chownSync, lstatSync, mkdirSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { connect } from 'node:net';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { ApplianceError, asApplianceError, type ErrorBody } from '../lib/errors.ts';
import type { Paths } from '../lib/paths.ts';
import { type Endpoint, type EndpointName, endpoints, nonceHeader, pidHeader, sshHeader } from './endpoints.ts';
import type { Caller, Handlers } from './handlers.ts';
import { noncePattern } from './nonce.ts';
import { parseInput, routes, waitOf } from './routes.ts';
import type { Actor } from './schema.ts';

/** Longest request body, in bytes: requests are a few words. */
const longestRequest = 64 * 1024;
/** Milliseconds within which a request must have arrived. */
const patience = 10_000;

/** Milliseconds that open streams get to end by themselves when the server closes. */
const lastWords = 500;

export interface ServerDeps {
  readonly paths: Paths;
  /** Who answers a request. @param asked.wait milliseconds that the caller waits for what runs */
  readonly handlersFor: (
    name: EndpointName,
    asked: { readonly wait: number; readonly signal: AbortSignal },
  ) => Promise<Handlers>;
  /** Group ids that own the sockets; undefined leaves them to root. */
  readonly groups: { readonly operators: number | undefined; readonly viewers: number | undefined };
  /** Name of a user id on this host. */
  readonly userName: (uid: number) => string;
  /** Who logged in to the session of a process; undefined unless that process has the file open, and when nobody knows. */
  readonly loginOf: (
    pid: number,
    nonce: { readonly path: string; readonly dev: number; readonly ino: number },
  ) => number | undefined;
  readonly onError: (error: unknown) => void;
}

/**
 * Listens on both sockets. Whoever may open the operator socket may do everything, the other one only shows.
 * @returns a function that closes both and ends open streams
 */
export async function serve(deps: ServerDeps): Promise<() => Promise<void>> {
  mkdirSync(deps.paths.run, { recursive: true, mode: 0o755 });
  mkdirSync(deps.paths.nonces, { recursive: true });
  // Everybody may create a file there, nobody may list or remove another's (like /tmp, but not readable).
  chmodSync(deps.paths.nonces, 0o1733);
  const operator = await listen(deps, deps.paths.operatorSocket, 'operator', deps.groups.operators);
  const viewer = await listen(deps, deps.paths.viewerSocket, 'viewer', deps.groups.viewers);
  return async () => {
    const closed = Promise.all([operator, viewer].map((server) => new Promise((resolve) => server.close(resolve))));
    // What was said last, how an operation ended above all, still reaches whoever listens.
    await Promise.race([closed, delay(lastWords)]);
    for (const server of [operator, viewer]) server.closeAllConnections();
    await closed;
  };
}

async function listen(
  deps: ServerDeps,
  path: string,
  access: Endpoint['access'],
  group: number | undefined,
): Promise<Server> {
  await removeStaleSocket(path);
  const server = createServer((request, response) => {
    answer(deps, access, request, response).catch(deps.onError);
  });
  // A caller that never finishes asking; answers may stream for as long as somebody listens.
  server.requestTimeout = patience;
  server.headersTimeout = patience;
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    // No instant in which somebody else could connect: the mode is right from the beginning.
    const before = process.umask(0o117);
    server.listen(path, resolve);
    process.umask(before);
  });
  if (group !== undefined && process.getuid?.() === 0) chownSync(path, 0, group);
  chmodSync(path, 0o660);
  return server;
}

/** A killed agent leaves its socket; a living one answers on it. @throws ApplianceError `busy` */
async function removeStaleSocket(path: string): Promise<void> {
  mkdirSync(dirname(path), { recursive: true });
  const alive = await new Promise<boolean>((resolve) => {
    const socket = connect({ path });
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
  if (alive) throw new ApplianceError('busy', `an agent listens on ${path} already`, { left: 'it goes on' });
  rmSync(path, { force: true });
}

async function answer(
  deps: ServerDeps,
  access: Endpoint['access'],
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const gone = new AbortController();
  response.once('close', () => gone.abort());
  try {
    const name = nameOf(request);
    const endpoint: Endpoint = endpoints[name];
    const actor = identify(deps, request);
    if (endpoint.access === 'operator') assertOperator(access, actor);
    const input = parseInput(name, endpoint.method === 'POST' ? parseBody(await readBody(request)) : {});
    const caller: Caller = { actor: actor ?? unknownActor, access, signal: gone.signal };
    const handlers = await deps.handlersFor(name, { wait: waitOf(input) ?? 0, signal: gone.signal });
    await respond(handlers, name, input, caller, response);
  } catch (thrown) {
    const error = asApplianceError(thrown);
    if (error.code === 'internal') deps.onError(thrown);
    fail(response, error.toBody());
  }
}

/** Runs the handler of a route and writes what it answers. */
async function respond(
  handlers: Handlers,
  name: EndpointName,
  input: unknown,
  caller: Caller,
  response: ServerResponse,
): Promise<void> {
  const result = dispatch(handlers, name, input, caller);
  if (!isStream(result)) {
    const document = JSON.stringify(routes[name].output.parse(await result));
    response.writeHead(200, { 'content-type': 'application/json' }).end(document);
    return;
  }
  const iterator = result[Symbol.asyncIterator]();
  try {
    // The head waits for the first document, so that an error before it is an error of the request.
    let next = await iterator.next();
    response.writeHead(200, { 'content-type': 'application/x-ndjson' });
    response.flushHeaders();
    while (!next.done && !caller.signal.aborted) {
      const more = response.write(`${JSON.stringify(next.value)}\n`);
      if (!more) await drained(response, caller.signal);
      next = await iterator.next();
    }
    response.end();
  } finally {
    await iterator.return?.();
  }
}

/**
 * Calls the handler of a route. The input was parsed with the schema of that very route, which the type system cannot
 * follow through a table of twenty signatures; this is the one place that says so.
 */
export function dispatch(
  handlers: Partial<Handlers>,
  name: EndpointName,
  input: unknown,
  caller: Caller,
): Promise<unknown> | AsyncIterable<unknown> {
  const handler = handlers[name] as (input: unknown, caller: Caller) => Promise<unknown> | AsyncIterable<unknown>;
  return handler(input, caller);
}

export function isStream(result: Promise<unknown> | AsyncIterable<unknown>): result is AsyncIterable<unknown> {
  return Symbol.asyncIterator in result;
}

async function drained(response: ServerResponse, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  await new Promise<void>((resolve) => {
    const done = (): void => {
      response.off('drain', done);
      signal.removeEventListener('abort', done);
      resolve();
    };
    response.once('drain', done);
    signal.addEventListener('abort', done, { once: true });
  });
}

function nameOf(request: IncomingMessage): EndpointName {
  for (const name of Object.keys(endpoints) as EndpointName[]) {
    if (endpoints[name].path === request.url && endpoints[name].method === request.method) return name;
  }
  throw new ApplianceError('usage', `the agent does not know ${request.method} ${request.url}`, {
    hint: 'the command is newer than the agent: restart the agent',
  });
}

async function readBody(request: IncomingMessage): Promise<string> {
  let text = '';
  request.setEncoding('utf8');
  for await (const chunk of request) {
    text += String(chunk);
    if (text.length > longestRequest) throw new ApplianceError('usage', 'the request is too long');
  }
  return text;
}

function parseBody(text: string): unknown {
  try {
    return JSON.parse(text || '{}');
  } catch (error) {
    throw new ApplianceError('usage', 'the request is not JSON', { left: 'nothing was touched', cause: error });
  }
}

const unknownActor: Actor = { uid: -1, user: 'unknown', ssh: null };

/**
 * Who calls, proven by the kernel: the owner of the nonce file that the caller has just created (DESIGN §8).
 * The file is used up, so that a name that leaks is worth nothing.
 */
function identify(deps: ServerDeps, request: IncomingMessage): Actor | undefined {
  const nonce = request.headers[nonceHeader];
  if (typeof nonce !== 'string' || !noncePattern.test(nonce)) return undefined;
  const path = join(deps.paths.nonces, nonce);
  const file = lstatSync(path, { throwIfNoEntry: false });
  // A link to somebody else's file would prove somebody else; what a client makes is empty and has one name.
  if (!file?.isFile() || file.nlink !== 1 || file.size !== 0) return undefined;
  const pid = request.headers[pidHeader];
  const login =
    typeof pid === 'string' && /^[1-9]\d{0,9}$/.test(pid)
      ? deps.loginOf(Number(pid), { path, dev: file.dev, ino: file.ino })
      : undefined;
  rmSync(path, { force: true });
  const ssh = request.headers[sshHeader];
  return {
    uid: file.uid,
    user: deps.userName(file.uid),
    // Said by the caller, so only kept where it looks like an address.
    ssh: typeof ssh === 'string' && /^[0-9a-fA-F.:%a-z]{2,64}$/.test(ssh) ? ssh : null,
    ...(login === undefined || login === file.uid ? {} : { login: { uid: login, user: deps.userName(login) } }),
  };
}

function assertOperator(access: Endpoint['access'], actor: Actor | undefined): asserts actor is Actor {
  if (access !== 'operator') {
    throw new ApplianceError('not_permitted', 'that is for operators; you came through the read-only socket', {
      left: 'nothing was touched',
      hint: 'ask to be added to the group of the operators, or use sudo',
    });
  }
  if (actor === undefined) {
    throw new ApplianceError('not_permitted', 'the caller could not be proven (no nonce file)', {
      left: 'nothing was touched',
    });
  }
}

const statusOfExit: Readonly<Record<number, number>> = { 2: 400, 5: 409, 6: 404, 7: 403, 8: 503 };

function fail(response: ServerResponse, error: ErrorBody): void {
  if (response.destroyed) return;
  const document = JSON.stringify({ error });
  if (response.headersSent) response.end(`${document}\n`);
  else response.writeHead(statusOfExit[error.exit] ?? 500, { 'content-type': 'application/json' }).end(document);
}
