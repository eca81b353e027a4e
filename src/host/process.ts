import { execa } from 'execa';
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
 * @throws ApplianceError `timeout` when it takes longer than allowed; `internal` when it cannot be started; the
 *   signal's reason when it was aborted
 */
export async function run(command: string, args: readonly string[], options: RunOptions): Promise<RunResult> {
  const child = execa(command, args, {
    reject: false,
    all: options.onLine !== undefined,
    extendEnv: false,
    env: { PATH: process.env.PATH ?? '/usr/bin:/bin', HOME: process.env.HOME ?? '/root', ...options.env },
    timeout: options.timeout,
    forceKillAfterDelay: 3_000,
    maxBuffer: maxOutput,
    stdin: options.input === undefined ? 'ignore' : 'pipe',
    ...(options.input === undefined ? {} : { input: options.input }),
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    ...(options.signal === undefined ? {} : { cancelSignal: options.signal }),
  });
  const { onLine } = options;
  const followed = onLine ? follow(child.iterable({ from: 'all' }), onLine) : undefined;
  const result = await child;
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
  if (result.exitCode === undefined) {
    throw new ApplianceError('internal', `${command} could not be run: ${result.shortMessage ?? 'killed'}`, {
      cause: result,
    });
  }
  return { exitCode: result.exitCode, stdout: result.stdout, stderr: result.stderr };
}

async function follow(lines: AsyncIterable<string>, onLine: (line: string) => void): Promise<void> {
  try {
    for await (const line of lines) onLine(line);
  } catch {
    // The iteration ends with the child's own error, which `run` reports from its result.
  }
}
