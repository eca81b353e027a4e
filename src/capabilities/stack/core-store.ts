import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import type { Config } from '../../config/schema.ts';
import type { Engine } from '../../host/docker.ts';
import { ensureDirectory, readJson, writeFileAtomic } from '../../host/files.ts';
import { ApplianceError } from '../../lib/errors.ts';
import type { Paths } from '../../lib/paths.ts';
import { defineStep } from '../../operations/step.ts';
import { colourProject, type PlannedProject } from './colour-model.ts';
import { coreModel } from './core-model.ts';
import { freezeProject } from './freeze.ts';
import { modelText } from './model.ts';
import { type MonitoringDirectories, monitoringServices } from './monitoring-services.ts';
import { type Project, projectSchema, servicesOf } from './project.ts';
import type { StackRelease } from './steps/deps.ts';
import { chooseSubnets, parseRoutes, type Subnets } from './subnets.ts';

const definitionSchema = z.object({
  /** The release that the core services come from; null when there is only the edge. */
  release: z.string().nullable(),
  project: projectSchema.nullable(),
  /** Core service → image id, `edge` included. Pinned: a rebuilt image does not replace a running database. */
  imageIds: z.record(z.string(), z.string()),
});
type Definition = z.output<typeof definitionSchema>;

const subnetsSchema = z.object({ blue: z.string(), green: z.string() });

export interface CoreStoreDeps {
  readonly config: Config;
  readonly paths: Paths;
  readonly engine: Pick<Engine, 'image' | 'networks'>;
  readonly release: (id: string) => Promise<StackRelease>;
  readonly releaseDirectory: (id: string) => string;
}

/**
 * What the long-lived project is. It comes from the first release and then stays as it is, whatever later releases say
 * about their databases, until somebody asks for the change (`appliance up --core`): replacing it is a downtime.
 */
export class CoreStore {
  readonly #deps: CoreStoreDeps;

  constructor(deps: CoreStoreDeps) {
    this.#deps = deps;
  }

