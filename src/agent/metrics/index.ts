import { Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client';
import type { Status } from '../../api/schema.ts';
import { colours, type Weights } from '../../lib/colour.ts';
import { BackupMetrics } from './backups.ts';
import { ContainerMetrics, type ContainerReading } from './containers.ts';
import { ModelMetrics } from './models.ts';
import { NotificationMetrics } from './notifications.ts';
import { OperationMetrics } from './operations.ts';
import { RequestMetrics } from './requests.ts';
import { SyntheticMetrics } from './synthetic.ts';
import { UpkeepMetrics } from './upkeep.ts';

/** What a check has answered, as a number: above zero is good, below is bad, and no data is neither. */
const verdictValues = { pass: 1, inconclusive: 0, fail: -1 } as const;

/**
 * The metrics of the agent (CONTRACT "Metrics of the agent"). Nothing listens: the text is written to a file that the
 * exporter serves (agent/metrics/textfile.ts).
 */
export class AgentMetrics {
  readonly registry = new Registry();
  readonly operations: OperationMetrics;
  readonly requests: RequestMetrics;
  readonly notifications: NotificationMetrics;
  readonly synthetic: SyntheticMetrics;
  readonly upkeep: UpkeepMetrics;
  readonly models: ModelMetrics;
  readonly backups: BackupMetrics;
  readonly #containers: ContainerMetrics;
  readonly #release;
  readonly #weight;
  readonly #verdict;
  readonly #written;

  /** @param version of this program */
  constructor(version: string) {
    const registers = [this.registry];
    processMetrics(this.registry);
    this.operations = new OperationMetrics(this.registry);
    this.requests = new RequestMetrics(this.registry);
    this.notifications = new NotificationMetrics(this.registry);
    this.synthetic = new SyntheticMetrics(this.registry);
    this.upkeep = new UpkeepMetrics(this.registry);
    this.models = new ModelMetrics(this.registry);
    this.backups = new BackupMetrics(this.registry);
    this.#containers = new ContainerMetrics(this.registry);
    this.#release = new Gauge({
      name: 'appliance_release_info',
      help: 'The release that is live, and its colour; always 1.',
      labelNames: ['tag', 'colour'],
      registers,
    });
    this.#weight = new Gauge({
      name: 'appliance_traffic_weight',
      help: 'Share of new requests that a colour gets, 0 to 100.',
      labelNames: ['colour'],
      registers,
    });
    this.#verdict = new Gauge({
      name: 'appliance_check_verdict',
      help: 'What a check has answered last: 1 pass, 0 inconclusive, -1 fail.',
      labelNames: ['id'],
      registers,
    });
    this.#written = new Counter({
      name: 'appliance_metrics_written_total',
      help: 'How often these metrics were written.',
      registers,
    });
    new Gauge({
      name: 'appliance_agent_info',
      help: 'The version of the agent; always 1.',
      labelNames: ['version'],
      registers,
    }).set({ version }, 1);
  }

  /** What containers use now. */
  containers(readings: readonly ContainerReading[]): void {
    this.#containers.set(readings);
  }

  /** What the status says now. */
  status({
    release,
    traffic,
    findings,
  }: Pick<Status, 'release' | 'traffic'> & {
    readonly findings: readonly Pick<Status['findings'][number], 'id' | 'verdict'>[];
  }): void {
    this.#release.reset();
    if (release) this.#release.set({ tag: release.tag, colour: release.colour }, 1);
    this.weights(traffic);
    this.#verdict.reset();
    for (const { id, verdict } of findings) this.#verdict.set({ id }, verdictValues[verdict]);
  }

  /** Shares of new requests, which a rollout changes while nothing else does. */
  weights(weights: Weights): void {
    for (const colour of colours) this.#weight.set({ colour }, weights[colour]);
  }

  /** All metrics in the text format of Prometheus. */
  async text(): Promise<string> {
    this.#written.inc();
    return this.registry.metrics();
  }
}

/** Processor time, memory and files of the agent; what only concerns the runtime would be most of the text. */
function processMetrics(registry: Registry): void {
  const prefix = 'appliance_';
  // A resolution of a second: with the default of 10 ms the timer itself would be the agent's largest expense.
  collectDefaultMetrics({ register: registry, prefix, eventLoopMonitoringPrecision: 1_000 });
  for (const { name } of registry.getMetricsAsArray())
    if (!name.startsWith(`${prefix}process_`)) registry.removeSingleMetric(name);
}
