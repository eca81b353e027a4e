import { spawn } from 'node:child_process';
import { existsSync, readFileSync, realpathSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { ApplianceError } from '../lib/errors.ts';
import { type Paths, pathsFor } from '../lib/paths.ts';

/** A program where install.sh has put it (packaging/install/program.sh). */
export interface InstalledProgram {
  readonly prefix: string;
  /** `programs/VERSION-FINGERPRINT`, from the prefix. */
  readonly runs: string;
}

/** What was installed with it. */
export interface Installation extends InstalledProgram {
  /** The root that it was installed for; undefined on a host-wide installation. */
  readonly root: string | undefined;
  /** Name of the appliance; undefined where no appliance.yaml says one. */
  readonly name: string | undefined;
}

/**
 * @param file real path of a file of a program
 * @returns the program that it belongs to; undefined for one of a checkout
 */
export function programWith(file: string): InstalledProgram | undefined {
  const [, prefix, runs] = /^(.*)\/(programs\/[^/]+)\/dist\//.exec(file) ?? [];
  return prefix !== undefined && runs !== undefined ? { prefix, runs } : undefined;
}

/**
 * @param entry the program as it was started
 * @throws ApplianceError `usage` where it was not installed, with what to type
 */
export function findInstallation(entry: string): Installation {
  const file = realpathSync(entry);
  const program = programWith(file);
  if (!program || !existsSync(join(program.prefix, 'root')) || !existsSync(script(program.prefix))) {
    const usual = script('/opt/appliance');
    throw new ApplianceError('usage', `this program was not installed: it runs from ${dirname(dirname(file))}`, {
      left: 'nothing was touched',
      hint: existsSync(usual)
        ? `to remove the one that is installed: sudo ${usual} --uninstall`
        : 'nothing of it is below /opt/appliance; installed elsewhere: sudo ./install.sh --uninstall --prefix DIR',
    });
  }
  const root = readFileSync(join(program.prefix, 'root'), 'utf8').trim() || undefined;
  return { ...program, root, name: nameIn(pathsFor(root)) };
}

function script(prefix: string): string {
  return join(prefix, 'program', 'install.sh');
}

/** As install.sh finds it, also in a file that has a mistake elsewhere. */
function nameIn({ config }: Paths): string | undefined {
  try {
    return /^name:\s*["']?([a-z0-9-]+)/m.exec(readFileSync(config, 'utf8'))?.[1];
  } catch {
    return undefined;
  }
}

/** How an uninstallation ended. */
export interface Uninstalled {
  /** Exit status of install.sh; null when a signal has ended it. */
  readonly exitCode: number | null;
  /** The end of what it said about a failure. */
  readonly said: string;
  /** Directories of configuration, state, sockets and logs that are still there. */
  readonly kept: readonly string[];
}

/** Milliseconds that it may take: every container has 20 s to stop, and volumes may be large. */
const patience = 30 * 60_000;
/** Most that is kept of what it says about a failure, in characters. */
const longest = 4_000;

/**
 * Lets the installer remove what it has installed. It is a process of its own session, so that neither a lost connection nor
 * the end of this process stops it; nothing of this program is loaded any more once it has begun.
 * @param progress file descriptor that is told of each step, or `ignore`
 * @param onError told of what it says about a failure
 */
export async function uninstall(
  { prefix, root }: Installation,
  options: {
    readonly purge: boolean;
    readonly progress: number | 'ignore';
    readonly onError: (text: string) => void;
    readonly signal: AbortSignal;
  },
): Promise<Uninstalled> {
  const args = ['--uninstall', '--yes', '--prefix', prefix, ...(options.purge ? ['--purge'] : [])];
  const child = spawn('bash', [script(prefix), ...args], {
    cwd: '/',
    detached: true,
    stdio: ['ignore', options.progress, 'pipe'],
  });
  const stop = () => child.kill('SIGTERM');
  options.signal.addEventListener('abort', stop, { once: true });
  const deadline = setTimeout(stop, patience);
  let said = '';
  child.stderr?.on('data', (piece: Buffer) => {
    said = (said + piece.toString()).slice(-longest);
    options.onError(piece.toString());
  });
  try {
    const exitCode = await new Promise<number | null>((resolve, reject) => {
      child.once('error', reject);
      child.once('close', resolve);
      if (options.signal.aborted) stop();
    });
    const { etc, lib, run, log } = pathsFor(root);
    return { exitCode, said, kept: [etc, lib, run, log].filter((directory) => existsSync(directory)) };
  } finally {
    clearTimeout(deadline);
    options.signal.removeEventListener('abort', stop);
  }
}
