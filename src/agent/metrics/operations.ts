import { Histogram, type Registry } from 'prom-client';
import type { OperationResult } from '../../api/schema.ts';

/** Seconds; from a warm rollback to a canary of many hours. */
const buckets = [1, 5, 15, 60, 300, 1_800, 7_200, 86_400];
/** Series that exist from the start: a counter that begins at one hides its first increase. */
const kinds = ['deploy', 'rollback'] as const;
const results = ['done', 'failed', 'rolled_back', 'manual'] as const;

/** How long operations took and how they ended. */
export class OperationMetrics {
  readonly #duration;

  constructor(registry: Registry) {
    this.#duration = new Histogram({
      name: 'appliance_operation_duration_seconds',
      help: 'How long operations took, by kind and result.',
      labelNames: ['kind', 'result'],
      buckets,
      registers: [registry],
    });
    for (const kind of kinds) for (const result of results) this.#duration.zero({ kind, result });
  }

  ended({ kind, result, seconds }: Pick<OperationResult, 'kind' | 'result' | 'seconds'>): void {
    this.#duration.observe({ kind, result }, seconds);
  }
}
