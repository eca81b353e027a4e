import { ApplianceError } from '../lib/errors.ts';
import type { RunResult } from './process.ts';

/** Lines that say something: no blank ones, no log prefix, no warnings. */
export function meaningfulLines(text: string): string[] {
  return text
    .split(/\r?\n/)
    .map((line) => line.trim())
    .filter((line) => line !== '' && !/^time="[^"]*" level=(?:warning|info|debug)/.test(line))
    .map((line) => /^time="[^"]*" level=\w+ msg="(.*)"$/.exec(line)?.[1] ?? line);
}

/** Takes known values out of a text. Values under four characters would only make it unreadable. */
export function withoutSecrets(text: string, secrets: readonly string[] = []): string {
  return [...secrets]
    .filter((secret) => secret.length >= 4)
    .sort((a, b) => b.length - a.length)
    .reduce((clean, secret) => clean.replaceAll(secret, '***'), text);
}

export function engineUnreachable(detail: string): ApplianceError {
  return new ApplianceError('engine_unreachable', `the Docker Engine does not answer: ${detail}`, {
    left: 'running containers were left as they are',
    hint: 'start the engine (systemctl start docker), then run the command again',
  });
}

export function composeMissing(what: string): ApplianceError {
  return new ApplianceError('engine_unreachable', `${what} is not installed`, {
    hint: 'run install.sh again; it installs what is missing',
  });
}

/** A Compose project that cannot be resolved within its bounds. @param what what Compose did, such as `took longer than 30 s` */
export function tooLarge(what: string, cause?: unknown): ApplianceError {
  return new ApplianceError('compose_invalid', `docker compose config ${what} and was stopped`, {
    left: 'nothing was touched',
    hint: 'look for aliases (*name) that multiply, or for an include that does not end, in the Compose files',
    cause,
  });
}

export interface FailedCall {
  /** `up`, `build`, … */
  readonly verb: string;
  /** What a failure of this verb means when nothing else explains it. */
  readonly code: 'compose_failed' | 'compose_invalid' | 'build_failed';
  readonly result: RunResult;
  readonly secrets: readonly string[] | undefined;
  /** Whether the engine answers: Compose reports a dying engine as "unexpected EOF" and the like. */
  readonly engineAnswers: () => Promise<boolean>;
}

const noCompose = /'compose' is not a docker command|unknown command: docker compose/i;
/** How the runtime of Go ends when the kernel gives it no more memory, or no more threads for want of it. */
const noMemory =
  /^(?:fatal error: |runtime: )+(?:out of memory|cannot allocate memory)|pthread_create failed|errno=12/m;
const noEngine = /cannot connect to the docker daemon|error during connect/i;

/** Tells the reasons apart for which a call to Compose fails: no Compose, full disk, no engine, or its own. */
export async function explainFailure(call: FailedCall): Promise<ApplianceError> {
  const { verb, code, result, secrets } = call;
  const lines = meaningfulLines(`${result.stdout}\n${result.stderr}`);
  const said = meaningfulLines(result.stderr).at(-1) ?? lines.at(-1) ?? `exit status ${result.exitCode}`;
  if (noCompose.test(result.stderr)) return composeMissing('Docker Compose v2');
  if (/no space left on device/i.test(`${result.stdout}${result.stderr}`)) {
    return new ApplianceError('disk_full', `no space left on the device while running docker compose ${verb}`, {
      left: 'running containers were left as they are',
      hint: 'free some space (appliance releases prune), then run the command again',
    });
  }
  if (code === 'compose_invalid' && noMemory.test(result.stderr)) return tooLarge('needed more than 512 MiB');
  // Resolving a project needs no engine.
  if (code !== 'compose_invalid' && !(await call.engineAnswers()))
    return engineUnreachable(noEngine.test(said) ? withoutSecrets(said, secrets) : `docker compose ${verb} broke off`);
  const text = code === 'build_failed' ? lines.slice(-8).join('\n') : said;
  return new ApplianceError(code, `docker compose ${verb}: ${withoutSecrets(text, secrets)}`);
}
