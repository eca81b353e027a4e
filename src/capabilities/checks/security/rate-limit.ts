import type { LoadSeen } from '../../../host/load.ts';
import { type Check, fail, inconclusive, pass } from '../check.ts';

/** Most requests that are sent to prove a limit. */
const most = 5_000;

/**
 * Who asks too often is answered 429, really (S1-17, S2-33, S3-13).
 * @param limit `edge.rateLimit`; @param send so many requests at once through the edge
 */
export function rateLimitCheck(
  limit: { readonly perSecond: number; readonly burst: number } | undefined,
  send: (requests: number, signal: AbortSignal) => Promise<LoadSeen>,
): Check {
  return {
    id: 'security.rate-limit',
    group: 'security',
    requirement: ['S1-17', 'S2-33', 'S3-13'],
    about: 'rate limit',
    expected: 'answers 429 beyond it',
    hint: 'set edge.rateLimit in appliance.yaml: { perSecond: 50, burst: 100 }',
    deadline: 60_000,
    look: async (signal) => {
      if (!limit) return fail('appliance.yaml sets none (edge.rateLimit)');
      const requests = (limit.burst + limit.perSecond) * 2 + 20;
      if (requests > most)
        return inconclusive(`${requests} requests would be needed to prove it`, { needed: requests });
      const { latencies, limited, failed, lost } = await send(requests, signal);
      const observed = `${limited} of ${latencies.length} requests were answered 429`;
      if (limited > 0) return pass(observed, { samples: latencies.length });
      return failed + lost > 0
        ? inconclusive(`${failed + lost} requests failed`, { samples: latencies.length })
        : fail(observed, { samples: latencies.length });
    },
  };
}
