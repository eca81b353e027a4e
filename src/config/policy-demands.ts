import { z } from 'zod';
import { bytesPattern, durationPattern, parseBytes, parseDuration } from '../lib/units.ts';

const bytes = z.string().regex(bytesPattern, 'write a size such as 500MB or 16GB').transform(parseBytes);
const duration = z.string().regex(durationPattern, 'write a duration such as 30s').transform(parseDuration);
const id = z
  .string()
  .regex(/^[A-Za-z][\w.-]{0,40}$/, 'use letters, digits, dots and dashes, starting with a letter')
  .describe('demand that it comes from, or a word of your own');
const key = z.string().regex(/^[A-Za-z_][A-Za-z0-9_.-]*$/, 'write the name of a key');

const environmentKey = z.strictObject({
  id,
  key: key.describe('key of source.envFile that must have a value'),
  or: z.array(key).default([]).describe('other names of the same'),
  equals: z.string().optional().describe('the value that it must have'),
  where: key.optional().describe('asked for only where a key that begins like this is there'),
});
export type KeyDemand = z.output<typeof environmentKey>;

const seconds = duration.transform((value) => value / 1_000);
const stage = z.strictObject({
  for: duration.refine((value) => value >= 1_000, 'it must be 1s or longer'),
  users: z.int().min(0).max(10_000).describe('connections at the end of it, rising or falling evenly'),
});
const load = z
  .strictObject({
    id,
    requests: z.int().min(1).max(1_000_000).optional().describe('so many requests in all'),
    stages: z.array(stage).min(1).optional().describe('or a ramp: connections over time'),
    connections: z.int().min(1).max(10_000).default(10),
    perSecondAbove: z.number().positive().optional(),
    meanBelow: seconds.optional(),
    p95Below: seconds.optional(),
    p99Below: seconds.optional(),
    errorsBelow: z
      .number()
      .min(0)
      .max(1)
      .optional()
      .describe('a share; what must not happen at all is errorsAtMost: 0'),
    errorsAtMost: z.int().min(0).optional(),
  })
  .refine(({ requests, stages }) => (requests === undefined) !== (stages === undefined), {
    message: 'write either requests or stages',
  });
export type LoadDemand = z.output<typeof load>;

/** What the checklists of a policy ask for besides what every appliance must have. */
export const policyDemandsSchema = z.strictObject({
  cpus: z.strictObject({ id, atLeast: z.int().min(1) }).optional(),
  memory: z.strictObject({ id, atLeast: bytes }).optional(),
  disk: z.strictObject({ id, atLeast: bytes }).optional().describe('size of the file system with the state'),
  image: z.strictObject({ id, below: bytes }).optional().describe('size of each image of a release'),
  keys: z.array(environmentKey).default([]),
  redis: z.strictObject({ id, tls: z.boolean() }).optional().describe('whether connections to Redis must use TLS'),
  tables: z.strictObject({ id, names: z.array(z.string().regex(/^[a-z_][a-z0-9_.]*$/)).min(1) }).optional(),
  load: z.array(load).default([]),
  lighthouse: z
    .strictObject({ id, performance: z.number(), accessibility: z.number(), bestPractices: z.number() })
    .optional()
    .describe('scores, 0 to 100, that each page must be above'),
  refuse: z
    .array(z.string())
    .default([])
    .describe('checks, or groups of them, that keep a deploy by this policy from beginning when they fail'),
});
export type PolicyDemands = z.output<typeof policyDemandsSchema>;
