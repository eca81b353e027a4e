import { execa } from 'execa';
import { messageOf } from '../lib/errors.ts';
import { maskUrls } from '../lib/urls.ts';
import { run } from './process.ts';

/** A file as some commit holds it. */
export interface GitFile {
  readonly sha: string;
  readonly path: string;
  readonly content: Buffer;
}

export interface GitBounds {
  /** Largest file that is read, in bytes. */
  readonly each: number;
  /** Bytes that are read in all. */
  readonly total: number;
  /** Milliseconds. */
  readonly timeout: number;
}

const environment = { GIT_TERMINAL_PROMPT: '0', GIT_OPTIONAL_LOCKS: '0', LC_ALL: 'C' };

/**
 * What Git prints about a repository. It is only read: no lock, no prompt.
 * @throws Error with the first line of what Git says when it fails
 */
export async function readGit(repository: string, args: readonly string[], signal: AbortSignal): Promise<string> {
  const result = await run('git', ['-C', repository, ...args], {
    env: environment,
    timeout: 8_000,
    signal,
    ownGroup: true,
  });
  if (result.exitCode === 0) return result.stdout;
  throw new Error(maskUrls(result.stderr.trim().split('\n')[0] ?? `git ended with ${result.exitCode}`));
}

/** Every file that any commit of a repository holds: object id → first path that it was seen at. */
export async function gitPaths(repository: string, signal: AbortSignal): Promise<ReadonlyMap<string, string>> {
  const text = await readGit(repository, ['rev-list', '--objects', '--all'], signal);
  const named = text.split('\n').flatMap((line) => {
    const at = line.indexOf(' ');
    return at < 0 || at === line.length - 1 ? [] : [[line.slice(0, at), line.slice(at + 1)] as const];
  });
  return new Map(named);
}

/**
 * Reads files out of the object database, as many as the bounds allow.
 * @param wanted object id → path
 * @returns how many were left out because of the bounds
 * @throws Error when Git fails
 */
export async function readGitFiles(
  repository: string,
  wanted: ReadonlyMap<string, string>,
  bounds: GitBounds,
  onFile: (file: GitFile) => void,
  signal: AbortSignal,
): Promise<number> {
  const ids = [...wanted.keys()];
  const sizes = await sizesOf(repository, ids, signal);
  let total = 0;
  const chosen = sizes.filter(({ bytes }) => {
    if (bytes > bounds.each || total + bytes > bounds.total) return false;
    total += bytes;
    return true;
  });
  if (chosen.length > 0) {
    const child = execa('git', ['-C', repository, 'cat-file', '--batch'], {
      input: `${chosen.map(({ sha }) => sha).join('\n')}\n`,
      encoding: 'buffer',
      maxBuffer: bounds.total + chosen.length * 100 + 1_024,
      timeout: bounds.timeout,
      cancelSignal: signal,
      extendEnv: true,
      env: environment,
      reject: false,
    });
    const { stdout, failed, shortMessage } = await child;
    if (failed) throw new Error(messageOf(shortMessage ?? 'git cat-file failed'));
    const all = Buffer.from(stdout);
    let at = 0;
    while (at < all.length) {
      const end = all.indexOf(10, at);
      const [sha = '', , size = '0'] = all.toString('latin1', at, end < 0 ? all.length : end).split(' ');
      if (end < 0) break;
      const content = all.subarray(end + 1, end + 1 + Number(size));
      onFile({ sha, path: wanted.get(sha) ?? sha, content });
      at = end + 1 + Number(size) + 1;
    }
  }
  return sizes.length - chosen.length;
}

/** Files among objects, with their sizes; trees are left out. */
async function sizesOf(
  repository: string,
  ids: readonly string[],
  signal: AbortSignal,
): Promise<{ sha: string; bytes: number }[]> {
  const { stdout, exitCode, stderr } = await run(
    'git',
    ['-C', repository, 'cat-file', '--batch-check=%(objectname) %(objecttype) %(objectsize)'],
    { env: environment, timeout: 8_000, signal, input: `${ids.join('\n')}\n` },
  );
  if (exitCode !== 0) throw new Error(stderr.trim().split('\n')[0] ?? 'git cat-file failed');
  return stdout.split('\n').flatMap((line) => {
    const [sha, type, size] = line.split(' ');
    return sha !== undefined && type === 'blob' ? [{ sha, bytes: Number(size) }] : [];
  });
}
