import { once } from 'node:events';
import { type Duplex, type Readable, Writable } from 'node:stream';
import { finished, pipeline } from 'node:stream/promises';
import { StringDecoder } from 'node:string_decoder';
import { setTimeout as delay } from 'node:timers/promises';
import type Docker from 'dockerode';
import { z } from 'zod';
import { ApplianceError } from '../lib/errors.ts';
import { guard, orAbsent, orStopped } from './docker-failures.ts';

export interface ExecStream {
  readonly argv: readonly string[];
  /** What the program reads, to its end; nothing by default. */
  readonly stdin?: Readable;
  /** Where its output goes as it comes; by default the end of it is kept. */
  readonly stdout?: Writable;
  /** Milliseconds after which it is no longer awaited. */
  readonly timeout: number;
  readonly signal?: AbortSignal;
}

export interface ExecStreamResult {
  readonly exitCode: number;
  /** Empty where `stdout` was given. */
  readonly stdout: string;
  readonly stderr: string;
}

/** Characters at the end of an output that are kept. */
const kept = 256 * 1024;
/** Milliseconds for what is still under way when a program has ended. */
const grace = 10_000;
/** Milliseconds within which the engine tells how a program has ended whose streams it has closed, however busy it is. */
const settling = 60_000;
/** Bytes before each frame. */
const header = 8;
const exitSchema = z.object({ ExitCode: z.number().nullable() });
const execsSchema = z.object({ ExecIDs: z.array(z.string()).nullish() });
const execSchema = z.object({
  Running: z.boolean(),
  ProcessConfig: z.object({ entrypoint: z.string(), arguments: z.array(z.string()).nullish() }),
});

/** A program that runs in a container, as whoever feeds it sees it. */
export interface Running {
  readonly exec: Docker.Exec;
  /** What is written here is its input, and the end of it. */
  readonly connection: Duplex;
  /** The first line of its standard error; undefined where it ended without one. */
  readonly firstLine: Promise<string | undefined>;
  /** Aborted when nobody waits for it any more. */
  readonly signal: AbortSignal;
}

/**
 * Runs a program inside of a container, with streams of any length on both sides. A caller that goes away closes its
 * input, by which a program that reads to the end notices.
 * @throws ApplianceError `timeout`, `engine_unreachable`; the signal's reason; what the streams throw
 */
export function execStream(docker: Docker, id: string, { stdin, ...request }: ExecStream): Promise<ExecStreamResult> {
  if (!stdin) return execFed(docker, id, request);
  return execFed(docker, id, request, async ({ connection }) => {
    // A program that ends before it has read everything closes the pipe; its exit status says why.
    await pipeline(stdin, connection).catch(() => undefined);
  }).finally(() => stdin.destroy());
}

/** What is said in the place of a program that cannot be started. */
const notRunning: ExecStreamResult = { exitCode: -1, stdout: '', stderr: 'the container does not run' };

/**
 * Runs a program inside of a container.
 * @returns `notRunning` where that container is stopped or gone
 * @param feed has its standard input, and whatever else is to be done while it runs; when it fails, so does this
 * @throws as `execStream`; what `feed` throws
 */
export async function execFed(
  docker: Docker,
  id: string,
  { argv, signal: outer, ...request }: Omit<ExecStream, 'stdin'>,
  feed?: (running: Running) => Promise<void>,
): Promise<ExecStreamResult> {
  const limit = AbortSignal.timeout(request.timeout);
  const signal = AbortSignal.any([limit, ...(outer ? [outer] : [])]);
  const stdin = feed !== undefined;
  const create = { Cmd: [...argv], AttachStdin: stdin, AttachStdout: true, AttachStderr: true, abortSignal: signal };
  const start = { hijack: true, stdin, abortSignal: signal };
  const begun = async () => {
    const made = await orStopped(() => guard('exec', () => docker.getContainer(id).exec(create)));
    return made && { exec: made, connection: await orStopped(() => guard('exec', () => made.start(start))) };
  };
  const { exec, connection } =
    (await begun().catch((error: unknown) => {
      outer?.throwIfAborted();
      throw error;
    })) ?? {};
  if (!exec || !connection) {
    request.stdout?.end();
    return notRunning;
  }
  const [stdout, stderr] = [new Tail(), new Tail()];
  const stop = (): void => void connection.destroy();
  signal.addEventListener('abort', stop, { once: true });
  if (signal.aborted) stop();
  const late = new AbortController();
  let failed: unknown;
  const running = { exec, connection, firstLine: stderr.firstLine, signal: AbortSignal.any([signal, late.signal]) };
  const fed = feed?.(running).catch((error: unknown) => {
    failed ??= error;
    stop();
  });
  try {
    await demultiplex(connection, { stdout: request.stdout ?? stdout, stderr }, signal);
  } catch (error) {
    failed ??= error;
  }
  signal.removeEventListener('abort', stop);
  connection.destroy();
  stderr.end();
  // Whoever carries past the engine hears of the end by the pipe, unless the engine was all that ended.
  const lost = new ApplianceError('engine_unreachable', `${argv[0] ?? 'exec'} in the container was lost sight of`);
  const timer = setTimeout(() => late.abort(lost), grace);
  await fed;
  clearTimeout(timer);
  outer?.throwIfAborted();
  if (limit.aborted) throw tooLong(argv, request.timeout);
  if (failed !== undefined) throw failed;
  const exitCode = await exitStatus(exec, argv, {
    timeout: request.timeout,
    limit,
    ...(outer ? { signal: outer } : {}),
  });
  return { exitCode, stdout: stdout.text, stderr: stderr.text };
}

