import { Counter, Histogram, type Registry } from 'prom-client';
import { latencyEdges, statedLimits, type Histogram as Times } from '../../lib/histogram.ts';

/** What a release has answered since the meter began. */
export interface RequestTotals {
  readonly codes: ReadonlyMap<number, number>;
  readonly times: Times;
}

/** Codes that exist from the start: a counter that begins at five hides its first five. */
const expectedCodes = [200, 500, 502, 504] as const;
/** Edges that any meter has; one of its own is the limit of a policy of the user's own. */
const ordinary: ReadonlySet<number> = new Set(latencyEdges());
/** An edge at least this many times as long as the one before, or a policy's limit, is told; a third of all is enough. */
const apart = 1.35;

const duration = { name: 'appliance_http_request_duration_seconds', help: 'Time to answer, by release.' } as const;

/** Requests that the edge has answered, by release, as the meter of the access log counts them (S3-11, S4-24). */
export class RequestMetrics {
  readonly #requests;
  readonly #times;

  constructor(registry: Registry) {
    const registers = [registry];
    this.#requests = new Counter({
      name: 'appliance_http_requests_total',
      help: 'Requests answered, by release and status.',
      labelNames: ['release', 'code'],
      registers,
    });
    this.#times = new MeteredTimes({ ...duration, labelNames: ['release'], registers });
  }

  /**
   * @param totals by release
   * @param running releases that may answer, also while they have not
   */
  set(totals: ReadonlyMap<string, RequestTotals>, running: Iterable<string>): void {
    this.#requests.reset();
    for (const release of new Set([...running, ...totals.keys()])) {
      const codes = totals.get(release)?.codes ?? new Map<number, number>();
      for (const code of new Set([...expectedCodes, ...codes.keys()]))
        this.#requests.inc({ release, code: String(code) }, codes.get(code) ?? 0);
    }
    this.#times.totals = totals;
  }
}

/** A histogram that was counted elsewhere: observing each request again would cost more than counting it did. */
class MeteredTimes extends Histogram<'release'> {
  totals: ReadonlyMap<string, RequestTotals> = new Map();

  /** What the registry asks for, in place of `get`. */
  async getForPromString() {
    const values = [...this.totals].flatMap(([release, { times }]) => samples(release, times));
    return { ...duration, type: 'histogram', values };
  }
}

function samples(release: string, { edges, counts, count, sum }: Times) {
  const told = new Set(toldEdges(edges));
  let below = 0;
  const buckets = edges.flatMap((edge, index) => {
    below += counts[index] ?? 0;
    return told.has(edge) ? [sample('bucket', release, below, { le: edge })] : [];
  });
  return [
    ...buckets,
    sample('bucket', release, count, { le: '+Inf' }),
    sample('sum', release, sum),
    sample('count', release, count),
  ];
}

function sample(part: string, release: string, value: number, more: { readonly le?: number | string } = {}) {
  return { metricName: `${duration.name}_${part}`, labels: { release, ...more }, value };
}

/** Edges that are told: the limits of policies, and of the others those that are not closer than `apart`. */
function toldEdges(edges: readonly number[]): number[] {
  const told: number[] = [];
  const limit = (edge: number) => statedLimits.includes(edge) || !ordinary.has(edge);
  for (const edge of edges) if (limit(edge) || edge >= (told.at(-1) ?? 0) * apart) told.push(edge);
  return told;
}
