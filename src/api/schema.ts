import { z } from 'zod';
import { colours } from '../lib/colour.ts';
import { drainSchema } from '../lib/drain.ts';
import { shadowReportSchema } from '../lib/shadow.ts';
import { verdicts } from '../lib/verdict.ts';
import { approvalsSchema } from './people.ts';

/**
 * The JSON shapes of CONTRACT, once: what the agent answers, what `--json` prints and what the screens show.
 * Times are RFC 3339 in UTC, durations seconds, sizes bytes, percentages 0 to 100.
 */
const time = z.string();
const colour = z.enum(colours);
const verdict = z.enum(verdicts);

const actorSchema = z.object({
  uid: z.number().int(),
  user: z.string(),
  /** Address of the SSH client, when the caller came that way. */
  ssh: z.string().nullable(),
  /** Who logged in, where that is another account: behind sudo or su. Left out where it is the same or not known. */
  login: z.object({ uid: z.number().int(), user: z.string() }).optional(),
});
export type Actor = z.output<typeof actorSchema>;

export const findingSchema = z.object({
  id: z.string(),
  verdict,
  observed: z.string(),
  expected: z.string().optional(),
  samples: z.number().optional(),
  /** How many more samples a verdict needs. */
  needed: z.number().optional(),
  hint: z.string().optional(),
  /** In a rollout: a gate lets a stage pass, a rollback takes the release back, an investigation is for people. */
  role: z.enum(['gate', 'rollback', 'investigate']).optional(),
});

const runningOperationSchema = z.object({
  id: z.string(),
  kind: z.string(),
  step: z.string().nullable(),
  /** 0 to 100: steps done of steps planned. */
  progress: z.number(),
  actor: actorSchema,
  startedAt: time,
});
export type RunningOperation = z.output<typeof runningOperationSchema>;

export const serviceStatusSchema = z.object({
  name: z.string(),
  project: z.string(),
  colour: colour.nullable(),
  state: z.string(),
  health: z.string().nullable(),
  image: z.string(),
  imageId: z.string(),
  /** Percent of one core; null until two readings exist. */
  cpuPercent: z.number().nullable(),
  memoryBytes: z.number().nullable(),
  restarts: z.number(),
  since: time.nullable(),
});
export type ServiceStatus = z.output<typeof serviceStatusSchema>;

export const rolloutSchema = z.object({
  operation: z.string(),
  policy: z.string(),
  to: z.string(),
  /** What it is compared with and goes back to. */
  from: z.string().nullable(),
  state: z.enum(['running', 'paused', 'finishing', 'aborting']),
  /** Counted from 1; 0 before the first request. */
  stage: z.number(),
  stages: z.number(),
  /** `bake`: it has all of the traffic and is watched; `shadow`: it gets copies of requests alone. */
  kind: z.enum(['stage', 'bake', 'shadow']),
  /** Share that the new release gets in this stage, 0 to 100. */
  weight: z.number(),
  secondsHeld: z.number(),
  secondsAtLeast: z.number(),
  /** What the stage waits for; null when it has ended. */
  waiting: z.string().nullable(),
  verdict,
  findings: z.array(findingSchema),
  /** What the new release answered to copies of requests; null when nothing was copied. */
  shadow: shadowReportSchema.nullable().optional(),
  history: z.array(
    z.object({
      weight: z.number(),
      kind: z.enum(['stage', 'bake', 'shadow']),
      secondsHeld: z.number(),
      outcome: z.enum(['passed', 'promoted', 'failed', 'inconclusive', 'aborted']).nullable(),
      promotedBy: z.string().nullable(),
    }),
  ),
  /** Stages that are still to come. */
  ahead: z
    .array(z.object({ weight: z.number(), kind: z.enum(['stage', 'bake', 'shadow']), secondsAtLeast: z.number() }))
    .optional(),
});
export type Rollout = z.output<typeof rolloutSchema>;

