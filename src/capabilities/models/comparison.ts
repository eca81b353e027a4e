import { formatDuration } from '../../lib/units.ts';
import type { Finding } from '../../lib/verdict.ts';
import type { Loaded } from './processes.ts';

/** What the processes of one application have answered with one model. */
export interface Tally {
  readonly requests: number;
  readonly errors: number;
  /** Of all requests together. */
  readonly seconds: number;
}

/** Requests of the candidate without which nothing is said of it. */
const enough = 20;
/** How much more often the candidate may fail than the model in force (S0-42). */
const margin = 0.01;

/** What was answered with a model between two looks. A process that was started anew counts from its start. */
export function tallyOf(sha256: string, before: readonly Loaded[], now: readonly Loaded[]): Tally {
  const sum = { requests: 0, errors: 0, seconds: 0 };
  for (const { replica, served } of now) {
    const counts = served[sha256];
    if (!counts) continue;
    const then = before.find((one) => one.replica.id === replica.id)?.served[sha256];
    const since = then && then.requests <= counts.requests ? then : { requests: 0, errors: 0, seconds: 0 };
    sum.requests += counts.requests - since.requests;
    sum.errors += counts.errors - since.errors;
    sum.seconds += counts.seconds - since.seconds;
  }
  return sum;
}

/** Whether a candidate fails more often than the model in force (S3-25). Pure. */
export function compareVariants(candidate: Tally, current: Tally): Finding {
  const rate = ({ requests, errors }: Tally): number => (requests === 0 ? 0 : errors / requests);
  const observed = `candidate ${tallyText(candidate)}; in force ${tallyText(current)}`;
  const about = { id: 'S3-25', observed, samples: candidate.requests };
  if (candidate.requests < enough) return { ...about, verdict: 'inconclusive', needed: enough - candidate.requests };
  const verdict = rate(candidate) > rate(current) + margin ? 'fail' : 'pass';
  return { ...about, verdict, expected: `at most ${margin * 100} % more errors than the model in force` };
}

function tallyText({ requests, errors, seconds }: Tally): string {
  const mean = requests === 0 ? '' : `, ${formatDuration((seconds / requests) * 1_000)} each`;
  return `${requests} requests, ${errors} errors${mean}`;
}
