import type { ApplianceEvent, Status } from '../../api/schema.ts';
import type { Appliance } from '../appliance.ts';
import { backupReading } from '../backup-watch.ts';
import type { EventHub } from '../events.ts';
import { statusOf } from '../status.ts';
import { version } from '../version.ts';
import { AgentMetrics } from './index.ts';
import { writeTextfile } from './textfile.ts';

/** Milliseconds between two writes, as between two scrapes: more often would be for nobody. */
const period = 10_000;
/** Milliseconds from a change of a container to its write: the first of many that come together. */
const settling = 1_000;
/** Every how many writes the status is asked for, and configuration and rules are compared with what they should be. */
const statusEvery = 3;
const syncEvery = 6;

export interface ReporterDeps {
  readonly hub: EventHub;
  /** The appliance as appliance.yaml describes it now. */
  readonly appliance: () => Appliance;
  readonly agent: Status['agent'];
  readonly onError: (error: unknown) => void;
}

/** Tells Prometheus how the appliance is, every few seconds, for as long as appliance.yaml asks for monitoring. */
export class Reporter {
  readonly #deps: ReporterDeps;
  readonly #metrics = new AgentMetrics(version);
  #round = 0;
  #statusDue = true;
  #busy = false;
  #soon: NodeJS.Timeout | undefined;

  constructor(deps: ReporterDeps) {
    this.#deps = deps;
  }

  /** Begins at once and goes on until the signal aborts; what changes is told soon, all else in its turn. */
  start(signal: AbortSignal): void {
    void this.#listen(this.#deps.hub.subscribe(signal));
    const timer = setInterval(() => void this.#tick(), period);
    signal.addEventListener(
      'abort',
      () => {
        clearInterval(timer);
        clearTimeout(this.#soon);
      },
      { once: true },
    );
    void this.#tick();
  }

  async #listen(events: AsyncIterable<ApplianceEvent>): Promise<void> {
    for await (const event of events) {
      if (event.event === 'operation-ended') {
        this.#metrics.operations.ended(event.result);
        this.#statusDue = true;
      } else if (event.event !== 'status') {
        continue;
      }
      this.#soon ??= setTimeout(() => {
        this.#soon = undefined;
        void this.#tick();
      }, settling);
    }
  }

  async #tick(): Promise<void> {
    // A host that is short of breath skips a round rather than piling them up.
    if (this.#busy) return;
    this.#busy = true;
    try {
      const appliance = this.#deps.appliance();
      if (appliance.monitoring.wanted) await this.#report(appliance);
    } catch (error) {
      this.#deps.onError(error);
    } finally {
      this.#busy = false;
    }
  }

  async #report(appliance: Appliance): Promise<void> {
    const { monitoring, watch, traffic } = appliance;
    const round = this.#round;
    this.#round += 1;
    if (round % syncEvery === 0) {
      await monitoring.sync();
      const reading = await appliance.upkeep.look();
      this.#metrics.upkeep.set(reading);
      monitoring.measured(reading.problems);
      this.#metrics.backups.set(backupReading(appliance));
    }
    await monitoring.follow(watch.details());
    if (round % statusEvery === 0 || this.#statusDue) {
      this.#statusDue = false;
      const status = await statusOf(appliance, this.#deps.agent);
      this.#metrics.status({ ...status, findings: [...status.findings, ...appliance.checks.latest()] });
    }
    const weights = await traffic.weights();
    if (weights) this.#metrics.weights(weights);
    this.#metrics.containers(watch.readings());
    await traffic.meter.poll();
    const running = watch.details().flatMap(({ labels }) => labels['appliance.release'] ?? []);
    this.#metrics.requests.set(traffic.meter.totals(), running);
    this.#metrics.synthetic.set(traffic.synthetic.totals());
    this.#metrics.notifications.set(appliance.alerting.notifications());
    const { modelService } = appliance;
    if (modelService) {
      this.#metrics.models.set(await modelService.current());
      this.#metrics.models.noticed(modelService.takeNoticed());
    }
    await writeTextfile(monitoring.files.textfile, await this.#metrics.text());
  }
}
