import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { connectSocket } from '../../api/socket.ts';
import { asApplianceError } from '../../lib/errors.ts';
import type { AgentProcess, Answer } from './agent-process.ts';
import { packageOf } from './program.ts';

export interface UpdateOptions {
  readonly root: string | undefined;
  /** Directory or archive of the version to put in force; undefined: back to the one before. */
  readonly source: string | undefined;
  /** Say what would be done, and change nothing. */
  readonly plan: boolean;
  /** A version older than this one may be meant. */
  readonly allowOlder: boolean;
  /** Milliseconds to wait for a running operation. */
  readonly wait: number;
  /** Stops an update that has not exchanged the program yet; afterwards it is finished or taken back. */
  readonly signal: AbortSignal;
  readonly onProgress: (text: string) => void;
}

interface Version {
  readonly version: string;
  /** `VERSION-FINGERPRINT`: two builds of one version differ in it. */
  readonly program: string;
}

export interface Updated {
  readonly result: 'done' | 'nothing' | 'planned';
  readonly from: Version;
  readonly to: Version;
  /** What answers now; null when no agent is configured. */
  readonly agent: { readonly version: string; readonly pid: number } | null;
  /** What would be done, when only that was asked. */
  readonly steps: readonly string[];
  readonly seconds: number;
}

export interface Update extends AgentProcess {
  readonly options: UpdateOptions;
  readonly begun: number;
  /** Last words of agents since this began. */
  readonly lastWords: () => readonly string[];
}

/** Milliseconds within which a restarted agent must answer. */
export const answerWithin = 90_000;

/** Without a configuration there is no agent. */
export const agentExpected = ({ paths }: Update): boolean => existsSync(paths.config);

export const versionOf = ({ installation: { prefix } }: Update, program: string): Version => ({
  version: packageOf(join(prefix, program))?.version ?? 'unknown',
  program: program.slice('programs/'.length),
});

export function result(
  update: Update,
  kind: Updated['result'],
  to: Version,
  answer: Answer | undefined,
  steps: readonly string[] = [],
): Updated {
  return {
    result: kind,
    from: versionOf(update, update.installation.runs),
    to,
    agent: answer ? { version: answer.version, pid: answer.pid } : null,
    steps,
    seconds: Math.round((update.clock.monotonic() - update.begun) / 100) / 10,
  };
}

/** `programs/1.2.0-0123456789ab` → `1.2.0`. */
export const versionNamed = (program: string): string =>
  program.replace(/^programs\//, '').replace(/-[0-9a-f]{12}$/, '');

/** Writes it into the audit, as far as an agent answers that can. */
export async function note(
  { paths, options }: Update,
  from: string,
  to: string,
  what: 'begun' | 'done' | 'taken back',
): Promise<void> {
  try {
    const client = await connectSocket(paths);
    await client?.ask('selfUpdate', { from: versionNamed(from), to: versionNamed(to), result: what });
    await client?.close();
  } catch (error) {
    options.onProgress(`the audit has no entry of it: ${asApplianceError(error).message}`);
  }
}
