import { type GateMetric, gateMetrics, type ModelGate } from '../../../config/model-gates.ts';
import type { Finding } from '../../../lib/verdict.ts';

/** Numbers of a version by their keys; what nobody has measured is absent. */
export interface Known {
  readonly metrics: Readonly<Record<string, number>>;
  readonly trial: Readonly<Record<string, number>> | null;
  /** Why there is no trial. */
  readonly why: string;
  /** Whether there is a version in force to compare with. */
  readonly compared: boolean;
}

const relations = {
  above: { holds: (value: number, limit: number) => value > limit, words: 'more than' },
  below: { holds: (value: number, limit: number) => value < limit, words: 'less than' },
  atLeast: { holds: (value: number, limit: number) => value >= limit, words: 'at least' },
  atMost: { holds: (value: number, limit: number) => value <= limit, words: 'at most' },
} as const;
const relationNames = ['above', 'below', 'atLeast', 'atMost'] as const;

/** Judges a version by one limit. What is not known is never a pass. Pure. */
export function judgeLimit(gate: ModelGate, known: Known): Finding | null {
  const name = relationNames.find((relation) => gate[relation] !== undefined);
  const limit = name && gate[name];
  if (name === undefined || limit === undefined) return null;
  const { from, key, words } = gateMetrics[gate.metric];
  // The first model has nothing that it could be compared with.
  if (gate.metric === 'golden' && !known.compared) return null;
  const value = from === 'metrics' ? known.metrics[key] : known.trial?.[key];
  const expected = `${words} ${relations[name].words} ${numberText(gate.metric, limit)}`;
  if (value === undefined || !Number.isFinite(value)) {
    const observed = from === 'metrics' ? `its metrics say no ${key}` : `no trial has measured it: ${known.why}`;
    const hint = from === 'metrics' ? `write ${key} into its metrics.json` : 'models.trial in appliance.yaml';
    return { id: gate.id, verdict: 'inconclusive', observed, expected, samples: 0, needed: 1, hint };
  }
  const samples = known.trial?.samples ?? known.metrics.samples;
  return {
    id: gate.id,
    verdict: relations[name].holds(value, limit) ? 'pass' : 'fail',
    observed: numberText(gate.metric, value),
    expected,
    ...(samples === undefined ? {} : { samples }),
  };
}

function numberText(metric: GateMetric, value: number): string {
  if (metric === 'memory') return `${Math.round(value / 1e6)} MB`;
  if (metric === 'latency') return `${(value * 1_000).toFixed(2)} ms`;
  return metric === 'throughput' ? `${Math.round(value)}/s` : String(Number(value.toFixed(4)));
}

/**
 * Compares the libraries that a version was made with to those of the image that is to load it. Pickles hold no promise
 * beyond major and minor version.
 * @param installed null when nobody could ask the image
 */
export function judgeLibraries(
  made: Readonly<Record<string, string>>,
  installed: Readonly<Record<string, string>> | null,
  why: string,
): Finding {
  const about = { id: 'S3-6-libraries', expected: 'the same major and minor versions as in the live image' };
  const names = Object.keys(made);
  if (names.length === 0)
    return {
      ...about,
      verdict: 'inconclusive',
      observed: 'its manifest names no libraries',
      hint: 'write `libraries` into it',
    };
  if (!installed) return { ...about, verdict: 'inconclusive', observed: `the image was not asked: ${why}`, needed: 1 };
  const series = (version: string | undefined): string => (version ?? '').split('.').slice(0, 2).join('.');
  const differing = names.filter((name) => series(made[name]) !== series(installed[name]));
  const shown = (list: readonly string[]): string =>
    list.map((name) => `${name} ${made[name]}, there ${installed[name] ?? 'absent'}`).join('; ');
  const absent = differing.filter((name) => installed[name] === undefined);
  if (differing.length > absent.length)
    return { ...about, verdict: 'fail', observed: shown(differing), samples: names.length };
  if (absent.length > 0) return { ...about, verdict: 'inconclusive', observed: shown(absent), samples: names.length };
  const observed = names.map((name) => `${name} ${made[name]}`).join(', ');
  return { ...about, verdict: 'pass', observed, samples: names.length };
}
