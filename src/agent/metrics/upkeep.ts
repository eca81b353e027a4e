import { Gauge, type Registry } from 'prom-client';
import type { UpkeepReading } from '../upkeep.ts';

/** What grows old or runs out without anybody deploying: secrets, certificates, connections of the database. */
export class UpkeepMetrics {
  readonly #secrets;
  readonly #certificates;
  readonly #begun;
  readonly #connections;
  readonly #limit;

  constructor(registry: Registry) {
    const registers = [registry];
    this.#secrets = new Gauge({
      name: 'appliance_secret_set_timestamp_seconds',
      help: 'Since when a secret has its value, as far as is known.',
      labelNames: ['secret'],
      registers,
    });
    this.#certificates = new Gauge({
      name: 'appliance_certificate_not_after_timestamp_seconds',
      help: 'When the certificate of a domain ends.',
      labelNames: ['domain'],
      registers,
    });
    this.#begun = new Gauge({
      name: 'appliance_certificate_not_before_timestamp_seconds',
      help: 'When the certificate of a domain began; what is late depends on how long it lives.',
      labelNames: ['domain'],
      registers,
    });
    this.#connections = new Gauge({
      name: 'appliance_database_connections',
      help: 'Connections of clients that the database has.',
      labelNames: ['service'],
      registers,
    });
    this.#limit = new Gauge({
      name: 'appliance_database_connections_limit',
      help: 'Most connections that ordinary users of the database may have.',
      labelNames: ['service'],
      registers,
    });
  }

  set({ secrets, certificates, connections }: UpkeepReading): void {
    for (const metric of [this.#secrets, this.#certificates, this.#begun, this.#connections, this.#limit])
      metric.reset();
    for (const [secret, since] of secrets) this.#secrets.set({ secret }, since / 1_000);
    for (const { domain, notBefore, notAfter } of certificates) {
      this.#certificates.set({ domain }, notAfter / 1_000);
      this.#begun.set({ domain }, notBefore / 1_000);
    }
    if (!connections) return;
    const { service, used, limit } = connections;
    this.#connections.set({ service }, used);
    this.#limit.set({ service }, limit);
  }
}
