import { Counter, type Registry } from 'prom-client';

/** Declared requests by release, apart from those of users, which `appliance_http_requests_total` counts. */
export class SyntheticMetrics {
  readonly #requests;

  constructor(registry: Registry) {
    this.#requests = new Counter({
      name: 'appliance_synthetic_requests_total',
      help: 'Requests that appliance.yaml declares and appliance sent itself, by release and result.',
      labelNames: ['release', 'result'],
      registers: [registry],
    });
  }

  set(totals: ReadonlyMap<string, { readonly good: number; readonly failed: number }>): void {
    this.#requests.reset();
    for (const [release, { good, failed }] of totals) {
      this.#requests.inc({ release, result: 'good' }, good);
      this.#requests.inc({ release, result: 'failed' }, failed);
    }
  }
}
