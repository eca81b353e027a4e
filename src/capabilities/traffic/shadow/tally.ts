import { describeShadow, type ShadowReport } from '../../../lib/shadow.ts';
import { oneLine, truncate } from '../../../lib/text.ts';
import { formatDuration } from '../../../lib/units.ts';
import type { Finding } from '../../../lib/verdict.ts';
import type { Answer, Comparison } from './compare.ts';

/** Columns of a path, or of a place, that are told. */
const longestExample = 200;
/** Different places that are told apart; what comes after is counted, but not named. */
const mostExamples = 20;

export function emptyReport(about: Pick<ShadowReport, 'from' | 'to' | 'share'>): ShadowReport {
  return {
    ...about,
    compared: 0,
    equal: 0,
    differentStatus: 0,
    differentBody: 0,
    statusOnly: 0,
    unanswered: 0,
    missed: 0,
    meanSeconds: null,
    slowerSeconds: null,
    examples: [],
  };
}

/** A report with one more pair of answers. Pure. */
export function withPair(
  report: ShadowReport,
  request: { readonly method: string; readonly path: string },
  comparison: Comparison,
  times: { readonly live: Pick<Answer, 'seconds'>; readonly shadow: Pick<Answer, 'seconds'> },
): ShadowReport {
  const compared = report.compared + 1;
  const mean = (before: number | undefined, now: number) => (before ?? 0) + (now - (before ?? 0)) / compared;
  const meanSeconds = {
    live: mean(report.meanSeconds?.live, times.live.seconds),
    shadow: mean(report.meanSeconds?.shadow, times.shadow.seconds),
  };
  const equal = comparison.kind === 'equal';
  return {
    ...report,
    compared,
    equal: report.equal + (equal ? 1 : 0),
    statusOnly: report.statusOnly + (equal && comparison.statusOnly ? 1 : 0),
    differentStatus: report.differentStatus + (comparison.kind === 'status' ? 1 : 0),
    differentBody: report.differentBody + (comparison.kind === 'body' ? 1 : 0),
    meanSeconds,
    slowerSeconds: meanSeconds.shadow - meanSeconds.live,
    examples: equal ? report.examples : withExample(report.examples, request, comparison.difference),
  };
}

/** A report with one more copy that was not answered. Pure. */
export function withSilence(
  report: ShadowReport,
  request: { readonly method: string; readonly path: string },
  why: string,
): ShadowReport {
  const examples = withExample(report.examples, request, why);
  return { ...report, unanswered: report.unanswered + 1, examples };
}

/** What clients and applications have sent may hold anything, and is shown on terminals. */
function withExample(
  examples: ShadowReport['examples'],
  request: { readonly method: string; readonly path: string },
  said: string,
): ShadowReport['examples'] {
  const method = oneLine(request.method);
  const told = (text: string) => truncate(oneLine(text), longestExample);
  const [path, difference] = [told(request.path), told(said)];
  const known = examples.find((each) => each.method === method && each.path === path && each.difference === difference);
  if (!known && examples.length >= mostExamples) return examples;
  const rest = examples.filter((each) => each !== known);
  return [...rest, { method, path, difference, count: (known?.count ?? 0) + 1 }].sort((a, b) => b.count - a.count);
}

/** What a report says to people. Nothing of it takes a release back. */
export function shadowFindings(report: ShadowReport, trouble: string): Finding[] {
  const { compared, equal, unanswered, missed, examples } = report;
  const asked = compared + unanswered;
  const [first] = examples;
  const where = first ? `; most often ${first.method} ${first.path}: ${first.difference} (${first.count})` : '';
  const nothing = missed > 0 ? `none of ${missed} requests was copied` : 'no request was copied yet';
  const answers: Finding = {
    id: 'shadow',
    verdict: asked === 0 || trouble !== '' ? 'inconclusive' : equal === asked ? 'pass' : 'fail',
    observed: asked === 0 ? trouble || nothing : `${describeShadow(report)}${where}`,
    expected: 'the same answers',
    samples: asked,
    ...(trouble !== '' && asked > 0 ? { hint: trouble } : {}),
  };
  if (!report.meanSeconds) return [answers];
  const { live, shadow } = report.meanSeconds;
  const times = `${formatDuration(shadow * 1_000)} against ${formatDuration(live * 1_000)} on average`;
  return [answers, { id: 'shadow-latency', verdict: 'pass', observed: times, samples: compared }];
}
