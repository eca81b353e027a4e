import { createHash } from 'node:crypto';
import { z } from 'zod';
import { type Config, type ProbeConfig, probeSchema } from '../../config/schema.ts';
import { routeSchema } from '../../lib/routes.ts';
import { composeModelSchema } from './model.ts';

const roles = ['app', 'core', 'migrate', 'job', 'ignore'] as const;
export type Role = (typeof roles)[number];

const projectServiceSchema = z.object({
  name: z.string(),
  role: z.enum(roles),
  /** How many containers of it run in a colour; 1 for core services and one-shots. */
  replicas: z.int().min(0),
  /** Where its image comes from: the service whose `build` makes it, or null when it is pulled. */
  builtBy: z.string().nullable(),
  /** The image as the Compose file names it; empty when a build has no name of its own. */
  imageRef: z.string(),
  /** Whether the Compose file gives it a healthcheck. */
  healthcheck: z.boolean(),
  /** How to ask whether it is healthy; null when only the engine's own healthcheck can tell. */
  probe: probeSchema.nullable(),
});
export type ProjectService = z.output<typeof projectServiceSchema>;

/**
 * A Compose project as one release sees it: the resolved model, and what each service of it is. It holds secrets
 * (resolved environments): kept at mode 0600, never shown.
 */
export const projectSchema = z.object({
  model: composeModelSchema,
  /** In the order of their names. */
  services: z.array(projectServiceSchema),
  /** Which requests go to which service. Absent in a release that was made before releases held them. */
  routes: z.array(routeSchema).optional(),
  /** Named volumes that each colour has of its own. */
  perColour: z.array(z.string()),
  /** Version of the database schema that the release brings, and the oldest one that it can read. */
  schema: z.object({ version: z.int(), readableFrom: z.int() }).nullable(),
  /** SHA-256 of what Compose's own hash ignores (docker/compose#13045): mounted files, secrets, configs. */
  files: z.record(z.string(), z.string()),
  /** What was understood differently from plain Compose, for people. */
  notes: z.array(z.string()),
});
export type Project = z.output<typeof projectSchema>;

/** A project fresh from Compose, with the values of secrets and configs that come from variables or inline text. */
export interface ResolvedProject extends Project {
  /** Private. Gone once the project is frozen. */
  readonly inline: {
    readonly secrets: Readonly<Record<string, string>>;
    readonly configs: Readonly<Record<string, string>>;
  };
}

export function servicesOf(project: Pick<Project, 'services'>, ...wanted: readonly Role[]): ProjectService[] {
  return project.services.filter(({ role }) => wanted.includes(role));
}

/**
 * How to ask a service whether it is healthy: its declared probe, else a TCP connection to the port that the first
 * route names. Null when neither says anything.
 */
export function probeOf(config: Pick<Config, 'services' | 'routes'>, service: string): ProbeConfig | null {
  const declared = config.services[service]?.probe;
  if (declared) return declared;
  const routed = config.routes.find((route) => route.service === service);
  return routed ? { type: 'tcp', port: routed.port, path: '/', status: 200, releaseHeader: false } : null;
}

/** Our own name for the image of a service of a release: never moved, so that retention and rollback can rely on it. */
export function releaseImage(name: string, service: string, releaseId: string): string {
  const plain = service.toLowerCase().replaceAll(/[^a-z0-9]+/g, '-');
  // Two services whose names differ only in what an image name cannot hold must not share an image.
  const unique =
    plain === service ? plain : `${plain}-${createHash('sha256').update(service).digest('hex').slice(0, 8)}`;
  return `appliance.local/${name}/${unique}:${releaseId.replaceAll(/[^A-Za-z0-9_.-]/g, '_')}`;
}

/** What appliance.yaml says of a service. */
export function roleOf(config: Config, service: string): Role {
  return config.services[service]?.role ?? 'ignore';
}

/** What people call the image of a service: its name in the Compose file, else ours. */
export function imageName(name: string, releaseId: string, service: ProjectService): string {
  return service.imageRef || releaseImage(name, service.builtBy ?? service.name, releaseId);
}
