import { z } from 'zod';
import { verdicts } from '../lib/verdict.ts';
import { approvalsSchema, signOffSchema } from './people.ts';
import {
  auditEntrySchema,
  findingSchema,
  operationViewSchema,
  releaseDetailSchema,
  releaseDiffSchema,
  rolloutSchema,
} from './schema.ts';

const time = z.string();
const verdict = z.enum(verdicts);

/** One operation about the release: what was planned, how long each step took, what was seen. */
const chapterSchema = operationViewSchema.omit({ steps: true }).extend({
  plan: z.array(
    z.object({ title: z.string(), cause: z.string(), state: z.string(), seconds: z.number(), detail: z.string() }),
  ),
  /** Shares of the traffic, one after the other. */
  stages: rolloutSchema.shape.history,
});

/** The whole story of a release. Times are RFC 3339 in UTC, durations seconds, sizes bytes. */
export const reportSchema = z.object({
  appliance: z.object({ name: z.string(), version: z.string() }),
  generatedAt: time,
  /** Pass: everything was seen and nothing is left; fail: something is wrong; else something is missing. */
  verdict,
  release: releaseDetailSchema.omit({ checks: true, followUps: true, history: true }).extend({ digest: z.string() }),
  /** Against the release before it; null where there was none. */
  changes: releaseDiffSchema.nullable(),
  operations: z.array(chapterSchema),
  approvals: approvalsSchema,
  /** Null where the release was never in service. */
  signOff: signOffSchema.nullable(),
  followUps: releaseDetailSchema.shape.followUps.unwrap(),
  backups: z.array(
    z.object({
      id: z.string(),
      kind: z.string(),
      time,
      state: z.string(),
      bytes: z.number().nullable(),
      seconds: z.number().nullable(),
    }),
  ),
  drills: z.array(
    z.object({ snapshot: z.string(), time, verdict, seconds: z.number(), findings: z.array(findingSchema) }),
  ),
  certificates: z.array(
    z.object({ domains: z.array(z.string()), issuer: z.string(), notAfter: time, daysLeft: z.number() }),
  ),
  /** What the agent raised while the release was brought in and in service; `end` is null while it goes on. */
  alerts: z.array(
    z.object({ name: z.string(), severity: z.string(), summary: z.string(), since: time, end: time.nullable() }),
  ),
  audit: z.object({
    entries: z.array(auditEntrySchema),
    verdict,
    /** The last entry of the chain: whoever keeps it elsewhere can prove later that nothing was taken off its end. */
    head: z.object({ seq: z.number(), hash: z.string() }).nullable(),
  }),
  /** What is left to do or to know. */
  open: z.array(
    z.object({
      about: z.string(),
      text: z.string(),
      verdict: z.enum(['fail', 'inconclusive']),
      hint: z.string().nullable(),
    }),
  ),
});
export type ReleaseReport = z.output<typeof reportSchema>;
