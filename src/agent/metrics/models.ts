import { Counter, Gauge, Histogram, type Registry } from 'prom-client';

/** Seconds; the appliance promises one, the documents allow three (S1-77). */
const buckets = [0.1, 0.25, 0.5, 1, 2, 3, 10, 60];

/** What is told of models: which is in force, and how fast running processes have another one (S1-63). */
export class ModelMetrics {
  readonly #active;
  readonly #invalidations;
  readonly #seconds;

  constructor(registry: Registry) {
    const registers = [registry];
    this.#active = new Gauge({
      name: 'appliance_model_active_info',
      help: 'The model that is in force; always 1.',
      labelNames: ['name', 'version', 'sha256'],
      registers,
    });
    this.#invalidations = new Counter({
      name: 'appliance_manifest_invalidations_total',
      help: 'Changes of the manifest in force that were taken over.',
      registers,
    });
    this.#seconds = new Histogram({
      name: 'appliance_manifest_invalidation_seconds',
      help: 'From a change of the manifest on the disk until every running process has reported it.',
      buckets,
      registers,
    });
  }

  set(active: { readonly name: string; readonly version: string; readonly sha256: string } | null): void {
    this.#active.reset();
    if (active) this.#active.set({ ...active }, 1);
  }

  /** @param count changes that were noticed; @param seconds how long each that was confirmed took */
  noticed({ count, seconds }: { readonly count: number; readonly seconds: readonly number[] }): void {
    this.#invalidations.inc(count);
    for (const value of seconds) this.#seconds.observe(value);
  }
}
