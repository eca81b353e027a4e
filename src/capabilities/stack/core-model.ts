import type { Config } from '../../config/schema.ts';
import { colours } from '../../lib/colour.ts';
import { dynamicRange, hostAddress, isLoopback, plan } from './addresses.ts';
import { colourProject, type PlannedProject } from './colour-model.ts';
import { type ComposeModel, escapeDollar, modelText, type Service } from './model.ts';
import { type MonitoringRequest, monitoringModel } from './monitoring-services.ts';
import { type Project, servicesOf } from './project.ts';
import type { Subnets } from './subnets.ts';
import { aliasesOf, imageIdOf, labelKeys, modelOf, pinService, plannedVolumes, usedFiles } from './transform.ts';

export interface CoreRequest {
  readonly config: Pick<Config, 'name' | 'edge'>;
  /** Frozen for the core (its own copies: a release may be pruned); null before the first deploy: the edge alone. */
  readonly project: Project | null;
  /** Core service → image id; `edge` → image id of the edge. */
  readonly imageIds: Readonly<Record<string, string>>;
  readonly subnets: Subnets;
  /** Directory of the edge's configuration and weights, and directory of its logs, on the host. */
  readonly edgeDirectory: string;
  readonly edgeLogDirectory: string;
  /** What watches; left out where appliance.yaml has no section `monitoring`. */
  readonly monitoring?: Pick<MonitoringRequest, 'monitoring' | 'directories'>;
}

/** Ports that the edge listens on inside its container. */
const edgePorts = { http: 80, https: 443 } as const;

export function coreProject(name: string): string {
  return `${name}-core`;
}

/**
 * The long-lived project: the edge, the databases and caches, what watches them, and the networks of both colours. Core
 * services join both networks, so a name means the same in either. They publish ports on loopback only: what the world
 * may reach goes through the edge. A pure function of the request.
 */
export function coreModel(request: CoreRequest): PlannedProject {
  const { config, project, subnets } = request;
  const services: Record<string, Service> = {
    edge: edgeService(request),
    ...(request.monitoring
      ? monitoringModel({ name: config.name, imageIds: request.imageIds, ...request.monitoring })
      : {}),
  };
  const core = project
    ? servicesOf(project, 'core').map((service) => ({ service, source: modelOf(project, service) }))
    : [];
  const names = new Set(core.map(({ service }) => service.name));
  for (const { service, source } of core) {
    const dependencies = Object.entries(source.depends_on ?? {}).filter(([target]) => names.has(target));
    const ports = (source.ports ?? []).filter(({ host_ip: address }) => isLoopback(address));
    const aliases = aliasesOf(source);
    const attachment = aliases.length > 0 ? { aliases } : {};
    services[service.name] = {
      ...pinService(source, {
        imageId: imageIdOf(request.imageIds, service.name),
        labels: coreLabels(config.name, service.name, 'core', service.imageRef),
      }),
      ...(dependencies.length > 0 ? { depends_on: Object.fromEntries(dependencies) } : {}),
      ...(ports.length > 0 ? { ports } : {}),
      ...(source.network_mode === 'none' ? {} : { networks: { blue: attachment, green: attachment } }),
    };
  }
  const base: ComposeModel = project?.model ?? { services: {} };
  const { volumes, plans } = plannedVolumes(config.name, base, Object.values(services));
  const projectName = coreProject(config.name);
  const model: ComposeModel = {
    name: projectName,
    services,
    ...usedFiles(base, Object.values(services)),
    volumes,
    networks: Object.fromEntries(
      colours.map((colour) => [
        colour,
        {
          name: colourProject(config.name, colour),
          driver: 'bridge',
          ipam: {
            config: [
              {
                subnet: subnets[colour],
                ip_range: dynamicRange(subnets[colour]),
                gateway: hostAddress(subnets[colour], plan.gateway),
              },
            ],
          },
          labels: { [labelKeys.name]: config.name, [labelKeys.colour]: colour },
        },
      ]),
    ),
  };
  return { projectName, model, text: modelText(model), volumes: plans };
}

function coreLabels(name: string, service: string, role: string, image: string): Record<string, string> {
  return { [labelKeys.name]: name, [labelKeys.service]: service, [labelKeys.role]: role, [labelKeys.image]: image };
}

function edgeService({ config, imageIds, subnets, edgeDirectory, edgeLogDirectory }: CoreRequest): Service {
  const bind = (source: string, target: string) => ({
    type: 'bind',
    source: escapeDollar(source),
    target,
    bind: { create_host_path: false },
  });
  return {
    image: imageIdOf(imageIds, 'edge'),
    pull_policy: 'never',
    restart: 'unless-stopped',
    labels: coreLabels(config.name, 'edge', 'edge', config.edge.image),
    logging: { driver: 'json-file', options: { 'max-size': '10m', 'max-file': '3' } },
    ports: [published(config.edge.http, edgePorts.http), published(config.edge.https, edgePorts.https)],
    volumes: [bind(edgeDirectory, '/edge'), bind(edgeLogDirectory, '/edge/log')],
    networks: Object.fromEntries(
      colours.map((colour) => [colour, { ipv4_address: hostAddress(subnets[colour], plan.edge) }]),
    ),
  };
}

/** @param listen `ADDRESS:PORT` or `PORT` */
function published(listen: string, target: number) {
  const split = listen.lastIndexOf(':');
  const address = listen.slice(0, Math.max(split, 0)).replace(/^\[|\]$/g, '');
  return {
    mode: 'host',
    target,
    published: listen.slice(split + 1),
    protocol: 'tcp',
    ...(address === '' ? {} : { host_ip: address }),
  };
}
