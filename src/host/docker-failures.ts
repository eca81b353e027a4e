import { ApplianceError, messageOf, systemCode } from '../lib/errors.ts';

const unreachable = new Set(['ECONNREFUSED', 'ENOENT', 'ECONNRESET', 'EPIPE', 'EACCES', 'ETIMEDOUT', 'ABORT_ERR']);

/** HTTP status of a dockerode error, if it is one. */
function statusOf(error: unknown): number | undefined {
  if (typeof error === 'object' && error !== null && 'statusCode' in error && typeof error.statusCode === 'number')
    return error.statusCode;
  return undefined;
}

export async function guard<T>(what: string, ask: () => Promise<T>): Promise<T> {
  try {
    return await ask();
  } catch (error) {
    if (statusOf(error) !== undefined) throw error;
    const code = systemCode(error);
    const aborted = error instanceof Error && (error.name === 'AbortError' || error.name === 'TimeoutError');
    if (aborted || (code && unreachable.has(code)) || /socket hang up/.test(messageOf(error))) {
      throw new ApplianceError(
        'engine_unreachable',
        `the Docker Engine does not answer (${what}: ${messageOf(error)})`,
        {
          hint: 'start it: systemctl start docker, or appliance-start where there is no systemd',
          cause: error,
        },
      );
    }
    throw error;
  }
}

/** Treats the given HTTP statuses as done. */
export async function tolerate(
  statuses: readonly number[],
  act: () => Promise<unknown>,
  onTolerated?: () => void,
): Promise<void> {
  try {
    await act();
  } catch (error) {
    const status = statusOf(error);
    if (status === undefined || !statuses.includes(status)) throw error;
    onTolerated?.();
  }
}

/** Undefined where the container that something is asked of does not run, or is gone. */
export async function orStopped<T>(ask: () => Promise<T>): Promise<T | undefined> {
  try {
    return await ask();
  } catch (error) {
    const status = statusOf(error);
    if (status === 404 || status === 409) return undefined;
    if (status !== undefined && /is not running|stopped container/.test(messageOf(error))) return undefined;
    throw error;
  }
}

export async function orAbsent<T>(ask: () => Promise<T>): Promise<T | undefined> {
  try {
    return await ask();
  } catch (error) {
    if (statusOf(error) === 404) return undefined;
    throw error;
  }
}
