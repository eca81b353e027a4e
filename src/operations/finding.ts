import { z } from 'zod';
import { verdicts } from '../lib/verdict.ts';

/** A finding as it stands in the journal. */
export const findingSchema = z.object({
  id: z.string(),
  verdict: z.enum(verdicts),
  observed: z.string(),
  expected: z.string().optional(),
  samples: z.number().optional(),
  needed: z.number().optional(),
  hint: z.string().optional(),
});
