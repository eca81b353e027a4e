import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { connectSocket } from '../../api/socket.ts';
import type { ProgramVersion, Updated, UpdateOptions } from '../../api/update.ts';
import { asApplianceError } from '../../lib/errors.ts';
import type { AgentProcess, Answer } from './agent-process.ts';
import { packageOf } from './program.ts';

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

export const versionOf = ({ installation: { prefix } }: Update, program: string): ProgramVersion => ({
  version: packageOf(join(prefix, program))?.version ?? 'unknown',
  program: program.slice('programs/'.length),
});

export function result(
  update: Update,
  kind: Updated['result'],
  to: ProgramVersion,
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
