import { rename, rm, stat } from 'node:fs/promises';
import { ApplianceError, systemCode } from '../../lib/errors.ts';
import type { TrafficParts } from './deps.ts';

export interface RotateOptions {
  /** Bytes beyond which a log is rotated. */
  readonly maxBytes: number;
  /** Older files that are kept, `access.log.1` being the youngest. */
  readonly keep: number;
  readonly signal?: AbortSignal;
}

/**
 * Rotates the logs of the edge that have grown beyond a limit: rename, then tell nginx to open new ones. No line is
 * lost, because nginx writes into the renamed file until it reopens.
 * @returns the paths that were rotated
 * @throws ApplianceError `edge_unreachable` when nginx could not be told; it then goes on in the renamed file, and the
 *   next call tells it again
 */
export async function rotateLogs(parts: TrafficParts, options: RotateOptions): Promise<string[]> {
  const rotated: string[] = [];
  let stale = false;
  for (const log of [parts.files.accessLog, parts.files.errorLog]) {
    const size = await sizeOf(log);
    // Renamed before, but nginx was never told: it still writes into the youngest old file.
    stale ||= size === undefined && (await sizeOf(`${log}.1`)) !== undefined;
    if (size === undefined || size <= options.maxBytes) continue;
    await shiftUp(log, options.keep);
    rotated.push(log);
  }
  if (rotated.length > 0 || stale) await reopen(parts, options.signal);
  return rotated;
}

/** `log.2` → `log.3`, `log.1` → `log.2`, `log` → `log.1`; what falls off the end is removed. */
async function shiftUp(log: string, keep: number): Promise<void> {
  const name = (index: number) => (index === 0 ? log : `${log}.${index}`);
  await rm(name(Math.max(1, keep)), { force: true });
  for (let index = Math.max(1, keep) - 1; index >= 0; index -= 1) {
    try {
      await rename(name(index), name(index + 1));
    } catch (error) {
      if (systemCode(error) !== 'ENOENT') throw error;
    }
  }
}

async function reopen(parts: TrafficParts, signal: AbortSignal | undefined): Promise<void> {
  const { exitCode, stderr } = await parts.exec(['nginx', '-s', 'reopen'], {
    timeout: 10_000,
    ...(signal ? { signal } : {}),
  });
  if (exitCode !== 0) {
    throw new ApplianceError('edge_unreachable', `nginx could not be told to open new logs: ${stderr.trim()}`, {
      left: 'it goes on writing into the renamed ones; nothing is lost',
      hint: 'start the edge with: appliance up',
    });
  }
}

async function sizeOf(path: string): Promise<number | undefined> {
  try {
    return (await stat(path)).size;
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}
