import { dirname, join } from 'node:path';
import { z } from 'zod';
import type { Config } from '../../config/schema.ts';
import type { ComposeCall } from '../../host/compose.ts';
import { hashFiles, withEnvironmentFile } from './checkout.ts';
import { checkComposeFiles } from './compose-files.ts';
import {
  type ComposeModel,
  composeModelSchema,
  type FileObject,
  hasHealthcheck,
  replicasOf,
  unescapeDollar,
} from './model.ts';
import { type ProjectService, probeOf, type ResolvedProject, roleOf } from './project.ts';
import { checkDeclared, crossProblems, invalid, notes } from './project-checks.ts';
import { unsupported } from './unsupported.ts';

export interface ResolveRequest {
  readonly config: Config;
  /** Directory with the files of the release's commit. */
  readonly checkout: string;
  /** Tag of the release; Compose files may use it as `${APPLIANCE_RELEASE}`. */
  readonly tag: string;
  /** Content of the environment file, which stands in for `.env` beside the first Compose file; undefined: what is there. */
  readonly envText?: string | undefined;
  /** `composeHands.resolve` */
  readonly composeResolve: (call: ComposeCall) => Promise<unknown>;
  /** Values that no error may show. */
  readonly secrets?: readonly string[];
  readonly signal?: AbortSignal;
}

/**
 * Resolves the Compose project of a checkout through Compose itself and says what each service is.
 * @throws ApplianceError `compose_invalid` when Compose refuses the files, when services and appliance.yaml do not match,
 *   or when a service needs something that cannot be had twice
 */
export async function resolveProject(request: ResolveRequest): Promise<ResolvedProject> {
  const { config, checkout } = request;
  await checkComposeFiles(checkout, config.source.compose, request.tag);
  const directory = join(checkout, dirname(config.source.compose[0] ?? 'compose.yaml'));
  return withEnvironmentFile(directory, request.envText, () => resolveIn(directory, request));
}

async function resolveIn(directory: string, request: ResolveRequest): Promise<ResolvedProject> {
  const { config, checkout } = request;
  const call: ComposeCall = {
    projectName: config.name,
    directory,
    files: config.source.compose.map((file) => join(checkout, file)),
    profiles: config.source.profiles,
    variables: { APPLIANCE_RELEASE: request.tag },
    ...(request.secrets === undefined ? {} : { secrets: request.secrets }),
    ...(request.signal === undefined ? {} : { signal: request.signal }),
  };
  const model = parseModel(await request.composeResolve(call));
  checkDeclared(config, model);
  const problems = Object.entries(model.services).flatMap(([name, service]) =>
    unsupported(name, service, roleOf(config, name)),
  );
  problems.push(...crossProblems(config, model));
  const files = await hashFiles(config, checkout, directory, model, problems);
  if (problems.length > 0) throw invalid(problems);
  return {
    model,
    services: describe(config, model),
    routes: config.routes,
    perColour: config.volumes.perColour,
    schema: model['x-appliance']?.schema ?? null,
    files,
    notes: notes(config, model, checkout),
    inline: await inlineValues(model, call, request.composeResolve),
  };
}

function parseModel(raw: unknown): ComposeModel {
  const parsed = composeModelSchema.safeParse(raw);
  if (parsed.success) return parsed.data;
  throw invalid(
    parsed.error.issues.map(({ path, message }) => `${path.join('.') || 'the Compose project'}: ${message}`),
  );
}

function describe(config: Config, model: ComposeModel): ProjectService[] {
  const builders = new Map<string, string>();
  for (const [name, { image, build }] of Object.entries(model.services)) {
    if (build && image !== undefined && !builders.has(image)) builders.set(image, name);
  }
  return Object.entries(model.services)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, service]) => {
      const role = roleOf(config, name);
      return {
        name,
        role,
        replicas: role === 'app' ? replicasOf(service) : 1,
        builtBy: service.build ? name : (builders.get(service.image ?? '') ?? null),
        imageRef: unescapeDollar(service.image ?? ''),
        healthcheck: hasHealthcheck(service),
        probe: role === 'app' ? probeOf(config, name) : (config.services[name]?.probe ?? null),
      };
    });
}

/** The values of secrets and configs that stand in variables or in the Compose file, as Compose itself resolves them. */
async function inlineValues(
  model: ComposeModel,
  call: ComposeCall,
  composeResolve: ResolveRequest['composeResolve'],
): Promise<ResolvedProject['inline']> {
  const objects = [...Object.values(model.secrets ?? {}), ...Object.values(model.configs ?? {})];
  const names = [...new Set(objects.flatMap(({ environment }) => environment ?? []))].sort();
  let values: Record<string, string> = {};
  if (names.length > 0) {
    // An extension field is interpolated like everything else, so the value is exactly what Compose would use.
    const overlay = { 'x-appliance-values': Object.fromEntries(names.map((name) => [name, `\${${name}-}`])) };
    const answer = z
      .looseObject({ 'x-appliance-values': z.record(z.string(), z.string()) })
      .parse(await composeResolve({ ...call, overlay }));
    values = answer['x-appliance-values'];
  }
  const of = (objects: Record<string, FileObject> | undefined) =>
    Object.fromEntries(
      Object.entries(objects ?? {}).flatMap(([name, { environment, content }]) => {
        const text = content ?? (environment === undefined ? undefined : values[environment]);
        return text === undefined ? [] : [[name, unescapeDollar(text)]];
      }),
    );
  return { secrets: of(model.secrets), configs: of(model.configs) };
}
