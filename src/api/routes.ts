import { z } from 'zod';
import { ApplianceError } from '../lib/errors.ts';
import { alertSchema, alertsSchema, alertsTestSchema, silenceSchema } from './alerts.ts';
import {
  backupDetailSchema,
  backupExportSchema,
  backupInputs,
  backupKeySchema,
  backupSchema,
  backupVerifySchema,
} from './backups.ts';
import { bundleCreateEventSchema, bundleInputs, bundleLoadEventSchema } from './bundles.ts';
import { certificateInputs, certificateSchema } from './certificates.ts';
import { checkEventSchema, checkInput, checkSeenSchema } from './checks.ts';
import { doctorEventSchema, doctorFixInput, doctorInput } from './doctor.ts';
import { type Endpoint, type EndpointName, endpoints } from './endpoints.ts';
import {
  modelAddedSchema,
  modelArchivedSchema,
  modelDetailSchema,
  modelDiffSchema,
  modelExportedSchema,
  modelHistorySchema,
  modelImportedSchema,
  modelInputs,
  modelRepairedSchema,
  modelSchema,
  modelVerifySchema,
  versionReference,
} from './models.ts';
import { approvalsSchema, peopleInputs, signOffSchema } from './people.ts';
import { reportSchema } from './report.ts';
import { jobsSchema } from './schedule.ts';
import {
  auditEntrySchema,
  eventSchema,
  logLineSchema,
  operationViewSchema,
  planSchema,
  releaseDetailSchema,
  releaseDiffSchema,
  releaseSchema,
  rolloutSchema,
  serviceStatusSchema,
  statSchema,
  statusSchema,
} from './schema.ts';
import { supportEventSchema, supportInput } from './support.ts';

/**
 * Every request that a face can make: who may and where (`endpoints.ts`), what goes in and what comes out. Client and
 * server are both derived from this table, so they cannot disagree.
 */
export type RouteDefinition<In extends z.ZodType, Out extends z.ZodType> = Endpoint & {
  readonly input: In;
  readonly output: Out;
};

function route<Name extends EndpointName, In extends z.ZodType, Out extends z.ZodType>(
  name: Name,
  input: In,
  output: Out,
): (typeof endpoints)[Name] & RouteDefinition<In, Out> {
  return { ...endpoints[name], input, output };
}

const nothing = z.object({});

/** Options that every operation takes. */
const operation = {
  /** Milliseconds to wait for the lock; 0 answers `busy` at once. */
  wait: z.number().min(0).default(0),
};

const deployInput = z.object({
  tag: z.string(),
  strategy: z.enum(['blue-green', 'canary', 'recreate']).optional(),
  /** Default: `deploy.policy` of appliance.yaml. */
  policy: z.string().optional(),
  acceptMovedTag: z.boolean().default(false),
  /** Without the backup that comes first. */
  skipBackup: z.boolean().default(false),
  ...operation,
});
const rollbackInput = z.object({
  /** Default: the release before the current one. */
  tag: z.string().optional(),
  /** Restores the data of a snapshot as well: its id, or `newest` for the newest one that the release can read. */
  restoreData: z.string().trim().min(1, 'is empty: name a snapshot, or leave the value out').max(100).optional(),
  ...operation,
});
const restoreInput = z.object({
  /** Id of a snapshot, the beginning of one, or `latest`. */
  snapshot: z.string().max(100),
  component: z.enum(['database', 'models', 'registry', 'config', 'all']).default('all'),
  /** Without a snapshot of today: what is replaced is lost. */
  skipSafety: z.boolean().default(false),
  ...operation,
});
const logsInput = z.object({
  services: z.array(z.string()).default([]),
  follow: z.boolean().default(false),
  /** RFC 3339, or a duration before now such as 10m. */
  since: z.string().optional(),
  /** Lines per container from the end; all when absent. */
  tail: z.number().int().min(0).optional(),
});
const downInput = z.object({ volumes: z.boolean().default(false), ...operation });
const upInput = z.object({ core: z.boolean().default(false), ...operation });
const restartInput = z.object({ service: z.string().optional(), ...operation });
const execInput = z.object({ service: z.string() });
const execTarget = z.object({ container: z.string(), service: z.string() });

