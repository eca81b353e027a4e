import { z } from 'zod';

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
