import type { LoadDemand } from '../../../config/policy-demands.ts';
import type { LoadSeen } from '../../../host/load.ts';
import { fail, inconclusive, type Observation, pass } from '../check.ts';

/** Samples below which a percentile is one slow answer: 1 / (1 - p) times three. */
const leastFor95 = 59;
const leastFor99 = 299;

/**
 * Whether a load kept the limits of a policy (S0-22, S0-53, S1-51, S2-2). Pure.
 */
export function judgeLoad(seen: LoadSeen, demand: LoadDemand): Observation {
  const { latencies, limited, refused, seconds } = seen;
  const answered = latencies.length;
  const failed = seen.failed + seen.lost;
  if (limited > 0)
    return inconclusive(`a rate limit answered ${limited} of ${answered} requests with 429`, {
      samples: answered,
      hint: 'ask a colour directly: appliance check load --on blue',
    });
  if (answered === 0)
    return failed > 0
      ? fail(`all ${failed} requests failed`, { samples: failed })
      : inconclusive('nothing was answered', { samples: 0, needed: 1 });
  if (refused > 0) return fail(`${refused} of ${answered} answers refuse the request (4xx)`, { samples: answered });
  const sorted = [...latencies].sort((a, b) => a - b);
  const mean = sorted.reduce((sum, one) => sum + one, 0) / answered;
  const share = failed / (answered + seen.lost);
  const rate = answered / seconds;
  const [p95, p99] = [quantile(sorted, 0.95), quantile(sorted, 0.99)];
  const observed = `${answered} answers, ${rate.toFixed(0)} a second, mean ${ms(mean)}, p95 ${ms(p95)}, p99 ${ms(p99)}, ${failed} failed`;
  const needed =
    Math.max(demand.p95Below === undefined ? 0 : leastFor95, demand.p99Below === undefined ? 0 : leastFor99) - answered;
  if (needed > 0) return inconclusive(observed, { samples: answered, needed });
  const broken = [
    demand.perSecondAbove !== undefined && rate <= demand.perSecondAbove,
    demand.meanBelow !== undefined && mean >= demand.meanBelow,
    demand.p95Below !== undefined && p95 >= demand.p95Below,
    demand.p99Below !== undefined && p99 >= demand.p99Below,
    demand.errorsBelow !== undefined && share >= demand.errorsBelow,
    demand.errorsAtMost !== undefined && failed > demand.errorsAtMost,
  ];
  return (broken.includes(true) ? fail : pass)(observed, { samples: answered });
}

/** @param sorted ascending, not empty */
export function quantile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN;
}

const ms = (seconds: number): string => `${(seconds * 1_000).toFixed(seconds < 0.01 ? 1 : 0)} ms`;

/** The limits of a demand, for people. Pure. */
export function limitsOf(demand: LoadDemand): string {
  const { perSecondAbove, meanBelow, p95Below, p99Below, errorsBelow, errorsAtMost } = demand;
  return [
    ...(perSecondAbove === undefined ? [] : [`more than ${perSecondAbove} a second`]),
    ...(meanBelow === undefined ? [] : [`mean below ${ms(meanBelow)}`]),
    ...(p95Below === undefined ? [] : [`p95 below ${ms(p95Below)}`]),
    ...(p99Below === undefined ? [] : [`p99 below ${ms(p99Below)}`]),
    ...(errorsBelow === undefined ? [] : [`failures below ${errorsBelow * 100} %`]),
    ...(errorsAtMost === undefined ? [] : [`at most ${errorsAtMost} failures`]),
  ].join(', ');
}
