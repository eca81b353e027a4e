import { z } from 'zod';
import { verdicts } from '../lib/verdict.ts';

// The JSON shapes of `appliance doctor`. Times are RFC 3339 in UTC, durations seconds.

const remedySchema = z.object({
  /** To be typed as it stands. */
  command: z.string(),
  about: z.string(),
  /** Whether `--fix` runs it. */
  safe: z.boolean(),
});

const causeSchema = z.object({
  /** The same cause has the same id in every symptom. */
  id: z.string(),
  summary: z.string(),
  confidence: z.enum(['certain', 'likely', 'possible']),
  evidence: z.array(z.object({ source: z.string(), observed: z.string() })),
  commands: z.array(remedySchema),
});
export type CauseShape = z.output<typeof causeSchema>;

const symptomSchema = z.object({
  symptom: z.string(),
  title: z.string(),
  /** Ids of the demands that it answers, separated by commas. */
  requirement: z.string(),
  verdict: z.enum(verdicts),
  observed: z.string(),
  /** The surest first. */
  causes: z.array(causeSchema),
  /** What could not be looked at. */
  unknown: z.array(z.object({ what: z.string(), why: z.string() })),
  /** The way by hand, in its order. */
  byHand: z.array(remedySchema),
});
export type SymptomShape = z.output<typeof symptomSchema>;

const fixSchema = z.object({
  symptom: z.string(),
  cause: z.string(),
  command: z.string(),
  /** What was done, or why it could not be. */
  did: z.string(),
  result: z.enum(['done', 'failed']),
  /** Whether the cause was looked for again, and what was seen. */
  verified: z.enum(['gone', 'still-there', 'unknown']),
  seconds: z.number(),
});
export type FixShape = z.output<typeof fixSchema>;

const doctorReportSchema = z.object({
  verdict: z.enum(verdicts),
  /** The one that was asked for; null: everything was looked at. */
  symptom: z.string().nullable(),
  /** `agent` where a running agent has looked, else `in-process`. */
  by: z.enum(['agent', 'in-process']),
  time: z.string(),
  seconds: z.number(),
  symptoms: z.array(symptomSchema),
  fixes: z.array(fixSchema),
});
export type DoctorReport = z.output<typeof doctorReportSchema>;

/** What is told while it works; the last document is the report. */
export const doctorEventSchema = z.discriminatedUnion('event', [
  z.object({ event: z.literal('progress'), text: z.string() }),
  z.object({ event: z.literal('report'), report: doctorReportSchema }),
]);
export type DoctorEvent = z.output<typeof doctorEventSchema>;

/** A symptom by its name or another word for it; left out: all of them. */
const symptom = z.string().max(200).optional();

export const doctorInput = z.object({
  symptom,
  /** Why an agent that runs was not asked: it does not answer. */
  agentProblem: z.string().max(500).nullable().default(null),
});
export const doctorFixInput = z.object({
  symptom,
  /** Milliseconds to wait for the lock; 0 answers `busy` at once. */
  wait: z.number().min(0).default(0),
});
