import { createReadStream, createWriteStream } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { PassThrough } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type Docker from 'dockerode';
import { type ExecStream, type ExecStreamResult, execFed } from './docker-exec.ts';
import { carry, openPipe } from './docker-pipe.ts';

/** A program in a container, and a file of this host that goes into it or comes out of it. */
export interface ExecFile extends Omit<ExecStream, 'stdin' | 'stdout'> {
  readonly file: string;
}

/**
 * Runs a program inside of a container that reads a file of this host, however large: past the engine where this process may.
 * @throws as `execStream`; the system's error where the file cannot be read
 */
export async function execFrom(docker: Docker, id: string, { file, ...request }: ExecFile): Promise<ExecStreamResult> {
  const source = await open(file);
  try {
    return await execFed(docker, id, request, async ({ exec, connection, signal }) => {
      const pipe = await openPipe(exec, request.argv, 0, 'write');
      if (!pipe) return pipeline(createReadStream(file), connection).catch(() => undefined);
      await carried(source, pipe, pipe, signal);
      connection.end();
    });
  } finally {
    await source.close();
  }
}

/** Of the pipe that a program hands over. */
const descriptor = 3;

/**
 * Runs in the container: offers a pipe, and makes it the output of a program if whoever has started it holds its other end.
 * Nobody in the container does then: a program whose reader is gone ends by itself. The shell's own input will not do, because
 * the engine keeps both ends of it.
 */
const handover = `pipe=/dev/shm/.output.$$; way=engine
if mkfifo -m 600 "$pipe" 2>/dev/null; then exec ${descriptor}<>"$pipe"; rm -f "$pipe"; way=pipe; fi
echo "@$way" >&2
read -r way || exit 1
if [ "$way" = pipe ]; then exec >/proc/self/fd/${descriptor}; fi
exec "$@" </dev/null ${descriptor}>&-`;

/**
 * Runs a program inside of a container whose output becomes a file of this host, synced: past the engine where this
 * process may and the container has a shell.
 * @param onBytes told of the size of the file, once a second
 * @throws as `execStream`; the system's error where the file cannot be written, which is incomplete then
 */
export async function execInto(
  docker: Docker,
  id: string,
  {
    file,
    shell,
    onBytes,
    ...request
  }: ExecFile & { readonly shell: boolean; readonly onBytes?: (bytes: number) => void },
): Promise<{ readonly exitCode: number; readonly stderr: string }> {
  const target = await open(file, 'w', 0o600);
  const tell = setInterval(() => {
    target.stat().then(
      ({ size }) => onBytes?.(size),
      () => undefined,
    );
  }, 1_000);
  try {
    const argv = [...(shell ? ['sh', '-c', handover, 'sh'] : []), ...request.argv];
    const stdout = new PassThrough();
    const { exitCode, stderr } = await execFed(docker, id, { ...request, argv, stdout }, async (running) => {
      const { exec, connection, firstLine, signal } = running;
      const offered = shell && (await firstLine) === '@pipe';
      const pipe = offered ? await openPipe(exec, argv, descriptor, 'read') : undefined;
      connection.end(shell ? `${pipe ? 'pipe' : 'engine'}\n` : undefined);
      if (pipe) return carried(pipe, target, pipe, signal);
      await pipeline(stdout, createWriteStream(file));
    });
    await target.sync();
    return { exitCode, stderr: shell ? stderr.replace(/^@(?:pipe|engine)\n/, '') : stderr };
  } finally {
    clearInterval(tell);
    await target.close();
  }
}

/** Without this end of the pipe the program notices that nobody is at it any more. */
async function carried(from: FileHandle, to: FileHandle, pipe: FileHandle, signal: AbortSignal): Promise<void> {
  try {
    await carry(from, to, signal);
  } finally {
    await pipe.close();
  }
}
