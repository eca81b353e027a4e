import { ApplianceError, messageOf, systemCode } from '../lib/errors.ts';
import { composeMissing, engineUnreachable, explainFailure, meaningfulLines, tooLarge } from './compose-errors.ts';
import { type Limits, notFoundStatus, underLimits } from './limits.ts';
import { endOrphans } from './orphans.ts';
import { exceeded, type RunResult, run } from './process.ts';

/** What every call to `docker compose` takes. */
export interface ComposeCall {
  /** Compose project (`-p`), for example `routing-ml-blue`. */
  readonly projectName: string;
  /** Compose files, merged in this order; relative ones start at `directory`. */
  readonly files: readonly string[];
  /** Project directory: where relative paths of the files start. */
  readonly directory: string;
  readonly profiles?: readonly string[];
  /**
   * Environment file for `${…}` in the Compose files. Without one, Compose looks for `.env` in the directory; `'none'`
   * says that there is nothing to look for, as with the models that we write ourselves.
   */
  readonly envFile?: string | undefined;
  /** Variables for `${…}` beside the environment file; they win over it. */
  readonly variables?: Readonly<Record<string, string>>;
  /** A further Compose document, merged last. */
  readonly overlay?: Readonly<Record<string, unknown>>;
  /** Milliseconds. */
  readonly timeout?: number;
  readonly signal?: AbortSignal;
  readonly onLine?: (line: string) => void;
  /** Texts that must not stand in an error, longest first or not. */
  readonly secrets?: readonly string[];
}

interface UpCall extends ComposeCall {
  /** Further flags of `docker compose up`, for example `['--no-build', '--remove-orphans']`. */
  readonly flags?: readonly string[];
  readonly services?: readonly string[];
}

interface BuildCall extends ComposeCall {
  readonly services: readonly string[];
}

interface DownCall extends ComposeCall {
  /** Removes the volumes that the project itself owns. External volumes are never touched by Compose. */
  readonly volumes?: boolean;
  /** Seconds that containers get to end by themselves. */
  readonly graceSeconds?: number;
}

interface OneShotCall extends ComposeCall {
  readonly service: string;
  /** Name of the container: a second one of the same name is refused by the engine. */
  readonly containerName: string;
}

interface VolumeCall {
  readonly name: string;
  readonly driver?: string | undefined;
  readonly options?: Readonly<Record<string, string>> | undefined;
  readonly labels: Readonly<Record<string, string>>;
}

interface ComposeVersions {
  /** `2.26.1` */
  readonly compose: string;
  /** `20.10.24` */
  readonly engine: string;
}

/**
 * Hands on `docker compose`. Compose has no lock of its own (docker/compose#10754): callers make sure that one project
 * has one caller at a time.
 *
 * All of them throw ApplianceError: `engine_unreachable` when the engine does not answer, `disk_full`, `timeout`,
 * `compose_failed` otherwise, or the code named at the function.
 */
export interface Compose {
  /**
   * The resolved model as `docker compose config` prints it, with `$` doubled. Within 30 s, 512 MiB and 16 MB of text.
   * @throws `compose_invalid`
   */
  resolve(call: ComposeCall): Promise<unknown>;
  /** Builds the images of services. @throws `build_failed` with the last meaningful lines */
  build(call: BuildCall): Promise<void>;
  /** Pulls the images of services. */
  pull(call: BuildCall): Promise<void>;
  /** `up --detach`. */
  up(call: UpCall): Promise<void>;
  /** `down --remove-orphans`. */
  down(call: DownCall): Promise<void>;
  /**
   * Starts a one-shot container of a service without its dependencies and without waiting for it, so that it outlives
   * this process and can be found again by its name.
   * @returns id of the container
   */
  runOneShot(call: OneShotCall): Promise<string>;
  /** Makes a named volume, or finds it as it is. */
  ensureVolume(volume: VolumeCall): Promise<void>;
  version(): Promise<ComposeVersions>;
  /**
   * Ends calls for a project that a killed appliance, or an aborted call, left running.
   * @param directory the project directory they were given
   * @returns how many there were
   */
  endOrphans(projectName: string, directory: string): Promise<number>;
  /**
   * Removes the `<id>_name` containers that an interrupted recreate leaves (docker/compose#13391). Volumes stay.
   * @returns names of the removed containers
   */
  repairInterruptedRecreate(projectName: string): Promise<string[]>;
}

