import type { PathLimit } from '../../config/edge.ts';
import type { Config } from '../../config/schema.ts';

/** What the edge grants one client (S1-17, S2-33, S3-13), level by level. Without any limit it costs a request nothing. */
export interface LimitLines {
  readonly http: readonly string[];
  /** Of the location of a path. */
  location(path: string): readonly string[];
  /** Seconds after which a request that was refused may come again, as nginx writes it. */
  readonly retryAfter: string;
}

/** Bytes of the zones that count requests; nginx needs 128 for an address. */
const zone = { all: '10m', path: '4m' } as const;

/**
 * Requests per address: for all paths, for some, and at the same time. The same address meets every limit whose prefix its
 * path has, so a location below a limited path does not lead around it. Pure.
 */
export function limitLines({ edge }: Pick<Config, 'edge'>): LimitLines {
  const { rateLimit, rateLimits } = edge;
  const most = edge.limits.requestsPerAddress;
  const named = rateLimits.map((limit, index) => ({ limit, name: `appliance_rate_${index + 1}` }));
  const waits = rateLimits.some((limit) => waitOf(limit) > 1);
  return {
    http: [
      ...(rateLimit ? [zoneLine('appliance_rate', zone.all, `${rateLimit.perSecond}r/s`)] : []),
      ...named.map(({ limit, name }) => zoneLine(name, zone.path, rateText(limit))),
      ...(rateLimit || named.length > 0 ? ['limit_req_status 429;'] : []),
      ...(most === undefined
        ? []
        : [
            `limit_conn_zone $binary_remote_addr zone=appliance_requests:${zone.all};`,
            `limit_conn appliance_requests ${most};`,
            'limit_conn_status 429;',
          ]),
      ...(waits ? ['map $appliance_wait $appliance_retry_after { "" 1; default $appliance_wait; }'] : []),
    ],
    location: (path) => {
      const mine = named.filter(({ limit }) => path.startsWith(limit.path));
      const wait = Math.max(1, ...mine.map(({ limit }) => waitOf(limit)));
      return [
        ...(wait > 1 ? [`set $appliance_wait ${wait};`] : []),
        ...(rateLimit ? [limitLine('appliance_rate', rateLimit.burst)] : []),
        ...mine.map(({ limit, name }) => limitLine(name, limit.burst)),
      ];
    },
    retryAfter: waits ? '$appliance_retry_after' : '1',
  };
}

function zoneLine(name: string, size: string, rate: string): string {
  return `limit_req_zone $binary_remote_addr zone=${name}:${size} rate=${rate};`;
}

/** nginx refuses a burst of 0, which is what it means without one. */
function limitLine(name: string, burst: number): string {
  return burst === 0 ? `limit_req zone=${name};` : `limit_req zone=${name} burst=${burst} nodelay;`;
}

function rateText({ perSecond, perMinute }: PathLimit): string {
  return perSecond === undefined ? `${perMinute}r/m` : `${perSecond}r/s`;
}

/** Seconds in which one more request may come. */
function waitOf({ perMinute }: PathLimit): number {
  return perMinute === undefined ? 1 : Math.ceil(60 / perMinute);
}