/** The error of a program that is no longer awaited. @param timeout milliseconds */
function tooLong(argv: readonly string[], timeout: number): ApplianceError {
  return new ApplianceError('timeout', `${argv[0] ?? 'exec'} in the container took longer than ${timeout / 1_000} s`);
}

/**
 * Whether a program that somebody has started inside of a container still runs there, by its arguments.
 * @throws ApplianceError `engine_unreachable`
 */
export async function runsInside(docker: Docker, id: string, argv: readonly string[]): Promise<boolean> {
  const raw = await orAbsent(() => guard('inspect', () => docker.getContainer(id).inspect()));
  for (const exec of execsSchema.parse(raw ?? {}).ExecIDs ?? []) {
    const found = await orAbsent(() => guard('exec', () => docker.getExec(exec).inspect()));
    if (found === undefined) continue;
    const { Running, ProcessConfig } = execSchema.parse(found);
    const own = [ProcessConfig.entrypoint, ...(ProcessConfig.arguments ?? [])];
    if (Running && own.length === argv.length && own.every((word, index) => word === argv[index])) return true;
  }
  return false;
}

/**
 * Takes the two streams apart (docs.docker.com/reference/api/engine, "Stream format"), and waits for whoever takes them:
 * dockerode's own does not, and would keep a large dump in memory.
 */
async function demultiplex(
  connection: Duplex,
  to: { readonly stdout: Writable; readonly stderr: Writable },
  signal: AbortSignal,
): Promise<void> {
  let rest = Buffer.alloc(0);
  /** Of the frame that is being read: where it goes, and how much of it is missing. */
  let frame: { readonly sink: Writable; missing: number } | undefined;
  try {
    for await (const chunk of connection) {
      rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
      for (;;) {
        if (!frame) {
          if (rest.length < header) break;
          frame = { sink: rest[0] === 2 ? to.stderr : to.stdout, missing: rest.readUInt32BE(4) };
          rest = rest.subarray(header);
        }
        const part = rest.subarray(0, frame.missing);
        rest = rest.subarray(part.length);
        frame.missing -= part.length;
        // Writing to a stream that has failed, as on a full disk, tells nobody.
        if (frame.sink.destroyed) throw frame.sink.errored ?? new Error('nobody takes its output any more');
        if (part.length > 0 && !frame.sink.write(part)) await once(frame.sink, 'drain', { signal });
        if (frame.missing > 0) break;
        frame = undefined;
      }
    }
  } catch (error) {
    // A connection that was cut by its own deadline is told by whoever has set it.
    if (!signal.aborted) {
      // Whoever reads what was printed would wait for the rest of it for ever.
      to.stdout.destroy();
      throw error;
    }
  }
  if (signal.aborted) {
    to.stdout.destroy();
    return;
  }
  to.stdout.end();
  // `once` would wait for ever for the end of a stream that failed a moment before.
  await finished(to.stdout, { readable: false });
}

/**
 * How a program has ended whose streams are closed. The engine closes them a moment before it knows that; on a busy machine
 * the moment is seconds long.
 * @param about.limit aborted when the program is no longer awaited, after `timeout` milliseconds
 * @returns −1 where the container is gone, and the program with it
 * @throws ApplianceError `timeout`; `engine_unreachable` when the engine does not know it after a minute; the signal's reason
 */
async function exitStatus(
  exec: Docker.Exec,
  argv: readonly string[],
  about: { readonly limit: AbortSignal; readonly timeout: number; readonly signal?: AbortSignal },
): Promise<number> {
  const { limit, timeout, signal } = about;
  const until = performance.now() + settling;
  for (let pause = 10; ; pause = Math.min(2 * pause, 250)) {
    const found = await orAbsent(() => guard('exec', () => exec.inspect()));
    if (found === undefined) return -1;
    const { ExitCode } = exitSchema.parse(found);
    if (ExitCode !== null) return ExitCode;
    signal?.throwIfAborted();
    if (limit.aborted) throw tooLong(argv, timeout);
    if (performance.now() > until)
      throw new ApplianceError(
        'engine_unreachable',
        `the Docker Engine does not tell how ${argv[0] ?? 'exec'} in the container has ended`,
        { hint: 'look at its log: journalctl -u docker; then run the command again' },
      );
    await delay(pause);
  }
}

/** The beginning of what was printed; the rest is dropped. */
export class Head extends Writable {
  readonly #most: number;
  readonly #chunks: Buffer[] = [];
  #size = 0;

  /** @param most bytes */
  constructor(most: number) {
    super();
    this.#most = most;
  }

  get text(): string {
    return Buffer.concat(this.#chunks).toString('utf8');
  }

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    if (this.#size < this.#most) this.#chunks.push(chunk);
    this.#size += chunk.length;
    done();
  }
}

/** The end of what was printed, and its first line. */
class Tail extends Writable {
  readonly #decoder = new StringDecoder('utf8');
  readonly #first = Promise.withResolvers<string | undefined>();
  text = '';

  get firstLine(): Promise<string | undefined> {
    return this.#first.promise;
  }

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.text = `${this.text}${this.#decoder.write(chunk)}`.slice(-kept);
    const end = this.text.indexOf('\n');
    if (end >= 0) this.#first.resolve(this.text.slice(0, end));
    done();
  }

  override _final(done: () => void): void {
    this.#first.resolve(undefined);
    done();
  }
}
