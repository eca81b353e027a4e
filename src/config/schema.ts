import { z } from 'zod';
import { bytesPattern, durationPattern, parseBytes, parseDuration } from '../lib/units.ts';
import { alertsSchema } from './alerts.ts';
import { backupsSchema } from './backups.ts';
import { certificatesSchema } from './certificates.ts';
import { checksSchema } from './checks.ts';
import { edgeSchema } from './edge.ts';
import { modelsSchema } from './models.ts';
import { monitoringSchema } from './monitoring.ts';
import { peopleSchema } from './policy-people.ts';
import { shadowSchema } from './shadow.ts';
import { syntheticSchema } from './synthetic.ts';

/** `30s` in the file, milliseconds in the program. */
const duration = z
  .string()
  .regex(durationPattern, 'write a duration such as 500ms, 30s, 5m, 2h or 7d')
  .transform(parseDuration);
/** `20GB` in the file, bytes in the program. */
const bytes = z.string().regex(bytesPattern, 'write a size such as 512MB or 20GiB').transform(parseBytes);
const port = z.int().min(1).max(65_535);
const serviceName = z.string().regex(/^[a-zA-Z0-9._-]+$/, 'write the name of a service of the Compose file');

export const probeSchema = z
  .strictObject({
    type: z
      .enum(['http', 'tcp'])
      .describe('http asks a path and looks at status and release header; tcp only connects'),
    port: port.describe('where it listens inside its container'),
    path: z.string().startsWith('/').default('/').describe('http only: the path to ask'),
    status: z.int().min(100).max(599).default(200).describe('http only: the status that means healthy'),
    releaseHeader: z
      .boolean()
      .default(true)
      .describe('http only: the answer must carry X-Appliance-Release with the tag; a 200 alone is no proof'),
  })
  .describe('how appliance asks a service whether it is healthy');

const service = z.strictObject({
  role: z
    .enum(['app', 'core', 'migrate', 'job', 'ignore'])
    .describe(
      'app: rolled, once per colour; core: long-lived and shared by both colours (databases, caches); migrate: one-shot schema migration of a deploy; job: one-shot, run with the app; ignore: not started (a proxy that the edge replaces)',
    ),
  probe: probeSchema.optional(),
});

const route = z.strictObject({
  path: z.string().startsWith('/').describe('prefix of the request path; the longest match wins'),
  service: serviceName.describe('an app service'),
  port: port.describe('where it listens inside its container'),
  timeout: duration.prefault('60s').describe('how long the edge waits for an answer'),
  maxBody: bytes.prefault('10MiB').describe('largest request body'),
});

/** The schema of appliance.yaml. Defaults are chosen so that a name, a repository, services and routes are enough. */
export const configSchema = z.strictObject({
  name: z
    .string()
    .regex(
      /^[a-z](?:[a-z0-9-]{0,30}[a-z0-9])?$/,
      'use lower-case letters, digits and inner dashes, starting with a letter, at most 32',
    )
    .describe('prefix of the Compose projects: <name>-core, <name>-blue, <name>-green'),
  source: z.strictObject({
    repository: z.string().min(1).describe('Git repository: a path on this host or a URL'),
    compose: z
      .array(z.string().min(1))
      .min(1)
      .default(['compose.yaml'])
      .describe('Compose files, merged in this order'),
    profiles: z.array(z.string().min(1)).default([]).describe('Compose profiles to enable'),
    envFile: z
      .string()
      .startsWith('/')
      .optional()
      .describe('environment file on this host (mode 0600); it takes the place of .env beside the Compose file'),
  }),
  services: z.record(serviceName, service).describe('what each service of the Compose file is'),
  routes: z.array(route).min(1).describe('which requests go to which service'),
  edge: edgeSchema,
  network: z
    .strictObject({
      pool: z
        .string()
        .regex(/^\d+\.\d+\.\d+\.\d+\/(1[0-9]|2[0-3])$/, 'write an IPv4 range such as 10.213.0.0/16 (at most /23)')
        .default('10.213.0.0/16')
        .describe('range from which the two /24 networks are taken, after a look at the routes of the host'),
    })
    .prefault({}),
  deploy: z
    .strictObject({
      strategy: z
        .enum(['blue-green', 'recreate'])
        .default('blue-green')
        .describe('blue-green: the new release starts beside the old one; recreate: after it, with a downtime'),
      policy: z
        .string()
        .regex(/^[a-z][a-z0-9-]{0,40}$/, 'write the name of a policy, for example routing-ml')
        .optional()
        .describe('stages, gates and rollback triggers of every deploy that names no other; none: the plain shift'),
      healthTimeout: duration.prefault('60s').describe('how long a new colour may take to become healthy'),
      bake: duration
        .prefault('0s')
        .describe('how long the new colour is watched after the shift before the deploy is done'),
      drain: duration
        .prefault('60s')
        .describe(
          'how long requests in flight may take before an old colour is stopped; at least the longest routes[].timeout',
        ),
      retire: z
        .enum(['keep-warm', 'stop', 'remove'])
        .default('keep-warm')
        .describe('what happens to the old colour; keep-warm makes the next rollback a matter of a second'),
      buildTimeout: duration.prefault('30m').describe('how long building and pulling the images of a release may take'),
      migrateTimeout: duration.prefault('10m').describe('how long a migration may take before it is stopped'),
    })
    .prefault({}),
  volumes: z
    .strictObject({
      perColour: z
        .array(z.string())
        .default([])
        .describe('named volumes that each colour gets of its own; all others are shared'),
    })
    .prefault({}),
  persistent: z
    .array(z.string().startsWith('./'))
    .default([])
    .describe(
      'relative bind mounts that live outside the releases and are shared by all of them, seeded from the first',
    ),
  retention: z
    .strictObject({
      releases: z
        .int()
        .min(2)
        .default(5)
        .describe('releases whose images are kept; live, warm and pinned ones always are'),
      bytes: bytes.prefault('20GB').describe('space that images of kept releases may take'),
    })
    .prefault({}),
  shadow: shadowSchema
    .optional()
    .describe('copies of requests for a release that has none yet; left out: the edge has nothing of it'),
  alerts: alertsSchema.optional(),
  monitoring: monitoringSchema.optional(),
  synthetic: syntheticSchema.optional(),
  models: modelsSchema.optional(),
  backups: backupsSchema.prefault({}),
  certificates: certificatesSchema.optional(),
  checks: checksSchema.optional(),
  people: peopleSchema.prefault({}),
  agent: z
    .strictObject({
      operators: z.string().default('appliance').describe('group that may use the operator socket'),
      viewers: z.string().default('appliance-view').describe('group that may use the read-only socket'),
    })
    .prefault({}),
});

/** The effective configuration: every default filled in, durations in milliseconds, sizes in bytes. */
export type Config = z.output<typeof configSchema>;
type ServiceConfig = Config['services'][string];
export type ProbeConfig = NonNullable<ServiceConfig['probe']>;
