import type { Colour } from '../../lib/colour.ts';
import { ApplianceError } from '../../lib/errors.ts';
import { proofPath } from '../../lib/routes.ts';
import type { Topology } from '../../lib/topology.ts';
import { hostAddress, plan } from './addresses.ts';
import { type ComposeModel, modelText, type Service } from './model.ts';
import { imageName, type Project, type ProjectService, servicesOf } from './project.ts';
import { type StartStage, startOrder } from './start-order.ts';
import {
  aliasesOf,
  imageIdOf,
  labelKeys,
  modelOf,
  pinService,
  plannedVolumes,
  usedFiles,
  type VolumePlan,
} from './transform.ts';

/** What a release is when it occupies a colour. */
export interface ColourRequest {
  /** Name of the appliance. */
  readonly name: string;
  readonly colour: Colour;
  readonly tag: string;
  readonly releaseId: string;
  /** The /24 of the colour's network. */
  readonly subnet: string;
  /** Frozen: its paths point into the release (freezeProject). */
  readonly project: Project;
  /** Service → image id (`sha256:…`). */
  readonly imageIds: Readonly<Record<string, string>>;
}

export interface PlannedProject {
  /** Compose project: `<name>-blue`, `<name>-core`. */
  readonly projectName: string;
  readonly model: ComposeModel;
  /** The model as it is written to disk: the same request always gives the same text. */
  readonly text: string;
  /** Volumes to make before it starts. */
  readonly volumes: readonly VolumePlan[];
}

/** The project of a colour, and in which stages it is started. */
export interface PlannedColour extends PlannedProject {
  readonly stages: readonly StartStage[];
}

export function colourProject(name: string, colour: Colour): string {
  return `${name}-${colour}`;
}

interface Instance {
  readonly service: ProjectService;
  /** `backend`, or `backend-2` when there are several. */
  readonly name: string;
  readonly address: string;
}

/** Names of the containers of an app service: its own, or `backend-1`, `backend-2` when there are several. */
export function containerNames({ name, replicas }: Pick<ProjectService, 'name' | 'replicas'>): string[] {
  return replicas === 1 ? [name] : Array.from({ length: replicas }, (_, index) => `${name}-${index + 1}`);
}

/** App containers with their fixed addresses, in the order of their names. */
function instances({ project, subnet }: Pick<ColourRequest, 'project' | 'subnet'>): Instance[] {
  let host: number = plan.firstApp;
  return servicesOf(project, 'app').flatMap((service) =>
    containerNames(service).map((name) => {
      if (host > plan.lastApp) throw new ApplianceError('compose_invalid', 'a colour has room for 118 app containers');
      const address = hostAddress(subnet, host);
      host += 1;
      return { service, name, address };
    }),
  );
}

/** Where the app services of a release listen in a colour and which requests they get: what the edge forwards to. */
export function topologyOf(request: Pick<ColourRequest, 'project' | 'subnet' | 'colour' | 'tag'>): Topology {
  const addresses: Record<string, string[]> = {};
  for (const { service, address } of instances(request)) {
    addresses[service.name] ??= [];
    addresses[service.name]?.push(address);
  }
  const { routes } = request.project;
  return {
    colour: request.colour,
    release: request.tag,
    addresses,
    ...(routes && { routes, proofPath: proofPath(routes, servicesOf(request.project, 'app')) }),
  };
}

/**
 * The Compose project of one colour (DESIGN §3): app services at fixed addresses and their jobs, with everything that
 * could change under a release pinned. A pure function of the request.
 */
export function colourModel(request: ColourRequest): PlannedColour {
  const all = instances(request);
  const names = new Map<string, string[]>();
  for (const { service, name } of all) names.set(service.name, [...(names.get(service.name) ?? []), name]);
  for (const { name } of servicesOf(request.project, 'job')) names.set(name, [name]);

  const services: Record<string, Service> = {};
  for (const { service, name, address } of all) {
    const aliases = [...(name === service.name ? [] : [service.name]), ...aliasesOf(modelOf(request.project, service))];
    services[name] = {
      ...pinned(request, service, names),
      networks: { colour: { ipv4_address: address, ...(aliases.length > 0 ? { aliases } : {}) } },
    };
  }
  for (const job of servicesOf(request.project, 'job')) services[job.name] = oneShot(request, job, names);
  const order = startOrder(services);
  return { ...finish(request, order.services), stages: order.stages };
}

/** The migration of a release, alone in the project of its colour: `up` never starts it (`runOneShot` does). */
export function migrateModel(request: ColourRequest): (PlannedProject & { readonly service: string }) | undefined {
  const [service] = servicesOf(request.project, 'migrate');
  if (!service) return undefined;
  return { ...finish(request, { [service.name]: oneShot(request, service, new Map()) }), service: service.name };
}

function oneShot(request: ColourRequest, service: ProjectService, names: ReadonlyMap<string, string[]>): Service {
  const model = modelOf(request.project, service);
  const { restart: _restart, ...container } = pinned(request, service, names);
  const aliases = aliasesOf(model);
  return {
    ...container,
    restart: model.restart?.startsWith('on-failure') ? model.restart : 'no',
    ...(model.network_mode === 'none' ? {} : { networks: { colour: aliases.length > 0 ? { aliases } : {} } }),
  };
}

function pinned(request: ColourRequest, service: ProjectService, names: ReadonlyMap<string, string[]>): Service {
  const model = modelOf(request.project, service);
  const container = pinService(model, {
    imageId: imageIdOf(request.imageIds, service.name),
    environment: { APPLIANCE_RELEASE: request.tag, APPLIANCE_COLOUR: request.colour },
    labels: {
      [labelKeys.name]: request.name,
      [labelKeys.colour]: request.colour,
      [labelKeys.release]: request.tag,
      [labelKeys.releaseId]: request.releaseId,
      [labelKeys.service]: service.name,
      [labelKeys.role]: service.role,
      [labelKeys.image]: imageName(request.name, request.releaseId, service),
    },
  });
  const dependencies = Object.entries(model.depends_on ?? {}).flatMap(([target, dependency]) =>
    // Core services run already, the migration is over, ignored ones do not exist.
    (names.get(target) ?? []).map((name) => [name, dependency] as const),
  );
  return dependencies.length === 0 ? container : { ...container, depends_on: Object.fromEntries(dependencies) };
}

function finish(request: ColourRequest, services: Readonly<Record<string, Service>>): PlannedProject {
  const { name, colour, project } = request;
  const projectName = colourProject(name, colour);
  const { volumes, plans } = plannedVolumes(name, project.model, Object.values(services), (key) =>
    project.perColour.includes(key) ? `${projectName}_${key}` : undefined,
  );
  const model: ComposeModel = {
    name: projectName,
    services,
    ...usedFiles(project.model, Object.values(services)),
    volumes,
    networks: { colour: { name: projectName, external: true } },
  };
  return { projectName, model, text: modelText(model), volumes: plans };
}
