import { z } from 'zod';
import { verdicts } from '../lib/verdict.ts';
import { checkGroupNames } from './check-groups.ts';

// The JSON shapes of `appliance check`. Times are RFC 3339 in UTC, durations seconds.

const checkSchema = z.object({
  id: z.string(),
  group: z.enum(checkGroupNames),
  /** Ids of the demands that it answers, separated by commas; empty for an own check. */
  requirement: z.string(),
  /** What it looks at. */
  about: z.string(),
  verdict: z.enum(verdicts),
  observed: z.string(),
  expected: z.string(),
  samples: z.number().optional(),
  needed: z.number().optional(),
  hint: z.string().optional(),
  seconds: z.number(),
});
export type CheckShape = z.output<typeof checkSchema>;

/** What a check said last, and when; `requirement` as in a report. */
export const checkSeenSchema = checkSchema.extend({ time: z.string() });
export type CheckSeen = z.output<typeof checkSeenSchema>;

const checkReportSchema = z.object({
  verdict: z.enum(verdicts),
  /** Whose demands were asked; null: only what every appliance must have. */
  policy: z.string().nullable(),
  /** The release that it is about. */
  release: z.string().nullable(),
  time: z.string(),
  seconds: z.number(),
  checks: z.array(checkSchema),
});
export type CheckReport = z.output<typeof checkReportSchema>;

/** What is told while checks run; the last document is the report. */
export const checkEventSchema = z.discriminatedUnion('event', [
  z.object({ event: z.literal('check'), check: checkSchema }),
  z.object({ event: z.literal('progress'), text: z.string() }),
  z.object({ event: z.literal('report'), report: checkReportSchema }),
]);
export type CheckEvent = z.output<typeof checkEventSchema>;

export const checkInput = z.object({
  groups: z.array(z.enum(checkGroupNames)).min(1),
  /** Default: the policy of deploys, or the first that monitoring follows. */
  policy: z.string().optional(),
  /** Release that is looked at; default: the live one. */
  tag: z.string().optional(),
  /** Where smoke tests are sent; default: the edge. */
  on: z.enum(['edge', 'blue', 'green']).default('edge'),
});
