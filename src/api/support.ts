import { z } from 'zod';

// The JSON shapes of `appliance support-bundle`. Times are RFC 3339 in UTC, durations seconds, sizes bytes.

const countsSchema = z.record(z.string(), z.number());

const supportReportSchema = z.object({
  time: z.string(),
  seconds: z.number(),
  files: z.array(
    z.object({
      path: z.string(),
      bytes: z.number(),
      seconds: z.number(),
      /** What was taken out: kind → how often. */
      redacted: countsSchema,
      /** Why it is not whole, or not there at all. */
      missing: z.string().nullable(),
    }),
  ),
  redacted: countsSchema,
  notes: z.array(z.string()),
});
export type SupportReport = z.output<typeof supportReportSchema>;

/** The archive piece by piece; the last document is the report. */
export const supportEventSchema = z.discriminatedUnion('event', [
  z.object({ event: z.literal('progress'), text: z.string() }),
  /** Bytes of the archive in Base64, in their order. */
  z.object({ event: z.literal('piece'), data: z.string() }),
  z.object({ event: z.literal('report'), report: supportReportSchema }),
]);
export type SupportEvent = z.output<typeof supportEventSchema>;

export const supportInput = z.object({
  /** Why an agent that runs was not asked: it does not answer. */
  agentProblem: z.string().max(500).nullable().default(null),
});