export const statusSchema = z.object({
  name: z.string(),
  version: z.string(),
  release: z.object({ tag: z.string(), colour, since: time }).nullable(),
  /** The release that still runs on the other colour, so that a rollback only moves the traffic. */
  warm: z.object({ tag: z.string(), colour }).nullable().optional(),
  traffic: z.object({ blue: z.number(), green: z.number() }),
  /**
   * What the edge has answered lately, all releases together; null when nobody has read its access log. `errorRatio`
   * counts answers of 500 and above, 0 to 1; `p95` is in seconds. Both are null where nothing was asked.
   */
  requests: z
    .object({
      /** How long that is. */
      seconds: z.number(),
      perSecond: z.number(),
      errorRatio: z.number().nullable(),
      p95: z.number().nullable(),
    })
    .nullable()
    .optional(),
  services: z.array(serviceStatusSchema),
  operation: runningOperationSchema.nullable(),
  /** The progressive rollout that runs now. */
  rollout: rolloutSchema.nullable().optional(),
  models: z.object({ active: z.object({ name: z.string(), version: z.string(), sha256: z.string() }).nullable() }),
  backup: z.object({ lastSuccess: time.nullable(), lastProvenRestore: time.nullable(), nextRun: time.nullable() }),
  certificates: z.array(
    z.object({ domains: z.array(z.string()), notAfter: time, issuer: z.string(), daysLeft: z.number() }),
  ),
  alerts: z.array(z.object({ id: z.string(), severity: z.string(), summary: z.string(), since: time })),
  verdict,
  /** Where the appliance can be reached and who answered: an agent, or this very command. */
  edge: z.object({ http: z.string(), https: z.string(), reachable: z.boolean() }),
  agent: z.object({ running: z.boolean(), pid: z.number().nullable(), since: time.nullable() }),
  findings: z.array(findingSchema),
});
export type Status = z.output<typeof statusSchema>;

export const releaseSchema = z.object({
  id: z.string(),
  tag: z.string(),
  commit: z.string(),
  state: z.enum(['live', 'warm', 'kept', 'gone']),
  colour: colour.nullable(),
  deployedAt: time.nullable(),
  actor: z.string().nullable(),
  images: z.array(z.object({ service: z.string(), ref: z.string(), digest: z.string() })),
  schema: z.number().nullable(),
  verdict: verdict.nullable(),
  pinned: z.boolean(),
});
export type ReleaseSummary = z.output<typeof releaseSchema>;

/** A look at a release some time after it went live; `at` and `verdict` are null while it is to come. */
const followUpSchema = z.object({
  /** `hour`, `day`, `week`. */
  look: z.string(),
  due: time,
  at: time.nullable(),
  verdict: verdict.nullable(),
  checks: z.array(findingSchema),
});
export type FollowUpShape = z.output<typeof followUpSchema>;

export const releaseDetailSchema = releaseSchema.extend({
  createdAt: time,
  /** Keys of the frozen environment; values never leave the agent. */
  environmentKeys: z.array(z.string()),
  environmentSha256: z.string(),
  services: z.array(z.object({ name: z.string(), role: z.string(), replicas: z.number() })),
  schemaReadableFrom: z.number().nullable(),
  imageBytes: z.number(),
  /** What was seen when it was last deployed: checklists, steps and the analysis of its rollout. */
  checks: z.array(findingSchema).optional(),
  /** Looks at it an hour, a day and a week after it went live. */
  followUps: z.array(followUpSchema).optional(),
  /** Who has approved it, and who is missing; left out where the policy of the appliance asks nobody. */
  approvals: approvalsSchema.optional(),
  history: z.array(
    z.object({
      operation: z.string(),
      kind: z.string(),
      at: time,
      result: z.string(),
      actor: z.string(),
      /** What copies of requests have shown in it. */
      shadow: shadowReportSchema.nullable().optional(),
    }),
  ),
});
export type ReleaseDetail = z.output<typeof releaseDetailSchema>;

const changeSchema = z.object({
  area: z.enum([
    'image',
    'environment',
    'topology',
    'schema',
    'service',
    'volume',
    'core',
    'file',
    'commit',
    'rows',
    'model',
    'release',
  ]),
  name: z.string(),
  kind: z.enum(['added', 'removed', 'changed']),
  from: z.string().nullable(),
  to: z.string().nullable(),
});
export type Change = z.output<typeof changeSchema>;

export const releaseDiffSchema = z.object({ from: z.string(), to: z.string(), changes: z.array(changeSchema) });

const planStepSchema = z.object({
  action: z.string(),
  title: z.string(),
  cause: z.string(),
  seconds: z.number().nullable(),
});

