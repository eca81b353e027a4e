import { ExecaError, execa } from 'execa';
import { ApplianceError } from '../lib/errors.ts';

export interface RunOptions {
  readonly cwd?: string;
  /** Replaces the whole environment, so that nothing leaks into or out of a child. PATH and HOME are always kept. */
  readonly env?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
  /** Milliseconds after which the child is killed. */
  readonly timeout: number;
  /** Told of each line of stdout and stderr as it comes. */
  readonly onLine?: (line: string) => void;
  readonly input?: string;
  /**
   * Runs the child as the leader of a process group of its own, of which nothing is left when this call ends, whatever
   * ends it. For children that change nothing: the end is SIGKILL.
   */
  readonly ownGroup?: boolean;
  /** Most that the child may print to each stream, in characters; 32 Mi by default. */
  readonly maxOutput?: number;
}

export interface RunResult {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Most a child may print before it is cut off, in characters (execa counts characters of each stream). */
const maxOutput = 32 * 1024 * 1024;

/**
 * Runs a program with an argument array, never through a shell.
 * @returns exit status and output, whatever the exit status is
 * @throws ApplianceError `timeout` when it takes longer than allowed; `internal` when it cannot be started or prints more
 *   than allowed; the signal's reason when it was aborted
 */
export async function run(command: string, args: readonly string[], options: RunOptions): Promise<RunResult> {
  const child = execa(command, args, {
    reject: false,
    all: options.onLine !== undefined,
    extendEnv: false,
    env: { PATH: process.env.PATH ?? '/usr/bin:/bin', HOME: process.env.HOME ?? '/root', ...options.env },
    timeout: options.timeout,
    forceKillAfterDelay: 3_000,
    maxBuffer: options.maxOutput ?? maxOutput,
    detached: options.ownGroup ?? false,
    stdin: options.input === undefined ? 'ignore' : 'pipe',
    ...(options.input === undefined ? {} : { input: options.input }),
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    ...(options.signal === undefined ? {} : { cancelSignal: options.signal }),
  });
  const { onLine } = options;
  const followed = onLine ? follow(child.iterable({ from: 'all' }), onLine) : undefined;
  const endGroup = options.ownGroup ? groupEnd(child.pid, options) : undefined;
  const result = await child;
  endGroup?.(result.failed);
  await followed;
  if (result.isCanceled) {
    options.signal?.throwIfAborted();
  }
  if (result.timedOut) {
    throw new ApplianceError(
      'timeout',
      `${command} ${args[0] ?? ''} took longer than ${options.timeout / 1_000} s and was stopped`,
    );
  }
  if (result.isMaxBuffer) {
    throw new ApplianceError('internal', `${command} ${args[0] ?? ''} printed more than it may and was stopped`, {
      cause: result,
    });
  }
  if (result.exitCode === undefined) {
    throw new ApplianceError('internal', `${command} could not be run: ${result.shortMessage ?? 'killed'}`, {
      cause: result,
    });
  }
  return { exitCode: result.exitCode, stdout: result.stdout, stderr: result.stderr };
}

/**
 * Ends a process group when its time is up, when its caller goes away, or when this process ends. The leader alone would
 * not do: what it started keeps its pipes open, and whoever reads them waits for them.
 * @returns stops waiting for all that, and ends what a leader that did not end well has left
 */
function groupEnd(leader: number | undefined, { timeout, signal }: RunOptions): (failed: boolean) => void {
  const kill = (): void => {
    try {
      if (leader !== undefined) process.kill(-leader, 'SIGKILL');
    } catch {
      // It has ended.
    }
  };
  const timer = setTimeout(kill, timeout);
  signal?.addEventListener('abort', kill, { once: true });
  process.once('exit', kill);
  return (failed) => {
    clearTimeout(timer);
    signal?.removeEventListener('abort', kill);
    process.off('exit', kill);
    if (failed) kill();
  };
}

/** Which bound of `run` a child went beyond, if that is what an error of `run` tells. */
export function exceeded(error: unknown): 'time' | 'output' | undefined {
  if (!(error instanceof ApplianceError)) return undefined;
  if (error.code === 'timeout') return 'time';
  return error.cause instanceof ExecaError && error.cause.isMaxBuffer ? 'output' : undefined;
}

async function follow(lines: AsyncIterable<string>, onLine: (line: string) => void): Promise<void> {
  try {
    for await (const line of lines) onLine(line);
  } catch {
    // The iteration ends with the child's own error, which `run` reports from its result.
  }
}
