import { z } from 'zod';
import { nextRunMark } from '../../host/restic.ts';

/** How far restic is. Sizes are bytes. */
export interface Progress {
  readonly share: number;
  readonly done: number;
  readonly total: number;
}

const statusSchema = z.object({
  message_type: z.literal('status'),
  percent_done: z.number(),
  total_bytes: z.number().default(0),
  bytes_done: z.number().optional(),
  bytes_restored: z.number().optional(),
});

/**
 * Takes the output of several runs in one container apart.
 * @param readers one for the lines of each run
 * @param onEnd told of each run that has ended well, and that another one begins
 */
export function eachRun(readers: readonly ((line: string) => void)[], onEnd: () => void): (line: string) => void {
  let run = 0;
  return (line) => {
    if (line !== nextRunMark) return readers[run]?.(line);
    run += 1;
    onEnd();
  };
}

/** Why restic is trying something again, as it said last; undefined where it said nothing of the kind. */
export function lastTry(said: unknown): string | undefined {
  if (typeof said !== 'string') return undefined;
  return said
    .split('\n')
    .flatMap((line) => /retrying after [^:]*: (.+)$/.exec(line)?.[1] ?? [])
    .at(-1);
}

/** Reads JSON messages of restic, a line each, and tells of progress. */
export function messages(
  progress: ((progress: Progress) => void) | undefined,
  onOther: (message: unknown) => void,
): (line: string) => void {
  return (line) => {
    if (!line.startsWith('{')) return;
    let message: unknown;
    try {
      message = JSON.parse(line);
    } catch {
      return;
    }
    const status = statusSchema.safeParse(message).data;
    if (!status) onOther(message);
    else
      progress?.({
        share: status.percent_done,
        done: status.bytes_done ?? status.bytes_restored ?? 0,
        total: status.total_bytes,
      });
  };
}
