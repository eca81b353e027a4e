import type { RuleSet } from '../capabilities/alerts/rules.ts';
import {
  type MonitoringFiles,
  monitoringFiles,
  writeIfDifferent,
  writePrometheus,
} from '../capabilities/monitoring/files.ts';
import { prometheusConfig } from '../capabilities/monitoring/prometheus-config.ts';
import { appTargets } from '../capabilities/monitoring/targets.ts';
import type { Config } from '../config/schema.ts';
import type { ContainerDetail, Engine } from '../host/docker.ts';
import { Prometheus } from '../host/prometheus.ts';
import { type Colour, colours } from '../lib/colour.ts';
import { ApplianceError, asApplianceError } from '../lib/errors.ts';
import type { Paths } from '../lib/paths.ts';
import type { Topology } from '../lib/topology.ts';
import type { Finding } from '../lib/verdict.ts';

/** Milliseconds for the signal that makes Prometheus read its configuration. */
const signalTimeout = 5_000;
/** Milliseconds that Prometheus gets to say how it is. */
const patience = 3_000;

export interface MonitoringDeps {
  readonly config: Config;
  readonly paths: Paths;
  readonly engine: Pick<Engine, 'containers' | 'exec' | 'image'>;
  readonly live: () => { readonly release: string; readonly colour: Colour } | null;
  /** Where a release listens, or would listen. @throws when its files are gone */
  readonly topologies: (release: string) => Promise<Readonly<Record<Colour, Topology>>>;
  /** The rules that are to be in force. @throws when a policy cannot be read */
  readonly rules: () => Promise<RuleSet>;
}

/**
 * Keeps what Prometheus reads as it should be. Everything here is best effort: what fails is kept for `status`, and no
 * deploy, rollback or start of the stack fails with it.
 */
export class Monitoring {
  readonly #deps: MonitoringDeps;
  readonly files: MonitoringFiles;
  /** Of releases that were asked for; a release never moves. */
  readonly #known = new Map<string, Promise<Readonly<Record<Colour, Topology>>>>();
  /** Why configuration and rules, or the targets, are not as they should be. */
  readonly #problems = new Map<'configuration' | 'targets' | 'measurements', ApplianceError>();
  #stale = false;
  #unwatched: RuleSet['unwatched'] = [];

  constructor(deps: MonitoringDeps) {
    this.#deps = deps;
    this.files = monitoringFiles(deps.paths.monitoring);
  }

  get wanted(): boolean {
    return this.#deps.config.monitoring !== undefined;
  }