/** Variables that say which engine to talk to. Everything else is kept from Compose: a release is not made of it. */
const passedOn = ['DOCKER_HOST', 'DOCKER_CONTEXT', 'DOCKER_CONFIG', 'DOCKER_TLS_VERIFY', 'DOCKER_CERT_PATH'];
const minute = 60_000;

function environment(): Record<string, string> {
  return Object.fromEntries(passedOn.flatMap((name) => (process.env[name] ? [[name, process.env[name]]] : [])));
}

/** What tells the calls for one project of one appliance from all other processes. */
function marksOf(projectName: string, directory: string): string[] {
  return [`--project-name=${projectName}`, `--project-directory=${directory}`];
}

function globalArguments(call: ComposeCall): string[] {
  return [
    'compose',
    '--ansi=never',
    '--progress=plain',
    ...marksOf(call.projectName, call.directory),
    ...(call.envFile === undefined ? [] : [`--env-file=${call.envFile === 'none' ? '/dev/null' : call.envFile}`]),
    ...call.files.map((file) => `--file=${file}`),
    ...(call.overlay === undefined ? [] : ['--file=-']),
    ...(call.profiles ?? []).map((profile) => `--profile=${profile}`),
  ];
}

/** A call that only reads, in a process group of its own, with bounds. */
interface BoundedCall extends ComposeCall {
  readonly bounds?: Limits & { readonly output: number };
}

/**
 * What resolving a project may take: anybody who may push a tag decides what Compose reads. Real projects take a second
 * and 130 MB at most, most of it for the program itself.
 */
const resolveBounds = {
  /** Milliseconds. */
  timeout: 30_000,
  memory: 512 * 1024 * 1024,
  cpuSeconds: 60,
  /** Characters. */
  output: 16 * 1024 * 1024,
} as const;

async function docker(args: readonly string[], call: Partial<BoundedCall>): Promise<RunResult> {
  const { bounds } = call;
  const [command, argv] = bounds ? underLimits(bounds, 'docker', args) : ['docker', args];
  try {
    const result = await run(command, argv, {
      ...(bounds === undefined ? {} : { ownGroup: true, maxOutput: bounds.output }),
      env: { ...environment(), ...call.variables },
      timeout: call.timeout ?? minute,
      ...(call.directory === undefined ? {} : { cwd: call.directory }),
      ...(call.overlay === undefined ? {} : { input: JSON.stringify(call.overlay) }),
      ...(call.signal === undefined ? {} : { signal: call.signal }),
      ...(call.onLine === undefined ? {} : { onLine: call.onLine }),
    });
    if (bounds && result.exitCode === notFoundStatus) throw composeMissing('the docker command');
    return result;
  } catch (error) {
    const missing = error instanceof ApplianceError && systemCode(error.cause) === 'ENOENT';
    throw missing ? composeMissing('the docker command') : error;
  }
}

async function engineAnswers(): Promise<boolean> {
  try {
    return (await docker(['version', '--format={{.Server.Version}}'], { timeout: 5_000 })).exitCode === 0;
  } catch {
    return false;
  }
}

type FailureCode = 'compose_failed' | 'compose_invalid' | 'build_failed';

/** @throws ApplianceError when the exit status is not 0 */
async function succeeded(
  verb: string,
  args: readonly string[],
  call: Partial<BoundedCall>,
  code: FailureCode = 'compose_failed',
): Promise<RunResult> {
  const result = await docker(args, call);
  if (result.exitCode === 0) return result;
  throw await explainFailure({ verb, code, result, secrets: call.secrets, engineAnswers });
}

