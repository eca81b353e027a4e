import { randomBytes } from 'node:crypto';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Writable } from 'node:stream';
import { ApplianceError } from '../lib/errors.ts';
import type { Engine } from './docker.ts';
import type { TaskMount } from './docker-task.ts';
import { readIfPresent, writeFileAtomic } from './files.ts';
import { noRoomLeft, resticError } from './restic-errors.ts';

const resticImage = 'appliance/restic:1';
/** By this label the containers are found that a killed agent has left. They are no part of the stack. */
const resticLabel = 'appliance.backup';

/** Where a repository is. */
export interface ResticTarget {
  /** For people. */
  readonly name: string;
  /** A directory of this host, or a target of restic such as `s3:https://…`. */
  readonly target: string;
  /** File with credentials, KEY=VALUE a line. */
  readonly environmentFile?: string | undefined;
  /** Directory with rclone.conf or ssh_config. */
  readonly credentials?: string | undefined;
}

export interface ResticDeps {
  readonly engine: Engine;
  /** Name of the appliance. */
  readonly appliance: string;
  /** Tells this host from others that write to the same target. */
  readonly host: string;
  /** Directory for what a run needs to know, secrets among it: best on a file system in memory. */
  readonly scratch: string;
  /** Directory of restic's cache. */
  readonly cache: string;
  readonly limits: {
    readonly cpus: number;
    readonly memory: number;
    readonly upload?: number | undefined;
    readonly timeout: number;
  };
}

export interface ResticRun {
  readonly repository: ResticTarget;
  /** The password of the repository. */
  readonly key: string;
  /** Arguments of restic, without repository and password. */
  readonly args: readonly string[];
  /** Run instead of restic, in the same container; its arguments are all of it. */
  readonly program?: readonly string[];
  /** For the error: `store the snapshot`. */
  readonly what: string;
  /** More runs in the same container, each once the one before has ended well; `nextRunMark` is the line between. */
  readonly after?: readonly Pick<ResticRun, 'args' | 'readOnly'>[];
  /** Directory with the repository that a copy is made from; it has the same key, and needs no credentials. */
  readonly from?: string;
  readonly mounts?: readonly TaskMount[];
  readonly signal: AbortSignal;
  /** Told of each line of output; with `--json` each is one message. */
  readonly onLine?: (line: string) => void;
  readonly stdout?: Writable;
  /** Exit statuses that are an answer, not a failure. */
  readonly answers?: readonly number[];
  /** Somebody waits for it, as in a deploy. */
  readonly prompt?: boolean;
  /** Milliseconds that it may take; by default the limit of the appliance. */
  readonly timeout?: number;
  /** The whole repository is read only; no lock is taken. */
  readonly readOnly?: boolean;
}

/** A line of output between one run and the next in one container. */
export const nextRunMark = '@next';

/**
 * Runs restic several times: of each run how many arguments it has, then these. The exit status is of the run that failed. An
 * interrupt is passed on, so that restic removes its lock.
 */
const severalScript = `trap 'kill -TERM "$run"' INT TERM
while :; do
  n=$1; shift
  restic "\${@:1:n}" & run=$!
  wait "$run"; status=$?
  while kill -0 "$run" 2>/dev/null; do wait "$run"; status=$?; done
  shift "$n"
  [ "$status" = 0 ] && (($# > 0)) || exit "$status"
  printf '\\n%s\\n' '${nextRunMark}'
done`;

/** Reading all files, writing the repository, and giving restored files their owner; nothing else of root. */
const capabilities = ['DAC_READ_SEARCH', 'DAC_OVERRIDE', 'CHOWN', 'FOWNER'];

/**
 * Runs restic from its image: limited in processors, memory and IO, without network unless the target needs it, with no
 * secret in its arguments or its environment.
 */
export class Restic {
  readonly #deps: ResticDeps;

  constructor(deps: ResticDeps) {
    this.#deps = deps;
  }

  /**
   * @returns the exit status: 0, or one of `answers`
   * @throws ApplianceError `backup_not_found`, `backup_locked`, `backup_key` (restic's exit statuses 10, 11, 12), `disk_full`,
   *   `backup_target`, `backup_damaged`, `backup_failed`, `timeout`, `engine_unreachable`; the signal's reason
   */
  async run(request: ResticRun): Promise<number> {
    const { engine, appliance, host, scratch, cache, limits } = this.#deps;
    const { repository, from, key, signal } = request;
    const id = randomBytes(6).toString('hex');
    const directory = join(scratch, id);
    try {
      await this.#assertImage();
      await mkdir(directory, { recursive: true, mode: 0o700 });
      await mkdir(cache, { recursive: true, mode: 0o700 });
      await this.#brief(directory, request);
      const result = await engine.runTask({
        name: `${appliance}-restic-${id}`,
        image: resticImage,
        argv: argvOf(request, limits),
        mounts: [
          { from: directory, to: '/run/restic' },
          { from: cache, to: '/cache', writable: true },
          ...targetMounts(repository, '/repository', request.readOnly !== true),
          // Reading needs a lock, which is a file in it.
          ...(from === undefined ? [] : [{ from, to: '/from', writable: true }]),
          ...(request.mounts ?? []),
        ],
        network: isLocal(repository) ? 'none' : 'host',
        hostname: lockHost({ appliance, host, run: id }),
        capabilities,
        cpus: limits.cpus,
        share: request.prompt ? 'half' : 'eighth',
        memory: limits.memory,
        labels: { [resticLabel]: appliance, 'appliance.run': id },
        timeout: request.timeout ?? limits.timeout,
        signal,
        hopeless: noRoomLeft,
        ...(request.stdout ? { stdout: request.stdout } : {}),
        ...(request.onLine ? { onLine: request.onLine } : {}),
      });
      const { exitCode } = result;
      if (exitCode === 0 || request.answers?.includes(exitCode)) return exitCode;
      throw resticError({
        ...result,
        stderr: result.stderr.replaceAll(key, '***'),
        target: repository.name,
        what: request.what,
      });
    } finally {
      await rm(directory, { recursive: true, force: true });
    }
  }

