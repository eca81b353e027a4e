import { ApplianceError, messageOf, systemCode } from '../lib/errors.ts';
import { type RunOptions, type RunResult, run } from './process.ts';

/**
 * Runs a program that a host may have or not.
 * @returns undefined when it is not installed
 * @throws ApplianceError `timeout`; whatever else `run` throws
 */
export async function runInstalled(
  command: string,
  args: readonly string[],
  options: RunOptions,
): Promise<RunResult | undefined> {
  try {
    return await run(command, args, { ownGroup: true, ...options });
  } catch (error) {
    const missing = error instanceof ApplianceError && systemCode(error.cause) === 'ENOENT';
    if (missing || /ENOENT/.test(messageOf(error))) return undefined;
    throw error;
  }
}
