import { Counter, Gauge, type Registry } from 'prom-client';
import type { Usage } from '../../host/cgroup.ts';
import type { ContainerDetail } from '../../host/docker.ts';

/** A container with what the kernel last said of it. */
export interface ContainerReading {
  readonly detail: ContainerDetail;
  /** Undefined while it does not run. */
  readonly usage: Usage | undefined;
}

const labelNames = ['container', 'service', 'colour', 'release', 'role'] as const;
type Labels = Record<(typeof labelNames)[number], string>;

/** What each container uses, from the agent's own readings of the kernel's control groups (S2-24, S2-25, S4-24, S4-33). */
export class ContainerMetrics {
  readonly #cpu;
  readonly #memory;
  readonly #limit;
  readonly #running;
  readonly #healthy;
  readonly #restarts;

  constructor(registry: Registry) {
    const about = (name: string, help: string) => ({
      name: `appliance_container_${name}`,
      help,
      labelNames,
      registers: [registry],
    });
    this.#cpu = new Counter(about('cpu_seconds_total', 'Processor time that a container has used since it started.'));
    this.#memory = new Gauge(about('memory_bytes', 'Memory of a container without page cache that can be given back.'));
    this.#limit = new Gauge(about('memory_limit_bytes', 'Most memory that a container may use, where it is limited.'));
    this.#running = new Gauge(about('running', '1 while a container runs.'));
    this.#healthy = new Gauge(about('healthy', '1 while the healthcheck of a container passes, where it has one.'));
    this.#restarts = new Counter(about('restarts_total', 'How often the engine has restarted a container by itself.'));
  }

  set(containers: readonly ContainerReading[]): void {
    for (const metric of [this.#cpu, this.#memory, this.#limit, this.#running, this.#healthy, this.#restarts])
      metric.reset();
    for (const { detail, usage } of containers) {
      const labels = labelsOf(detail);
      this.#running.set(labels, detail.running ? 1 : 0);
      this.#restarts.inc(labels, detail.restarts);
      if (detail.health !== null) this.#healthy.set(labels, detail.health === 'healthy' ? 1 : 0);
      if (!usage || !detail.running) continue;
      this.#cpu.inc(labels, usage.cpuNanoseconds / 1e9);
      this.#memory.set(labels, usage.memoryBytes);
      if (usage.memoryLimitBytes !== null) this.#limit.set(labels, usage.memoryLimitBytes);
    }
  }
}

function labelsOf({ name, labels }: ContainerDetail): Labels {
  return {
    container: labels['com.docker.compose.service'] ?? name,
    service: labels['appliance.service'] ?? name,
    colour: labels['appliance.colour'] ?? '',
    release: labels['appliance.release'] ?? '',
    role: labels['appliance.role'] ?? '',
  };
}