function compose(verb: string, args: readonly string[], call: BoundedCall, code?: FailureCode): Promise<RunResult> {
  return succeeded(verb, [...globalArguments(call), verb, ...args], call, code);
}

/** The error for a project that Compose could not resolve within its bounds; undefined for every other error. */
function unboundedProject(error: unknown, { timeout, signal }: BoundedCall): ApplianceError | undefined {
  const beyond = signal?.aborted ? undefined : exceeded(error);
  if (beyond === undefined) return undefined;
  return tooLarge(
    beyond === 'time' ? `took longer than ${(timeout ?? 0) / 1_000} s` : 'printed more than 16 MB',
    error,
  );
}

function parseModel(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new ApplianceError('compose_failed', `docker compose config did not print JSON: ${messageOf(error)}`);
  }
}

/** A container that Compose made beside the one it was about to replace: twelve digits of the old one's id and its name. */
export function isRecreateLeftover(containerName: string, projectName: string): boolean {
  return new RegExp(`^[0-9a-f]{12}_${projectName.replaceAll(/[^a-z0-9_-]/gi, '')}[-_]`).test(containerName);
}

export const composeHands: Compose = {
  async resolve(call) {
    const bounded: BoundedCall = { timeout: resolveBounds.timeout, ...call, bounds: resolveBounds };
    try {
      return parseModel((await compose('config', ['--format=json'], bounded, 'compose_invalid')).stdout);
    } catch (error) {
      throw unboundedProject(error, bounded) ?? error;
    }
  },
  async build(call) {
    await compose('build', ['--', ...call.services], { timeout: 30 * minute, ...call }, 'build_failed');
  },
  async pull(call) {
    await compose('pull', ['--', ...call.services], { timeout: 30 * minute, ...call });
  },
  async up(call) {
    const { flags = [], services = [] } = call;
    await compose('up', ['--detach', ...flags, '--', ...services], { timeout: 5 * minute, ...call });
  },
  async down(call) {
    const args = [
      '--remove-orphans',
      ...(call.volumes ? ['--volumes'] : []),
      ...(call.graceSeconds === undefined ? [] : [`--timeout=${Math.ceil(call.graceSeconds)}`]),
    ];
    await compose('down', args, { timeout: 5 * minute, ...call });
  },
  async runOneShot(call) {
    const args = ['--detach', '--no-deps', '--no-TTY', `--name=${call.containerName}`, '--', call.service];
    const { stdout } = await compose('run', args, call);
    return stdout.trim().split('\n').at(-1) ?? '';
  },
  async ensureVolume({ name, driver, options, labels }) {
    const args = [
      ...(driver === undefined ? [] : [`--driver=${driver}`]),
      ...Object.entries(options ?? {}).map(([key, value]) => `--opt=${key}=${value}`),
      ...Object.entries(labels).map(([key, value]) => `--label=${key}=${value}`),
    ];
    await succeeded('volume create', ['volume', 'create', ...args, '--', name], {});
  },
  async version() {
    const client = await succeeded('version', ['compose', 'version', '--short'], { timeout: 10_000 });
    const engine = await docker(['version', '--format={{.Server.Version}}'], { timeout: 10_000 });
    if (engine.exitCode !== 0) throw engineUnreachable(meaningfulLines(engine.stderr).at(-1) ?? 'no answer');
    const plain = (text: string) => text.trim().replace(/^v/, '').split(/[+-]/)[0] ?? '';
    return { compose: plain(client.stdout), engine: plain(engine.stdout) };
  },
  async endOrphans(projectName, directory) {
    return (await endOrphans(marksOf(projectName, directory))).length;
  },
  async repairInterruptedRecreate(projectName) {
    const filter = `--filter=label=com.docker.compose.project=${projectName}`;
    const listed = await succeeded('ps', ['ps', '--all', filter, '--format={{.Names}}'], { timeout: 20_000 });
    const leftovers = listed.stdout.split('\n').filter((name) => isRecreateLeftover(name, projectName));
    if (leftovers.length > 0) await succeeded('rm', ['rm', '--force', '--', ...leftovers], {});
    return leftovers;
  },
};