  /** The core project as it should be. @throws ApplianceError `compose_failed` when the image of the edge is missing */
  async planned(): Promise<PlannedProject> {
    const definition = (await this.#definition()) ?? { release: null, project: null, imageIds: {} };
    return this.#model(definition);
  }

  /** The two networks: chosen once, then kept, because nothing is renumbered under running containers. */
  async subnets(): Promise<Subnets> {
    const path = join(this.#deps.paths.core, 'networks.json');
    const subnets = await this.peekSubnets();
    if (await readJson(path, subnetsSchema)) return subnets;
    await ensureDirectory(this.#deps.paths.core, 0o700);
    await writeFileAtomic(path, `${JSON.stringify(subnets)}\n`);
    return subnets;
  }

  /** The same without choosing for good: what would be taken now. @throws ApplianceError `subnet_exhausted` */
  async peekSubnets(): Promise<Subnets> {
    const chosen = await readJson(join(this.#deps.paths.core, 'networks.json'), subnetsSchema);
    if (chosen) return chosen;
    const { config, engine } = this.#deps;
    const own = new Set([colourProject(config.name, 'blue'), colourProject(config.name, 'green')]);
    const networks = await engine.networks();
    const mine = networks.filter(({ name }) => own.has(name));
    const taken = [
      ...networks
        .filter(({ name }) => !own.has(name))
        .flatMap(({ name, subnets }) => subnets.map((range) => ({ range, by: `network ${name}` }))),
      ...parseRoutes(await readFile('/proc/net/route', 'utf8')).filter(
        ({ range }) => !mine.some((network) => network.subnets.includes(range)),
      ),
    ];
    return chooseSubnets(config.network.pool, taken);
  }

  /** Names of the services that the core consists of; none before it was taken over. */
  async services(): Promise<string[]> {
    const definition = await this.#definition();
    if (!definition) return [];
    return ['edge', ...(definition.project ? servicesOf(definition.project, 'core').map(({ name }) => name) : [])];
  }

  /** Core services that a project describes otherwise than they were taken over. @returns their names */
  async differences(wanted: Project): Promise<string[]> {
    const definition = await this.#definition();
    if (!definition?.project) return [];
    const describe = (project: Project, name: string): string => {
      const { build: _build, env_file: _file, ...service } = project.model.services[name] ?? {};
      return modelText({ ...service, volumes: service.volumes?.map(({ target, type }) => [type, target]) });
    };
    const names = new Set(
      [...servicesOf(definition.project, 'core'), ...servicesOf(wanted, 'core')].map(({ name }) => name),
    );
    const { project } = definition;
    return [...names].filter((name) => describe(project, name) !== describe(wanted, name)).sort();
  }

  /**
   * Takes the core services over from a release, with copies of all that they mount, so that the release may be pruned.
   * @param replace also when there is a core already
   * @returns whether something was taken over
   */
  async adopt(releaseId: string | null, replace: boolean): Promise<boolean> {
    const current = await this.#definition();
    if (current && !replace && (current.project !== null || releaseId === null)) return this.#adoptMonitoring(current);
    const imageIds: Record<string, string> = { edge: await this.#edgeImage(), ...(await this.#monitoringImages()) };
    let project: Project | null = null;
    if (releaseId !== null) {
      const release = await this.#deps.release(releaseId);
      for (const { name } of servicesOf(release.project, 'core')) {
        const id = release.imageIds[name];
        if (id !== undefined) imageIds[name] = id;
      }
      project = await freezeProject({
        config: this.#deps.config,
        project: { ...release.project, inline: { secrets: {}, configs: {} } },
        checkout: this.#deps.releaseDirectory(releaseId),
        directory: join(this.#deps.paths.core, 'frozen'),
        persistentDirectory: join(this.#deps.paths.lib, 'persistent'),
        roles: ['core'],
      });
    }
    if (current && !replace) {
      for (const name of ['edge', ...Object.keys(monitoringServices)]) {
        const pinned = current.imageIds[name];
        if (pinned !== undefined) imageIds[name] = pinned;
      }
    }
    await this.#write({ release: releaseId, project, imageIds });
    return true;
  }

  /** Pins images of monitoring that the core does not have yet: what is missing is added without replacing anything. */
  async #adoptMonitoring(current: Definition): Promise<boolean> {
    const missing = Object.entries(await this.#monitoringImages()).filter(([name]) => !(name in current.imageIds));
    if (missing.length === 0) return false;
    await this.#write({ ...current, imageIds: { ...current.imageIds, ...Object.fromEntries(missing) } });
    return true;
  }

  async #write(definition: Definition): Promise<void> {
    await ensureDirectory(this.#deps.paths.core, 0o700);
    await writeFileAtomic(this.#path(), `${JSON.stringify(definition, null, 2)}\n`, 0o600);
  }

  /** The step that takes core services over. No undo: until the core is started again, nothing has changed. */
  adoptStep() {
    return defineStep({
      action: 'adopt-core',
      args: z.object({ release: z.string().nullable(), replace: z.boolean() }),
      apply: async ({ release, replace }) =>
        (await this.adopt(release, replace))
          ? 'the core services were taken over'
          : 'the core services stay as they are',
    });
  }

  async #model(definition: Definition): Promise<PlannedProject> {
    const { config, paths } = this.#deps;
    const edge = definition.imageIds.edge ?? (await this.#edgeImage());
    await ensureDirectory(paths.edge, 0o755);
    await ensureDirectory(join(paths.log, 'edge'), 0o755);
    const { monitoring } = config;
    const directories = directoriesBelow(paths.monitoring);
    if (monitoring) for (const path of Object.values(directories)) await ensureDirectory(path, 0o755);
    return coreModel({
      config,
      project: definition.project,
      imageIds: { ...definition.imageIds, edge },
      subnets: await this.subnets(),
      edgeDirectory: paths.edge,
      edgeLogDirectory: join(paths.log, 'edge'),
      ...(monitoring ? { monitoring: { monitoring, directories } } : {}),
    });
  }

  /** Those of its images that are on this host. One that is missing leaves the rest of the core as it is. */
  async #monitoringImages(): Promise<Record<string, string>> {
    const { config, engine } = this.#deps;
    const found: Record<string, string> = {};
    for (const [name, key] of Object.entries(monitoringServices)) {
      const image = config.monitoring && (await engine.image(config.monitoring[key].image));
      if (image) found[name] = image.id;
    }
    return found;
  }

  async #edgeImage(): Promise<string> {
    const { config, engine } = this.#deps;
    const image = await engine.image(config.edge.image);
    if (image) return image.id;
    throw new ApplianceError('compose_failed', `the image of the edge, ${config.edge.image}, is not on this host`, {
      left: 'nothing was touched',
      hint: 'build it from a clone of the appliance: sudo ./install.sh',
    });
  }

  #path(): string {
    return join(this.#deps.paths.core, 'definition.json');
  }

  #definition(): Promise<Definition | undefined> {
    return readJson(this.#path(), definitionSchema);
  }
}

/** Where the containers of monitoring find what they read. */
function directoriesBelow(monitoring: string): MonitoringDirectories {
  return {
    prometheus: join(monitoring, 'prometheus'),
    alertmanager: join(monitoring, 'alertmanager'),
    textfile: join(monitoring, 'textfile'),
  };
}
