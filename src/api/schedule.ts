import { z } from 'zod';

/** Something that runs by the clock. Times are RFC 3339 in UTC. */
const jobSchema = z.object({
  name: z.string(),
  /** What it does, for people. */
  title: z.string(),
  /** `daily at 02:00`, by the clock of `zone`. */
  schedule: z.string(),
  zone: z.string(),
  enabled: z.boolean(),
  /** `waiting`: for another operation, which `waitsFor` names. */
  state: z.enum(['idle', 'waiting', 'running', 'off']),
  waitsFor: z.string().nullable(),
  last: z
    .object({
      /** The local day that the run stands for. */
      slot: z.string(),
      startedAt: z.string(),
      endedAt: z.string().nullable(),
      result: z.enum(['running', 'done', 'failed', 'interrupted']),
      operation: z.string().nullable(),
      error: z.string().nullable(),
    })
    .nullable(),
  lastSuccess: z.string().nullable(),
  nextRun: z.string().nullable(),
  /** How long ago the run was due that has not succeeded yet; 0 when none is missing. */
  overdueSeconds: z.number(),
});
export type JobView = z.output<typeof jobSchema>;

export const jobsSchema = z.array(jobSchema);
