import { z } from 'zod';
import type { ModelsConfig } from '../../../config/models.ts';
import type { Engine } from '../../../host/docker.ts';
import { ApplianceError, messageOf } from '../../../lib/errors.ts';

/** What a trial printed. */
interface Trial {
  readonly numbers: Readonly<Record<string, number>>;
  readonly libraries: Readonly<Record<string, string>> | null;
}

/** `why` says why there are no numbers; `broken`: the candidate itself could not be loaded. */
export type TrialOutcome =
  | { readonly kind: 'measured'; readonly trial: Trial }
  | { readonly kind: 'broken' | 'none'; readonly why: string };

export interface TrialRequest {
  readonly config: ModelsConfig;
  readonly engine: Pick<Engine, 'runOnce'>;
  /** Name of the appliance: left-over containers are known by it. */
  readonly name: string;
  /** Image of the live release, by its id; null while nothing is live. */
  readonly image: string | null;
  /** Directories of the versions. */
  readonly candidate: string;
  readonly baseline: string | null;
  readonly signal: AbortSignal;
}

const printed = z.looseObject({ libraries: z.record(z.string(), z.string()).optional() });
/** Seconds by which the processors of the host may be busy with a trial at once. */
const processors = 1;

/**
 * Loads a candidate in a container of the live image that has nothing else: no network, nothing to write to but a small
 * temporary directory, no privileges, bounded memory, and the model mounted read-only.
 */
export async function tryModel(request: TrialRequest): Promise<TrialOutcome> {
  const { config, engine, image, candidate, baseline, name, signal } = request;
  const { trial } = config;
  if (!trial) return { kind: 'none', why: 'appliance.yaml has no models.trial' };
  if (image === null) return { kind: 'none', why: 'no release is live whose image could load it' };
  let result: Awaited<ReturnType<Engine['runOnce']>>;
  try {
    result = await engine.runOnce({
      image,
      argv: trial.command,
      readOnly: { [candidate]: trial.mount, ...(baseline === null ? {} : { [baseline]: trial.baseline }) },
      memory: trial.memory,
      processors,
      labels: { 'appliance.trial': name },
      timeout: trial.timeout,
      signal,
    });
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof ApplianceError && error.code === 'timeout')
      return { kind: 'broken', why: `it was not done after ${trial.timeout / 1_000} s` };
    return { kind: 'none', why: messageOf(error) };
  }
  const last = result.stderr.trim().split('\n').at(-1) ?? '';
  if (result.outOfMemory) return { kind: 'broken', why: `it needs more memory than ${trial.memory} bytes` };
  if (result.exitCode !== 0)
    return { kind: 'broken', why: `the trial ended with ${result.exitCode}: ${last.slice(0, 300)}` };
  return parseTrial(result.stdout);
}

/** Reads the one JSON object that a trial prints, the last line of its output. Pure. */
export function parseTrial(output: string): TrialOutcome {
  const line = output.trim().split('\n').at(-1) ?? '';
  try {
    const value = printed.parse(JSON.parse(line));
    const numbers = Object.entries(value).filter((entry): entry is [string, number] => typeof entry[1] === 'number');
    return { kind: 'measured', trial: { numbers: Object.fromEntries(numbers), libraries: value.libraries ?? null } };
  } catch {
    return { kind: 'none', why: `the trial printed no JSON object but ${JSON.stringify(line.slice(0, 200))}` };
  }
}
