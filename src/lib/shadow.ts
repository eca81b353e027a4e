import { z } from 'zod';

/** What a release answered to copies of requests, beside what the live one answered to the requests themselves. */
export const shadowReportSchema = z.object({
  /** Tags. */
  from: z.string(),
  to: z.string(),
  /** Share of the requests that were copied, 0 to 100. */
  share: z.number(),
  /** Pairs of answers; the three numbers after it add up to it. */
  compared: z.number(),
  equal: z.number(),
  differentStatus: z.number(),
  differentBody: z.number(),
  /** Of the equal ones: those whose body is too long to be compared (64 KiB). */
  statusOnly: z.number(),
  /** Copies without an answer: no connection, none in time, or one that is no HTTP. */
  unanswered: z.number(),
  /** Requests that were not copied because earlier copies were not answered yet, or their body is too long. */
  missed: z.number(),
  /** Mean seconds to answer, of the pairs; null while there are none. The agent times the copies, the edge the requests. */
  meanSeconds: z.object({ live: z.number(), shadow: z.number() }).nullable(),
  /** How much slower the copies were answered, in seconds; negative when faster. */
  slowerSeconds: z.number().nullable(),
  /** Where answers differ and how often, never what they say: the most frequent first. */
  examples: z.array(z.object({ method: z.string(), path: z.string(), difference: z.string(), count: z.number() })),
});
export type ShadowReport = z.output<typeof shadowReportSchema>;

/** `405 of 412 copies answered alike, 2 with another status, 5 with another body` */
export function describeShadow(report: ShadowReport): string {
  const { compared, equal, differentStatus, differentBody, unanswered, missed } = report;
  return [
    `${equal} of ${compared + unanswered} copies answered alike`,
    ...(differentStatus > 0 ? [`${differentStatus} with another status`] : []),
    ...(differentBody > 0 ? [`${differentBody} with another body`] : []),
    ...(unanswered > 0 ? [`${unanswered} not at all`] : []),
    ...(missed > 0 ? [`${missed} requests not copied`] : []),
  ].join(', ');
}
