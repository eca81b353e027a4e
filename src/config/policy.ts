import { z } from 'zod';
import { durationPattern, parseDuration } from '../lib/units.ts';
import { metricNames } from './metrics.ts';
import { policyDemandsSchema } from './policy-demands.ts';
import { policyModelsSchema } from './policy-models.ts';
import { policyPeople } from './policy-people.ts';

/** The worst first (S4-28, S4-33, S4-37). */
const severities = ['critical', 'warning', 'info'] as const;

/** `15m` in the file, milliseconds in the program. */
const duration = z
  .string()
  .regex(durationPattern, 'write a duration such as 500ms, 30s, 5m, 2h or 7d')
  .transform(parseDuration);
/** `S2-13` of the list of demands, with a suffix where one demand has several values; or a word for an own one. */
const id = z.string().regex(/^[A-Za-z][\w.-]{0,40}$/, 'use letters, digits, dots and dashes, starting with a letter');
const ids = z.array(id).default([]).describe('demands that the values come from');
const milliseconds = duration.refine((value) => value > 0, 'it must be longer than 0s');

const limits = {
  above: z.number().optional().describe('the value must be greater'),
  below: z.number().optional().describe('the value must be less'),
  atLeast: z.number().optional().describe('the value must be this or greater'),
  atMost: z.number().optional().describe('the value must be this or less'),
  between: z.tuple([z.number(), z.number()]).optional().describe('the value must be from the one to the other'),
};
/** The words of a limit, of which a condition has exactly one. */
export const limitNames = Object.keys(limits) as (keyof typeof limits)[];

const condition = {
  id: id.describe('demand that the value comes from, or a word of your own; once per list'),
  metric: z.enum(metricNames).describe('what is measured'),
  ...limits,
  for: duration.prefault('0s').describe('how long it must hold without a gap; 0s: once is enough'),
  over: milliseconds.optional().describe('time that one value is measured over'),
  against: z
    .enum(['baseline', 'day-before'])
    .optional()
    .describe('the limit is the relative change: to the release that is replaced, or to the same time yesterday'),
};

const judged = z.strictObject({
  ...condition,
  confidence: z
    .number()
    .min(0.5)
    .max(0.9999)
    .optional()
    .describe('how sure a verdict must be; left out: 0.95, and 0.999 for what takes a release back'),
});
export type PolicyRule = z.output<typeof judged>;

const alert = z.strictObject({
  ...condition,
  name: z
    .string()
    .regex(/^[A-Z][A-Za-z0-9]{2,60}$/, 'write it like BackendDown')
    .describe('name of the alert; once per policy'),
  severity: z.enum(severities).describe('critical, warning or info'),
  summary: z.string().min(1).max(200).describe('one line for the person who is told'),
});
export type PolicyAlert = z.output<typeof alert>;

const watching = {
  every: milliseconds.prefault('5s').describe('time between two looks'),
  minRequests: z.int().min(0).default(0).describe('requests that the new release must have answered'),
  patience: duration.prefault('30m').describe('how much longer it may stay inconclusive before it is taken back'),
  ids,
};

const stage = z.strictObject({
  weight: z.int().min(1).max(100).describe('share of the traffic for the new release, in percent'),
  for: duration.prefault('0s').describe('the least time at this share'),
  ...watching,
});

const byHand = z.strictObject({
  id,
  text: z.string().min(1).describe('what a person may see that no software on this host can'),
  action: z.enum(['rollback', 'investigate', 'alert']).describe('what is to be done about it'),
});

const review = z.strictObject({ id, after: milliseconds.describe('time since the deploy'), text: z.string().min(1) });

/** A policy file: what lets a release pass, what takes it back, and who is told of what. */
export const policySchema = z.strictObject({
  name: z.string().regex(/^[a-z][a-z0-9-]{0,40}$/, 'use lower-case letters, digits and dashes'),
  title: z.string().min(1).describe('for people'),
  source: z.string().min(1).optional().describe('where the values come from'),
  canary: z
    .strictObject({ stages: z.array(stage).min(1).describe('shares of the traffic, rising; the last is 100') })
    .optional()
    .describe('left out: all traffic at once'),
  shadow: z
    .strictObject({
      share: z.int().min(1).max(100).describe('requests that are copied, in percent'),
      for: milliseconds.describe('how long'),
      every: milliseconds.prefault('5s').describe('time between two looks'),
      ids,
    })
    .optional()
    .describe('copies of requests for the new release before it gets any, answers compared; left out: none'),
  gates: z.array(judged).default([]).describe('all must hold before a stage, or the watch after it, may end'),
  rollback: z.array(judged).default([]).describe('any that holds takes the release back'),
  investigate: z.array(judged).default([]).describe('any that holds is reported; never a reason to go back'),
  alerts: z.array(alert).default([]).describe('conditions of which somebody is told, at any time'),
  bake: z
    .strictObject({ for: milliseconds.describe('how long it is watched'), ...watching })
    .optional()
    .describe('the watch over a release that has all of the traffic'),
  drain: z
    .strictObject({ limit: milliseconds.describe('time that requests in flight may take'), ids })
    .optional()
    .describe('what the old release gets before it is stopped; left out: deploy.drain of appliance.yaml'),
  synthetic: z
    .strictObject({
      most: z.int().min(1).max(100_000).default(1_000).describe('most of them for one stage'),
      ids,
    })
    .optional()
    .describe(
      'requests that appliance.yaml declares may fill up what users send too little of; left out: users alone count',
    ),
  tls: z
    .strictObject({ minVersion: z.enum(['1.2', '1.3']).describe('oldest version that the edge speaks'), ids })
    .optional()
    .describe('what clients must speak, where appliance.yaml deploys by this policy; left out: TLS 1.2 or 1.3'),
  verifyRollback: z
    .strictObject({
      attempts: z.int().min(1).max(1_000).default(30).describe('how often the old release is asked'),
      every: milliseconds.prefault('2s').describe('time between two questions'),
      ids: ids.prefault(['S0-47']),
    })
    .prefault({})
    .describe('how a release that was gone back to is proven'),
  models: policyModelsSchema
    .prefault({})
    .describe('what a version of a model must bring along, and the limits that it must keep'),
  checks: policyDemandsSchema.prefault({}).describe('what its checklists ask of host, configuration and load'),
  byHand: z.array(byHand).default([]).describe('conditions that a person reports'),
  reviews: z.array(review).default([]).describe('looks that a person takes some time after a deploy'),
  ...policyPeople,
});

/** A policy with every default filled in: durations in milliseconds, shares from 0 to 1, latencies in seconds. */
export type Policy = z.output<typeof policySchema>;