  /** Writes configuration and rules; a Prometheus that runs is told to read them when they changed. */
  async sync(): Promise<void> {
    if (!this.wanted) return;
    await this.#attempt('configuration', async () => {
      const { config } = this.#deps;
      const { files, unwatched } = await this.#deps.rules();
      this.#unwatched = unwatched;
      const texts = {
        config: prometheusConfig({ name: config.name, alertmanager: config.alerts?.alertmanager }),
        rules: files,
      };
      if (await writePrometheus(this.files, texts)) this.#stale = true;
      if (!this.#stale) return;
      await this.#reload();
      this.#stale = false;
    });
  }

  /**
   * Writes which app containers are to be read. Prometheus follows the file, so nothing is reloaded.
   * @param containers all of this appliance
   */
  async follow(containers: readonly ContainerDetail[]): Promise<void> {
    const { monitoring } = this.#deps.config;
    if (!monitoring) return;
    await this.#attempt('targets', async () => {
      const topologies = await this.#topologies(containers);
      await writeIfDifferent(this.files.targets, appTargets(monitoring.scrape, topologies));
    });
  }

  /** Says what cannot be measured although alerts need it. */
  measured([problem]: readonly ApplianceError[]): void {
    if (problem) this.#problems.set('measurements', problem);
    else this.#problems.delete('measurements');
  }

  /** What `status` says of it; nothing where appliance.yaml asks for none. */
  async findings(): Promise<Finding[]> {
    const { monitoring } = this.#deps.config;
    if (!monitoring) return [];
    const [problem] = this.#problems.values();
    return [
      problem ? problemFinding(problem) : await this.#prometheusFinding(monitoring.prometheus.listen),
      // Not in Debian's archive, and no registry is asked behind anybody's back.
      {
        id: 'grafana',
        verdict: 'pass',
        observed: 'absent: no image of it belongs to this stack; all else works without it',
      },
    ];
  }

  async #prometheusFinding(listen: string): Promise<Finding> {
    const id = 'monitoring';
    try {
      const { taken, since } = await new Prometheus(`http://${listen}`, patience).configuration();
      if (taken)
        return {
          id,
          verdict: 'pass',
          observed: `Prometheus on http://${listen}, told at ${since}${this.#notWatched()}`,
        };
      return {
        id,
        verdict: 'fail',
        observed: 'Prometheus refuses its configuration and goes on with the one before',
        hint: 'appliance logs prometheus',
      };
    } catch (error) {
      return problemFinding((await this.#missingImage().catch(() => undefined)) ?? asApplianceError(error));
    }
  }

  /** Without an image there is no container to look at. */
  async #missingImage(): Promise<ApplianceError | undefined> {
    const { monitoring } = this.#deps.config;
    const image = monitoring?.prometheus.image;
    if (image === undefined || (await this.#deps.engine.image(image))) return undefined;
    return new ApplianceError('prometheus_unreachable', `the image ${image} is not on this host`, {
      left: 'everything but monitoring runs',
      hint: 'build it from a clone of the appliance: compose/images/build.sh; then: appliance up',
    });
  }

  /** An alert that can never fire must not look like one that has not. */
  #notWatched(): string {
    const list = this.#unwatched.map(({ id, name }) => `${id} ${name}`).join(', ');
    return list === '' ? '' : `; nobody measures what these alerts need (monitoring.metrics): ${list}`;
  }

  /** Of the releases that stand on the colours now, and of the live one whatever has become of its containers. */
  async #topologies(containers: readonly ContainerDetail[]): Promise<Topology[]> {
    const found: Topology[] = [];
    const live = this.#deps.live();
    for (const colour of colours) {
      const running = containers.find(
        ({ running, labels }) => running && labels['appliance.colour'] === colour && labels['appliance.role'] === 'app',
      );
      const release = running?.labels['appliance.releaseId'] ?? (live?.colour === colour ? live.release : undefined);
      if (release !== undefined) found.push((await this.#topologiesOf(release))[colour]);
    }
    return found;
  }

  #topologiesOf(release: string): Promise<Readonly<Record<Colour, Topology>>> {
    const known = this.#known.get(release);
    if (known) return known;
    if (this.#known.size > 20) this.#known.clear();
    const asked = this.#deps.topologies(release);
    this.#known.set(release, asked);
    // A failure is asked again.
    asked.catch(() => this.#known.delete(release));
    return asked;
  }

  /** By signal: what can be reached over the network can be asked for nothing but answers. */
  async #reload(): Promise<void> {
    const { engine, config } = this.#deps;
    const labels = [`appliance.name=${config.name}`, 'appliance.role=monitoring', 'appliance.service=prometheus'];
    const [container] = (await engine.containers(labels)).filter(({ state }) => state === 'running');
    // One that does not run reads the files when it starts.
    if (!container) return;
    const { exitCode, stderr } = await engine.exec(container.id, ['bash', '-c', 'kill -HUP 1'], {
      timeout: signalTimeout,
    });
    if (exitCode === 0) return;
    throw new ApplianceError('prometheus_unreachable', `Prometheus could not be told to read anew: ${stderr.trim()}`, {
      left: 'it goes on with the configuration that it has',
      hint: 'appliance restart prometheus',
    });
  }

  async #attempt(what: 'configuration' | 'targets', work: () => Promise<void>): Promise<void> {
    try {
      await work();
      this.#problems.delete(what);
    } catch (error) {
      this.#problems.set(what, asApplianceError(error));
    }
  }
}

function problemFinding({ message, hint }: ApplianceError): Finding {
  return { id: 'monitoring', verdict: 'fail', observed: message, ...(hint === undefined ? {} : { hint }) };
}
