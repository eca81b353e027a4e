import { ApplianceError } from '../../lib/errors.ts';
import { type ComposeModel, escapeDollar, type Service, type Volume } from './model.ts';
import type { Project, ProjectService } from './project.ts';

/** Who a container belongs to: on every container, network and volume that we make. */
export const labelKeys = {
  name: 'appliance.name',
  colour: 'appliance.colour',
  release: 'appliance.release',
  releaseId: 'appliance.releaseId',
  service: 'appliance.service',
  role: 'appliance.role',
  /** Name of the image for people; the container itself is pinned to an id. */
  image: 'appliance.image',
  volume: 'appliance.volume',
} as const;

/** Keys that say how Compose itself should handle a service, which we have decided by now. */
const decided = [
  'build',
  'container_name',
  'depends_on',
  'develop',
  'external_links',
  'links',
  'networks',
  'ports',
  'profiles',
  'pull_policy',
  'scale',
  'volumes_from',
] as const;

/** Every log is bounded unless the Compose file says how. */
const boundedLog = { driver: 'json-file', options: { 'max-size': '10m', 'max-file': '3' } };

export interface Identity {
  readonly labels: Readonly<Record<string, string>>;
  readonly environment?: Readonly<Record<string, string>>;
  /** Image id, `sha256:…`. */
  readonly imageId: string;
}

/**
 * A service as a container of ours runs it: pinned image, our labels, nothing that ties it to the host. Networks and
 * dependencies are left to the caller.
 */
export function pinService(service: Service, identity: Identity): Service {
  const { deploy, environment, healthcheck, labels, restart, logging, network_mode: mode, ...rest } = service;
  const kept: Service = { ...rest };
  for (const key of decided) delete kept[key];
  const { replicas: _replicas, ...resources } = deploy ?? {};
  // A healthcheck with start_interval is refused by engines before 25; we probe ourselves in that time.
  const { start_interval: _startInterval, ...check } = healthcheck ?? {};
  return {
    ...kept,
    ...(deploy ? { deploy: resources } : {}),
    ...(healthcheck ? { healthcheck: check } : {}),
    ...(mode === 'none' ? { network_mode: mode } : {}),
    image: identity.imageId,
    pull_policy: 'never',
    environment: { ...withoutUnset(environment), ...escaped(identity.environment ?? {}) },
    labels: { ...labels, ...escaped(identity.labels) },
    logging: logging ?? boundedLog,
    restart: restartPolicy(restart, deploy?.restart_policy !== undefined),
  };
}

/** Without a policy of its own, a service comes back with the engine; `always` would also bring back a stopped colour. */
function restartPolicy(declared: string | undefined, inDeploy: boolean): string | undefined {
  if (declared === 'always') return 'unless-stopped';
  return declared ?? (inDeploy ? undefined : 'unless-stopped');
}

/** A variable without a value would be taken from the environment of whoever runs Compose. */
function withoutUnset(environment: Service['environment'] = {}): Record<string, string> {
  return Object.fromEntries(
    Object.entries(environment).flatMap(([key, value]) => (value === null ? [] : [[key, value]])),
  );
}

function escaped(texts: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(texts).map(([key, value]) => [key, escapeDollar(value)]));
}

/** Every name that the user's networks give a service, beside its own. */
export function aliasesOf(service: Service): string[] {
  return [...new Set(Object.values(service.networks ?? {}).flatMap((network) => network?.aliases ?? []))].sort();
}

/** @throws ApplianceError `internal`: callers build or pull before they plan containers */
export function imageIdOf(imageIds: Readonly<Record<string, string>>, service: string): string {
  const id = imageIds[service];
  if (id !== undefined) return id;
  throw new ApplianceError('internal', `there is no image of ${service} in the release`);
}

/** The service in the model. A project names no service that its model does not have. */
export function modelOf(project: Project, { name }: Pick<ProjectService, 'name'>): Service {
  const service = project.model.services[name];
  if (service) return service;
  throw new ApplianceError('state_corrupt', `the release names a service ${name} that its model does not have`);
}

/** The secrets and configs that the services name, and no others. */
export function usedFiles(model: ComposeModel, services: Iterable<Service>): Pick<ComposeModel, 'secrets' | 'configs'> {
  const used = { secrets: new Set<string>(), configs: new Set<string>() };
  for (const service of services) {
    for (const kind of ['secrets', 'configs'] as const)
      for (const { source } of service[kind] ?? []) used[kind].add(source);
  }
  const pick = (kind: 'secrets' | 'configs') =>
    Object.fromEntries(Object.entries(model[kind] ?? {}).filter(([name]) => used[kind].has(name)));
  return { secrets: pick('secrets'), configs: pick('configs') };
}

/** A named volume that must exist before containers start. */
export interface VolumePlan {
  readonly name: string;
  /** False when the user made it: then it is only looked for. */
  readonly ours: boolean;
  readonly driver?: string | undefined;
  readonly options?: Readonly<Record<string, string>> | undefined;
  readonly labels: Readonly<Record<string, string>>;
}

/**
 * Named volumes of the given services. All are external to Compose, so that no `down --volumes` can remove data.
 * @param nameFor gives a volume a name other than the one it has in the Compose project
 */
export function plannedVolumes(
  applianceName: string,
  model: ComposeModel,
  services: Iterable<Service>,
  nameFor: (key: string) => string | undefined = () => undefined,
): { volumes: Record<string, Volume>; plans: VolumePlan[] } {
  const used = new Set<string>();
  for (const service of services) {
    for (const { type, source } of service.volumes ?? [])
      if (type === 'volume' && source !== undefined) used.add(source);
  }
  const volumes: Record<string, Volume> = {};
  const plans: VolumePlan[] = [];
  for (const key of [...used].sort()) {
    const declared = model.volumes?.[key] ?? {};
    const name = nameFor(key) ?? declared.name ?? `${applianceName}_${key}`;
    volumes[key] = { name, external: true };
    plans.push({
      name,
      ours: declared.external !== true,
      driver: declared.driver,
      options: declared.driver_opts,
      labels: { ...declared.labels, [labelKeys.name]: applianceName, [labelKeys.volume]: key },
    });
  }
  return { volumes, plans };
}
