import { existsSync } from 'node:fs';

/** What a child process and its children may use, each of them; the kernel sees to it (setrlimit(2)). */
export interface Limits {
  /** Memory that is written to, in bytes (RLIMIT_DATA). Not the address space: a Go program reserves far more than it uses. */
  readonly memory: number;
  /** Seconds of processor time; ends even a child whose parent was killed and that nobody waits for (RLIMIT_CPU). */
  readonly cpuSeconds: number;
}

/** Where util-linux puts it. Part of every Debian; a host without it has the deadlines alone. */
const prlimit = ['/usr/bin/prlimit', '/bin/prlimit'];

/**
 * A command line under limits.
 * @returns the command line to run instead; it exits with 127 when there is no such program
 */
export function underLimits(limits: Limits, command: string, args: readonly string[]): [string, readonly string[]] {
  const tool = prlimit.find((path) => existsSync(path));
  if (tool === undefined) return [command, args];
  return [tool, [`--data=${limits.memory}`, `--cpu=${limits.cpuSeconds}`, '--', command, ...args]];
}

/** Exit status of `prlimit` when the program that it is to run cannot be found. */
export const notFoundStatus = 127;