  /** Runs of this appliance that still go on, or have left their container. */
  async runs(): Promise<{ readonly id: string; readonly run: string }[]> {
    const { engine, appliance } = this.#deps;
    const found = await engine.containers([`${resticLabel}=${appliance}`]);
    return found.map(({ id, labels }) => ({ id, run: labels['appliance.run'] ?? '' }));
  }

  /** Ends what a killed agent has left running, and removes the secrets it had. Only the one writer may call it. */
  async sweep(): Promise<void> {
    for (const { id } of await this.runs()) await this.#deps.engine.remove(id);
    await rm(this.#deps.scratch, { recursive: true, force: true });
  }

  /** Whether a lock of this name was taken by a run of this appliance on this host that is over. */
  async isDead(lockHostname: string): Promise<boolean> {
    const { appliance, host } = this.#deps;
    const prefix = lockHost({ appliance, host, run: '' });
    if (!lockHostname.startsWith(prefix)) return false;
    const run = lockHostname.slice(prefix.length);
    return !(await this.runs()).some((one) => one.run === run);
  }

  async #assertImage(): Promise<void> {
    if (await this.#deps.engine.image(resticImage)) return;
    throw new ApplianceError('backup_failed', `the image ${resticImage} is not on this host`, {
      left: 'nothing was touched',
      hint: 'make it: sudo ./install.sh --prepare, or compose/images/build.sh restic',
    });
  }

  /** What the container reads instead of arguments and environment. */
  async #brief(directory: string, { repository, from, key }: ResticRun): Promise<void> {
    const write = (name: string, text: string) => writeFileAtomic(join(directory, name), text, 0o600);
    await write('password', `${key}\n`);
    await write('repository', isLocal(repository) ? '/repository' : repository.target);
    if (from !== undefined) await write('from', '/from');
    const { environmentFile, name } = repository;
    if (environmentFile === undefined) return;
    const text = await readIfPresent(environmentFile);
    if (text === undefined)
      throw new ApplianceError('backup_target', `the environment file ${environmentFile} is not there`, {
        left: 'the other targets are not touched by this',
        hint: `write it with the credentials of ${name}, or correct backups.offsite in appliance.yaml`,
      });
    await write('environment', text);
  }
}

/** Whether a target is a directory of this host. */
export function isLocal({ target }: ResticTarget): boolean {
  return target.startsWith('/');
}

function lockHost({ appliance, host, run }: { appliance: string; host: string; run: string }): string {
  return `${appliance}-${host}-${run}`;
}

/** What the container runs: restic, restic several times, or another program. */
function argvOf(request: ResticRun, limits: ResticDeps['limits']): string[] {
  const { program, from, after = [] } = request;
  if (program) return ['--', ...program];
  const argv = ({ args, readOnly = false }: Pick<ResticRun, 'args' | 'readOnly'>): string[] => [
    ...globalOptions(request, limits, readOnly),
    ...args,
  ];
  const source = ['--from-repository-file=/run/restic/from', '--from-password-file=/run/restic/password'];
  const first = [...argv(request), ...(from === undefined ? [] : source)];
  if (after.length === 0) return first;
  const runs = [first, ...after.map(argv)];
  return ['--', 'bash', '-c', severalScript, 'bash', ...runs.flatMap((run) => [String(run.length), ...run])];
}

/** ssh writes there itself: restic, which passes its words on, has often ended before they came (5 of 40 times). */
const stderrOfContainer = '/proc/1/fd/2';

function globalOptions({ repository }: ResticRun, { upload }: ResticDeps['limits'], readOnly: boolean): string[] {
  return [
    '--repository-file=/run/restic/repository',
    '--password-file=/run/restic/password',
    ...(readOnly ? ['--no-lock'] : []),
    ...(upload !== undefined && !isLocal(repository) ? [`--limit-upload=${upload}`] : []),
    ...(repository.credentials && repository.target.startsWith('sftp:')
      ? ['-o', `sftp.args=-F /credentials/ssh_config -o BatchMode=yes -E ${stderrOfContainer}`]
      : []),
  ];
}

function targetMounts(target: ResticTarget, at: string, writable: boolean): TaskMount[] {
  return [
    ...(isLocal(target) ? [{ from: target.target, to: at, writable }] : []),
    ...(target.credentials ? [{ from: target.credentials, to: '/credentials' }] : []),
  ];
}