export const planSchema = z.object({
  kind: z.string(),
  from: z.string().nullable(),
  to: z.string(),
  strategy: z.string(),
  /** Name of the policy that a rollout follows. */
  policy: z.string().nullable().optional(),
  colour: colour.nullable(),
  steps: z.array(planStepSchema),
  changes: z.array(changeSchema),
  notes: z.array(z.string()),
  /** What the checklists say that come before a deploy. */
  checks: z.array(findingSchema).optional(),
  /** Who has approved it, and who is missing; left out where nobody is asked. */
  approvals: approvalsSchema.optional(),
  /** Seconds, from the medians of earlier runs; null when nothing was ever measured. */
  predictedSeconds: z.number().nullable(),
  predictedDowntimeSeconds: z.number(),
});
export type Plan = z.output<typeof planSchema>;

const stepReportSchema = z.object({
  name: z.string(),
  state: z.enum(['pending', 'running', 'done', 'failed', 'undone', 'skipped']),
  seconds: z.number(),
  detail: z.string(),
});
export type StepReport = z.output<typeof stepReportSchema>;

export const operationResultSchema = z.object({
  operation: z.string(),
  kind: z.string(),
  from: z.string().nullable(),
  to: z.string().nullable(),
  result: z.enum(['done', 'failed', 'rolled_back', 'manual']),
  startedAt: time,
  /** Name of the user who began it. */
  actor: z.string(),
  seconds: z.number(),
  /** From the command's arrival to verified traffic on the new colour; null when nothing was shifted. */
  shiftSeconds: z.number().nullable(),
  steps: z.array(stepReportSchema),
  verdicts: z.array(findingSchema),
  /** What became of the requests that a colour was answering when it was stopped. */
  drains: z.array(drainSchema).optional(),
  /** What the new release answered to copies of requests; null when nothing was copied. */
  shadow: shadowReportSchema.nullable().optional(),
  error: z
    .object({
      code: z.string(),
      message: z.string(),
      left: z.string().optional(),
      hint: z.string().optional(),
      exit: z.number(),
    })
    .optional(),
});
export type OperationResult = z.output<typeof operationResultSchema>;

/** The same of an operation that may still be running, or waits to be settled. */
export const operationViewSchema = operationResultSchema.extend({
  result: z.enum([...operationResultSchema.shape.result.options, 'running']),
});
export type OperationView = z.output<typeof operationViewSchema>;

/** What the agent tells while it works; also the lines of `deploy --json` before the last one. */
export const eventSchema = z.discriminatedUnion('event', [
  z.object({
    event: z.literal('operation-started'),
    time,
    operation: z.string(),
    kind: z.string(),
    target: z.string().nullable(),
    actor: actorSchema,
    steps: z.array(z.string()),
  }),
  z.object({
    event: z.literal('planned'),
    time,
    operation: z.string(),
    steps: z.array(z.object({ name: z.string(), title: z.string() })),
  }),
  z.object({
    event: z.literal('step'),
    time,
    operation: z.string(),
    index: z.number(),
    name: z.string(),
    title: z.string(),
    state: z.enum(['running', 'verifying', 'done', 'failed', 'undoing', 'undone']),
    seconds: z.number(),
    detail: z.string(),
  }),
  /** A stage of a rollout was looked at, begun or ended. */
  z.object({ event: z.literal('rollout'), time, operation: z.string(), rollout: rolloutSchema }),
  z.object({ event: z.literal('progress'), time, operation: z.string(), index: z.number(), text: z.string() }),
  z.object({
    event: z.literal('operation-ended'),
    time,
    operation: z.string(),
    kind: z.string(),
    result: operationResultSchema,
  }),
  z.object({ event: z.literal('status'), time }),
]);
export type ApplianceEvent = z.output<typeof eventSchema>;

export const logLineSchema = z.object({
  time: time.nullable(),
  service: z.string(),
  colour: colour.nullable(),
  stream: z.enum(['stdout', 'stderr']),
  text: z.string(),
});
export type LogLine = z.output<typeof logLineSchema>;

export const statSchema = z.object({
  service: z.string(),
  colour: colour.nullable(),
  cpuPercent: z.number().nullable(),
  memoryBytes: z.number().nullable(),
  memoryLimitBytes: z.number().nullable(),
  rxBytes: z.number(),
  txBytes: z.number(),
  pids: z.number(),
});
export type ServiceStat = z.output<typeof statSchema>;

export const auditEntrySchema = z.object({
  seq: z.number(),
  time,
  actor: actorSchema,
  action: z.string(),
  target: z.string().nullable(),
  result: z.string(),
  hash: z.string(),
});
export type AuditEntry = z.output<typeof auditEntrySchema>;
