import { type ReleaseState, releaseState } from '../capabilities/releases/state.ts';
import type { ReleaseStore } from '../capabilities/releases/store.ts';
import type { CoreStore } from '../capabilities/stack/core-store.ts';
import { labelKeys, type StackRelease, servicesOf, topologyOf } from '../capabilities/stack/index.ts';
import type { Config } from '../config/schema.ts';
import type { ContainerSummary, Engine } from '../host/docker.ts';
import type { Clock } from '../lib/clock.ts';
import { type Colour, colours, type Weights } from '../lib/colour.ts';
import { ApplianceError } from '../lib/errors.ts';
import { didYouMean } from '../lib/near.ts';
import type { Topology } from '../lib/topology.ts';
import type { ColourFacts, Observed, ReleaseFacts } from '../recipes/facts.ts';

export interface ObserverDeps {
  readonly config: Config;
  readonly clock: Clock;
  readonly engine: Engine;
  readonly store: ReleaseStore;
  readonly core: CoreStore;
  readonly traffic: { weights(): Promise<Weights | null> };
  readonly release: (id: string) => Promise<StackRelease>;
}

/** What became of a release, and the colour that it runs on. */
export interface Standing {
  readonly state: ReleaseState;
  readonly colour: Colour | null;
}

/** Looks at the machine for the planners. */
export class Observer {
  readonly #deps: ObserverDeps;

  constructor(deps: ObserverDeps) {
    this.#deps = deps;
  }

  async observe(): Promise<Observed> {
    const { store, traffic } = this.#deps;
    const live = store.live();
    const containers = await this.#containers();
    const [blue, green] = await Promise.all(colours.map((colour) => this.#colour(colour, containers)));
    if (!blue || !green) throw new RangeError('there are two colours');
    return {
      at: this.#deps.clock.now(),
      live: live && { ...live, tag: store.get(live.release).tag },
      colours: { blue, green },
      weights: await traffic.weights(),
    };
  }

  async releaseFacts(id: string): Promise<ReleaseFacts> {
    const release = await this.#deps.release(id);
    return {
      id,
      tag: release.tag,
      schema: release.project.schema,
      migrates: servicesOf(release.project, 'migrate').length > 0,
      imagesPresent: await this.imagesPresent(id),
    };
  }

  /** Where a release listens, or would listen, on either colour. */
  async topologies(id: string): Promise<Readonly<Record<Colour, Topology>>> {
    const { project, tag } = await this.#deps.release(id);
    const subnets = await this.#deps.core.subnets();
    const on = (colour: Colour) => topologyOf({ project, tag, colour, subnet: subnets[colour] });
    return { blue: on('blue'), green: on('green') };
  }

  /**
   * Services that can be restarted, in the order in which it is done: the live colour and the core.
   * @param wanted one service of the Compose file; all app services when undefined
   * @throws ApplianceError `service_not_found` with near matches
   */
  async restartable(wanted: string | undefined): Promise<string[]> {
    const containers = (await this.#containers()).filter(({ state }) => state === 'running');
    const known = new Set(containers.map(({ labels }) => labels[labelKeys.service] ?? ''));
    if (wanted !== undefined) {
      if (known.has(wanted)) return [wanted];
      throw new ApplianceError('service_not_found', `there is no running service ${wanted}`, {
        left: 'nothing was touched',
        hint:
          didYouMean(wanted, known) ??
          (known.size > 0 ? `there are ${[...known].sort().join(', ')}` : 'nothing is running'),
      });
    }
    const apps = containers.filter(({ labels }) => labels[labelKeys.role] === 'app');
    return [...new Set(apps.map(({ labels }) => labels[labelKeys.service] ?? ''))].sort();
  }

  async imagesPresent(id: string): Promise<boolean> {
    return (await this.#complete([id])).has(id);
  }

  async stateOf(id: string): Promise<ReleaseState> {
    return (await this.standings([id]))(id).state;
  }

  /** What releases are. The engine is asked for all of them once, however many they are. */
  async standings(ids: readonly string[]): Promise<(id: string) => Standing> {
    const [occupants, complete] = await Promise.all([this.occupants(), this.#complete(ids)]);
    const live = this.#deps.store.live()?.release ?? null;
    return (id) => ({
      state: releaseState(id, { live, running: occupants, imagesPresent: complete.has(id) }),
      colour: occupants.get(id) ?? null,
    });
  }

  /** Releases of which every image is here. Each image is looked at once, one after the other: years leave many. */
  async #complete(ids: readonly string[]): Promise<ReadonlySet<string>> {
    const present = new Map<string, boolean>();
    const complete = new Set<string>();
    for (const id of ids) {
      const sealed = await this.#deps.store.images(id);
      if (!sealed) continue;
      const images = Object.values(sealed).map((image) => image.id);
      for (const image of images) {
        if (!present.has(image)) present.set(image, (await this.#deps.engine.image(image)) !== undefined);
      }
      if (images.every((image) => present.get(image))) complete.add(id);
    }
    return complete;
  }

  /** Releases that containers run for right now, and the colour each stands on. */
  async occupants(): Promise<ReadonlyMap<string, Colour>> {
    const occupants = new Map<string, Colour>();
    for (const { state, labels } of await this.#containers()) {
      const colour = colours.find((known) => known === labels[labelKeys.colour]);
      const release = labels[labelKeys.releaseId];
      if (state === 'running' && colour && release !== undefined) occupants.set(release, colour);
    }
    return occupants;
  }

  #containers(): Promise<ContainerSummary[]> {
    return this.#deps.engine.containers([`${labelKeys.name}=${this.#deps.config.name}`]);
  }

  async #colour(colour: Colour, all: readonly ContainerSummary[]): Promise<ColourFacts> {
    const mine = all.filter(
      ({ labels }) => labels[labelKeys.colour] === colour && labels[labelKeys.role] !== 'migrate',
    );
    const releases = new Set(mine.map(({ labels }) => labels[labelKeys.releaseId] ?? ''));
    const [only] = releases;
    const release = releases.size === 1 && only ? only : null;
    if (release === null || !this.#deps.store.all().some(({ id }) => id === release)) {
      return { release: null, occupied: mine.length > 0, running: false, topology: null };
    }
    const { project } = await this.#deps.release(release);
    const wanted = servicesOf(project, 'app').reduce((sum, { replicas }) => sum + replicas, 0);
    const apps = mine.filter(({ labels }) => labels[labelKeys.role] === 'app');
    const sound = apps.filter(({ state, status }) => state === 'running' && !status.includes('(unhealthy)'));
    return {
      release,
      occupied: true,
      running: sound.length === wanted && apps.length === wanted,
      topology: (await this.topologies(release))[colour],
    };
  }
}
