import { z } from 'zod';

/**
 * The part of a resolved Compose model (`docker compose config --format json`) that we look at. Every other key is
 * kept as it is: Compose knows what it means. In all texts of a model `$` is doubled, as Compose prints it.
 */
const count = z.union([z.number(), z.string()]).transform(Number);

const fileReferenceSchema = z.looseObject({
  source: z.string(),
  target: z.string().optional(),
  uid: z.string().optional(),
  gid: z.string().optional(),
  /** A number in Compose 2.26, octal text in later ones. */
  mode: z.union([z.number(), z.string().transform((text) => Number.parseInt(text, 8))]).optional(),
});
export type FileReference = z.output<typeof fileReferenceSchema>;

const mountSchema = z.looseObject({
  type: z.string(),
  source: z.string().optional(),
  target: z.string(),
  read_only: z.boolean().optional(),
});
export type Mount = z.output<typeof mountSchema>;

const dependencySchema = z.looseObject({ condition: z.string(), required: z.boolean().optional() });

const portSchema = z.looseObject({
  target: z.union([z.number(), z.string()]),
  published: z.union([z.number(), z.string()]).optional(),
  host_ip: z.string().optional(),
});

const attachmentSchema = z.looseObject({ aliases: z.array(z.string()).nullish() }).nullable();

const serviceSchema = z.looseObject({
  image: z.string().optional(),
  build: z.looseObject({ context: z.string().optional() }).optional(),
  command: z.union([z.string(), z.array(z.string())]).nullish(),
  environment: z.record(z.string(), z.string().nullable()).optional(),
  depends_on: z.record(z.string(), dependencySchema).optional(),
  deploy: z.looseObject({ replicas: count.optional() }).optional(),
  scale: count.optional(),
  healthcheck: z
    .looseObject({ disable: z.boolean().optional(), test: z.union([z.string(), z.array(z.string())]).nullish() })
    .optional(),
  labels: z.record(z.string(), z.string()).optional(),
  links: z.array(z.string()).nullish(),
  external_links: z.array(z.string()).nullish(),
  volumes_from: z.array(z.string()).nullish(),
  network_mode: z.string().optional(),
  ipc: z.string().optional(),
  pid: z.string().optional(),
  networks: z.record(z.string(), attachmentSchema).nullish(),
  ports: z.array(portSchema).nullish(),
  profiles: z.array(z.string()).nullish(),
  restart: z.string().optional(),
  secrets: z.array(fileReferenceSchema).nullish(),
  configs: z.array(fileReferenceSchema).nullish(),
  volumes: z.array(mountSchema).nullish(),
});
export type Service = z.output<typeof serviceSchema>;

/** A top-level secret or config: from a file, from a variable, or (configs) written out in the Compose file. */
const fileObjectSchema = z.looseObject({
  file: z.string().optional(),
  environment: z.string().optional(),
  content: z.string().optional(),
  external: z.boolean().optional(),
});
export type FileObject = z.output<typeof fileObjectSchema>;

const volumeSchema = z
  .looseObject({
    name: z.string().optional(),
    external: z.boolean().optional(),
    driver: z.string().optional(),
    driver_opts: z.record(z.string(), z.string()).optional(),
    labels: z.record(z.string(), z.string()).optional(),
  })
  .nullable();
export type Volume = NonNullable<z.output<typeof volumeSchema>>;

const schemaDeclaration = z
  .object({ version: z.int().min(0), readableFrom: z.int().min(0).optional() })
  .transform(({ version, readableFrom }) => ({ version, readableFrom: readableFrom ?? version }));

export const composeModelSchema = z.looseObject({
  services: z.record(z.string(), serviceSchema),
  secrets: z.record(z.string(), fileObjectSchema).optional(),
  configs: z.record(z.string(), fileObjectSchema).optional(),
  volumes: z.record(z.string(), volumeSchema).optional(),
  'x-appliance': z.looseObject({ schema: schemaDeclaration.optional() }).optional(),
});
export type ComposeModel = z.output<typeof composeModelSchema>;

/** Text as a program sees it, from text as Compose prints it. */
export function unescapeDollar(text: string): string {
  return text.replaceAll('$$', '$');
}

/** Text for a Compose model, in which `$` would start a variable. */
export function escapeDollar(text: string): string {
  return text.replaceAll('$', '$$$$');
}

/** How many containers a service has: `scale` wins over `deploy.replicas`, as in Compose. */
export function replicasOf(service: Service): number {
  return service.scale ?? service.deploy?.replicas ?? 1;
}

/** What the engine calls a network of a model. */
export function networkName(model: ComposeModel, key: string): string {
  const networks = model.networks;
  if (typeof networks !== 'object' || networks === null) return key;
  const network: unknown = Object.entries(networks).find(([name]) => name === key)?.[1];
  if (typeof network === 'object' && network !== null && 'name' in network && typeof network.name === 'string')
    return network.name;
  return key;
}

/** Whether the Compose file gives the service a healthcheck of its own. */
export function hasHealthcheck(service: Service): boolean {
  const check = service.healthcheck;
  if (!check || check.disable === true) return false;
  const test = Array.isArray(check.test) ? check.test[0] : check.test;
  return test !== 'NONE';
}

/** Text with sorted keys and a final newline: equal models give equal text, which is compared and hashed. */
export function modelText(model: unknown): string {
  return `${JSON.stringify(sorted(model), null, 2)}\n`;
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
      .map(([key, inner]) => [key, sorted(inner)]),
  );
}