/** How a version of a model is brought into force. */
const modelOperation = {
  reason: z.string().max(500).optional(),
  /** Milliseconds that it is watched; default: `models.bake` of appliance.yaml. */
  bake: z.number().min(0).optional(),
  acceptInconclusive: z.boolean().default(false),
  ...operation,
};
const modelScan = z.object({
  verdict: z.enum(['pass', 'fail', 'inconclusive']),
  observed: z.string(),
  hint: z.string().nullable(),
  files: z.array(
    z.object({
      path: z.string(),
      kind: z.string(),
      verdict: z.enum(['pass', 'fail']),
      reason: z.string().nullable(),
      globals: z.array(z.string()),
    }),
  ),
});

/** How long, in milliseconds, and why. */
const pause = { duration: z.number().positive(), comment: z.string().default('') };
const silenceInput = z.object({ matchers: z.array(z.string()).min(1), ...pause });
/** An alert by its id, the first digits of it, or its name. */
const ackInput = z.object({ alert: z.string(), ...pause });

export const routes = {
  status: route('status', nothing, statusSchema),
  /** What is asked of a running agent before anything else. */
  ping: route('ping', nothing, z.object({ version: z.string(), pid: z.number(), name: z.string() })),
  ps: route('ps', nothing, z.array(serviceStatusSchema)),
  stats: route('stats', z.object({ follow: z.boolean().default(false) }), z.array(statSchema)),
  logs: route('logs', logsInput, logLineSchema),
  events: route('events', nothing, eventSchema),
  /** Events of one operation from its beginning to its end. */
  follow: route('follow', z.object({ operation: z.string() }), eventSchema),
  operations: route('operations', nothing, z.array(operationViewSchema)),
  releases: route('releases', nothing, z.array(releaseSchema)),
  release: route('release', z.object({ tag: z.string() }), releaseDetailSchema),
  diff: route('diff', z.object({ from: z.string(), to: z.string() }), releaseDiffSchema),
  pin: route('pin', z.object({ tag: z.string(), pinned: z.boolean() }), releaseSchema),
  /** A release as one file, for hosts without internet; the last event says what was written. */
  bundleCreate: route('bundleCreate', bundleInputs.create, bundleCreateEventSchema),
  bundleLoad: route('bundleLoad', bundleInputs.load, bundleLoadEventSchema),
  plan: route('plan', deployInput, planSchema),
  planRollback: route('planRollback', rollbackInput, planSchema),
  planRestore: route('planRestore', restoreInput, planSchema),
  /** Who has approved a release as it would be deployed now, and who is missing. */
  approvals: route('approvals', peopleInputs.approvals, approvalsSchema),
  approve: route('approve', peopleInputs.approve, approvalsSchema),
  /** What only people can tell of a release, and what they have said. */
  questions: route('questions', peopleInputs.questions, signOffSchema),
  signoff: route('signoff', peopleInputs.signoff, signOffSchema),
  /** The whole story of a release. */
  report: route('report', z.object({ tag: z.string() }), reportSchema),
  // Operations answer with the events of the operation; the last line is `operation-ended`.
  deploy: route('deploy', deployInput, eventSchema),
  pause: route('pause', nothing, rolloutSchema),
  resume: route('resume', nothing, rolloutSchema),
  /** Passes the stage that is held; with `all` every stage that is left. */
  promote: route('promote', z.object({ all: z.boolean().default(false) }), rolloutSchema),
  /** The operation that is taken back: follow it to its end. */
  abort: route('abort', nothing, z.object({ operation: z.string() })),
  rollback: route('rollback', rollbackInput, eventSchema),
  /** Restores a snapshot into throw-away containers and looks at what comes out. */
  backupDrill: route('backupDrill', backupInputs.drill, eventSchema),
  /** Puts data of a snapshot in the place of those in use. */
  backups: route('backups', nothing, z.array(backupSchema)),
  backupShow: route('backupShow', backupInputs.one, backupDetailSchema),
  backupNow: route('backupNow', backupInputs.now, eventSchema),
  /** The whole repository is read back, or one snapshot of it. */
  backupVerify: route('backupVerify', backupInputs.verify, backupVerifySchema),
  backupProtect: route('backupProtect', backupInputs.protect, z.object({ id: z.string(), protected: z.boolean() })),
  /** The key itself is answered once. */
  backupKey: route('backupKey', nothing, backupKeySchema),
  /** Whether a key opens the repository. */
  backupProve: route('backupProve', backupInputs.prove, z.object({ opens: z.boolean() })),
  backupExport: route('backupExport', backupInputs.export, backupExportSchema),
  backupPrune: route('backupPrune', backupInputs.prune, eventSchema),
  /** The second half of making a bare host the appliance of a snapshot: core, databases, the live release. */
  backupRecover: route('backupRecover', z.object({ ...operation }), eventSchema),
  backupRestore: route('backupRestore', restoreInput, eventSchema),
  up: route('up', upInput, eventSchema),
  down: route('down', downInput, eventSchema),
  restart: route('restart', restartInput, eventSchema),
  prune: route('prune', z.object({ ...operation }), eventSchema),
  /** The container to run a command in; the face runs `docker exec` itself, so that the terminal is its own. */
  exec: route('exec', execInput, execTarget),
  /** What fires, who is told of it and what is silenced. */
  alerts: route('alerts', nothing, alertsSchema),
  /** A test alert through each receiver; all of them when none is named. */
  alertsTest: route('alertsTest', z.object({ receivers: z.array(z.string()).default([]) }), alertsTestSchema),
  /** Stops a service and proves that somebody is told (S1-42). Default: the first route's service. */
  alertsDrill: route('alertsDrill', z.object({ service: z.string().optional(), ...operation }), eventSchema),
  alertsSilence: route('alertsSilence', silenceInput, silenceSchema),
  alertsUnsilence: route('alertsUnsilence', z.object({ id: z.string() }), silenceSchema),
  /** A person reports a condition of a policy that nobody else can see, or says that it is over. */
  alertsRaise: route(
    'alertsRaise',
    z.object({ condition: z.string(), comment: z.string().max(500).default('') }),
    z.array(alertSchema),
  ),
  alertsResolve: route('alertsResolve', z.object({ condition: z.string() }), z.array(alertSchema)),
  alertsAck: route('alertsAck', ackInput, z.array(alertSchema)),
  models: route('models', modelInputs.list, z.array(modelSchema)),
  modelsShow: route('modelsShow', modelInputs.one, modelDetailSchema),
  modelsAdd: route('modelsAdd', modelInputs.add, modelAddedSchema),
  /** Reads every byte of a version; without one, of all versions that are in production or validated. */
  modelsVerify: route('modelsVerify', modelInputs.verify, modelVerifySchema),
  /** Sets a damaged registry aside and registers what lies in the models directory. */
  modelsRepair: route('modelsRepair', nothing, modelRepairedSchema),
  modelsHistory: route('modelsHistory', modelInputs.history, z.array(modelHistorySchema)),
  modelsDiff: route('modelsDiff', modelInputs.diff, modelDiffSchema),
  modelsArchive: route('modelsArchive', modelInputs.archive, modelArchivedSchema),
  modelsImport: route('modelsImport', modelInputs.import, modelImportedSchema),
  modelsExport: route('modelsExport', modelInputs.export, modelExportedSchema),
  /** Default: the version that has a share of the requests. */
  modelsPromote: route(
    'modelsPromote',
    z.object({
      version: versionReference.optional(),
      /** Share of the requests beside the model in force; left out: all of them. */
      weight: z.number().gt(0).lt(1).optional(),
      ...modelOperation,
    }),
    eventSchema,
  ),
  /** Default: ends the split, or goes back to the version before the one in force. */
  modelsRollback: route(
    'modelsRollback',
    z.object({ version: versionReference.optional(), ...modelOperation }),
    eventSchema,
  ),
  modelsRetrain: route('modelsRetrain', z.object(modelOperation), eventSchema),
  /** A registered version, or an absolute path of a directory that the caller may read. */
  modelsScan: route('modelsScan', z.object({ target: z.string() }), modelScan),
  /** What runs by the clock. */
  schedule: route('schedule', nothing, jobsSchema),
  scheduleRun: route('scheduleRun', z.object({ job: z.string(), ...operation }), eventSchema),
  certs: route('certs', nothing, z.array(certificateSchema)),
  certsIssue: route('certsIssue', certificateInputs.issue, eventSchema),
  /** The face chooses those that are due. */
  certsRenew: route('certsRenew', certificateInputs.renew, eventSchema),
  certsImport: route('certsImport', certificateInputs.import, eventSchema),
  /** Everything that an attempt takes, and nothing is kept. */
  certsDryRun: route('certsDryRun', certificateInputs.dryRun, eventSchema),
  /** Events while checks run; the last one is the report. */
  check: route('check', checkInput, checkEventSchema),
  /** What each check said last, whoever ran it. */
  checkVerdicts: route('checkVerdicts', nothing, z.array(checkSeenSchema)),
  /** Events while it looks; the last one is the report. */
  doctor: route('doctor', doctorInput, doctorEventSchema),
  /** The same, and what is safe of its advice is done and looked at again. */
  doctorFix: route('doctorFix', doctorFixInput, doctorEventSchema),
  /** Pieces of the archive; the last document is the report. Refused on the read-only socket. */
  supportBundle: route('supportBundle', supportInput, supportEventSchema),
  configShow: route('configShow', nothing, z.record(z.string(), z.unknown())),
  selfUpdate: route(
    'selfUpdate',
    z.object({ from: z.string().max(100), to: z.string().max(100), result: z.enum(['begun', 'done', 'taken back']) }),
    nothing,
  ),
  audit: route(
    'audit',
    z.object({ since: z.string().optional(), limit: z.number().int().default(200) }),
    z.array(auditEntrySchema),
  ),
  gateRefused: route(
    'gateRefused',
    /** What was asked for, without secrets. */
    z.object({ command: z.string().max(300) }),
    /** False where the same user has too many of them already. */
    z.object({ noted: z.boolean() }),
  ),
  auditVerify: route(
    'auditVerify',
    z.object({
      /** A head of the chain that was noted elsewhere. */
      head: z.object({ seq: z.int().positive(), hash: z.string().regex(/^[0-9a-f]{64}$/) }).optional(),
    }),
    z.object({
      verdict: z.enum(['pass', 'fail', 'inconclusive']),
      entries: z.number(),
      brokenAt: z.number().nullable(),
      /** Files that entries were moved to. */
      archives: z.number(),
      /** What is wrong, or why nothing can be proven. */
      problem: z.string().nullable(),
      head: z.object({ seq: z.number(), hash: z.string() }).nullable(),
    }),
  ),
} as const satisfies Record<EndpointName, RouteDefinition<z.ZodType, z.ZodType>>;

type Routes = typeof routes;
export type RouteName = keyof Routes;

/** What a route is asked, as its handler gets it. @throws ApplianceError `usage` with the first thing that is wrong */
export function parseInput<Name extends RouteName>(name: Name, input: unknown): ParsedInput<Name> {
  const parsed = routes[name].input.safeParse(input);
  if (parsed.success) return parsed.data as ParsedInput<Name>;
  const problem = parsed.error.issues[0];
  throw new ApplianceError(
    'usage',
    `${problem?.path.join('.') || 'request'}: ${problem?.message ?? 'not understood'}`,
    {
      left: 'nothing was touched',
    },
  );
}

export type Input<Name extends RouteName> = z.input<Routes[Name]['input']>;
export type ParsedInput<Name extends RouteName> = z.output<Routes[Name]['input']>;
export type Output<Name extends RouteName> = z.output<Routes[Name]['output']>;

/** How long a caller waits for what runs, in milliseconds; null for what knows no `--wait`. */
export function waitOf(input: unknown): number | null {
  return typeof input === 'object' && input !== null && 'wait' in input && typeof input.wait === 'number'
    ? input.wait
    : null;
}
