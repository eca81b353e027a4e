import { z } from 'zod';
import { verdicts } from '../lib/verdict.ts';
import { findingSchema } from './schema.ts';

// The JSON shapes of `appliance alerts`. Times are RFC 3339 in UTC.

export const alertSchema = z.object({
  id: z.string(),
  name: z.string(),
  severity: z.enum(['critical', 'warning', 'info']),
  summary: z.string(),
  hint: z.string().nullable(),
  since: z.string(),
  state: z.enum(['firing', 'acknowledged', 'silenced', 'inhibited']),
  /** Who acknowledged or silenced it, and until when. */
  by: z.string().nullable(),
  until: z.string().nullable(),
  source: z.enum(['agent', 'alertmanager']),
  receivers: z.array(z.string()),
  labels: z.record(z.string(), z.string()),
});
export type Alert = z.output<typeof alertSchema>;

export const silenceSchema = z.object({
  id: z.string(),
  matchers: z.string(),
  by: z.string(),
  comment: z.string(),
  until: z.string(),
});

export const alertsSchema = z.object({
  /** Null where none is configured: then only the agent's own alerts exist, and nobody is told of them. */
  alertmanager: z.object({ address: z.string(), problem: z.string().nullable() }).nullable(),
  onCall: z.object({ name: z.string(), receivers: z.array(z.string()).readonly(), until: z.string() }).nullable(),
  alerts: z.array(alertSchema).readonly(),
  silences: z.array(silenceSchema).readonly(),
});
export type Alerts = z.output<typeof alertsSchema>;

/** A finding for each receiver. */
export const alertsTestSchema = z.object({ verdict: z.enum(verdicts), checks: z.array(findingSchema) });
