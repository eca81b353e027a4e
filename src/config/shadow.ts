import { z } from 'zod';
import { durationPattern, parseDuration } from '../lib/units.ts';

/** Methods that promise to change nothing (RFC 9110 §9.2.1), of those that a browser or client sends. */
export const safeMethods: readonly string[] = ['GET', 'HEAD', 'OPTIONS'];

const compare = z.strictObject({
  path: z.string().startsWith('/').describe('prefix of the request path; the longest match wins'),
  tolerance: z
    .number()
    .min(0)
    .max(1)
    .default(0)
    .describe('how far numbers may be apart, as a share of the greater one (of 1, where both are smaller)'),
  ignore: z
    .array(z.string().regex(/^[^.]+(?:\.[^.]+)*$/, 'write a path such as items.*.id'))
    .default([])
    .describe('places of the JSON that may differ, such as took or items.*.id; * stands for any key or index'),
});

/** Requests that are copied to a release before it gets any; how long and how many says a policy. */
export const shadowSchema = z.strictObject({
  methods: z
    .array(z.string().regex(/^[A-Z]{3,20}$/, 'write a method such as GET or POST'))
    .min(1)
    .default(['GET', 'HEAD'])
    .describe(
      'what is copied. A method that changes something changes it twice, because both colours share the databases',
    ),
  concurrency: z.int().min(1).max(64).default(4).describe('copies that the idle colour answers at the same time'),
  timeout: z
    .string()
    .regex(durationPattern, 'write a duration such as 500ms, 30s, 5m, 2h or 7d')
    .transform(parseDuration)
    .prefault('10s')
    .describe('how long the idle colour may take for a copy'),
  compare: z
    .array(compare)
    .default([])
    .describe('answers that are compared as JSON; all others must be the same byte for byte'),
});
export type ShadowConfig = z.output<typeof shadowSchema>;
