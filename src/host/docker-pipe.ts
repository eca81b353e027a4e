import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { constants } from 'node:fs';
import { type FileHandle, open, readFile } from 'node:fs/promises';
import { text } from 'node:stream/consumers';
import { setTimeout as delay } from 'node:timers/promises';
import type Docker from 'dockerode';
import { z } from 'zod';
import { ApplianceError } from '../lib/errors.ts';
import { guard } from './docker-failures.ts';

const startedSchema = z.object({ ExitCode: z.number().nullable(), Pid: z.number() });
/** Times, and milliseconds between them, that the engine is asked for a program that it is about to start. */
const tries = 200;
const pause = 10;

/**
 * Opens a pipe of a program in a container, past the engine: what goes through the engine is copied four times, in pieces of
 * 32 KiB, and takes three times as long as the program itself.
 * @param argv of the program, by which it is known: its number would mean another one where the engine counts its own
 * @param descriptor that the program has for it
 * @param side `write` for what it reads; `read` for what it writes
 * @returns undefined where this process cannot have it; the engine's stream does the same then
 */
export async function openPipe(
  exec: Docker.Exec,
  argv: readonly string[],
  descriptor: number,
  side: 'read' | 'write',
): Promise<FileHandle | undefined> {
  const directory = await processOf(exec, argv);
  if (directory === undefined) return undefined;
  const flags = side === 'read' ? constants.O_RDONLY : constants.O_WRONLY;
  const pipe = await open(`${directory}/fd/${descriptor}`, flags).catch(() => undefined);
  if (pipe === undefined || (await pipe.stat()).isFIFO()) return pipe;
  await pipe.close();
  return undefined;
}

/** What the end of a program's arguments is until it is started, because it is still the one that starts it. */
const starter = 'init\0';

/** Directory of the kernel about a program that the engine has started. */
async function processOf(exec: Docker.Exec, argv: readonly string[]): Promise<string | undefined> {
  const own = argv.map((word) => `${word}\0`).join('');
  for (let asked = 0; asked < tries; asked += 1) {
    const { ExitCode, Pid } = startedSchema.parse(await guard('exec', () => exec.inspect()));
    const directory = `/proc/${Pid}`;
    const seen = Pid === 0 ? starter : await readFile(`${directory}/cmdline`, 'utf8').catch(() => '');
    if (seen === own) return directory;
    if (!seen.endsWith(starter) || ExitCode !== null) return undefined;
    await delay(pause);
  }
  return undefined;
}

/**
 * Copies all that comes from one file to another, by a program that ends with this process: bytes that nobody here looks at need not
 * keep the agent from answering.
 * @throws Error `ENOSPC`; ApplianceError `internal`; the signal's reason
 */
export async function carry(from: FileHandle, to: FileHandle, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  const child = spawn('setpriv', ['--pdeathsig', 'KILL', 'cat'], {
    stdio: [from.fd, to.fd, 'pipe'],
    env: { PATH: process.env.PATH ?? '/usr/bin:/bin', LC_ALL: 'C' },
  });
  const stop = (): void => void child.kill('SIGKILL');
  signal.addEventListener('abort', stop, { once: true });
  try {
    const [said, [exitCode, killed]] = await Promise.all([
      child.stderr ? text(child.stderr) : '',
      once(child, 'close'),
    ]);
    signal.throwIfAborted();
    // The reader may have had enough.
    if (exitCode === 0 || killed === 'SIGPIPE') return;
    throw /No space left on device/.test(said)
      ? Object.assign(new Error(said.trim()), { code: 'ENOSPC' })
      : new ApplianceError('internal', `a file could not be copied: ${said.trim() || killed || exitCode}`);
  } finally {
    signal.removeEventListener('abort', stop);
  }
}
