import { z } from 'zod';

/**
 * What is known of a version before it serves. The first are in its own `metrics.json`; the others a trial measures in
 * a container of the live image. Latencies are seconds, memory is bytes, shares run from 0 to 1.
 */
export const gateMetrics = {
  accuracy: { from: 'metrics', key: 'accuracy', words: 'accuracy by its own tests' },
  'roc-auc': { from: 'metrics', key: 'roc_auc', words: 'area under the curve by its own tests' },
  bias: { from: 'metrics', key: 'bias', words: 'how much worse the worst group is served' },
  latency: { from: 'trial', key: 'latency', words: 'p99 of single predictions, in seconds' },
  throughput: { from: 'trial', key: 'throughput', words: 'predictions per second' },
  memory: { from: 'trial', key: 'memory', words: 'most memory of a process with it, in bytes' },
  range: { from: 'trial', key: 'range', words: 'share of predictions within 0 and 1' },
  interval: { from: 'trial', key: 'interval', words: 'share of predictions inside of their confidence interval' },
  spread: { from: 'trial', key: 'spread', words: 'standard deviation of the predictions' },
  golden: { from: 'trial', key: 'golden', words: 'share of known items that it answers as the model in force does' },
} as const;
export type GateMetric = keyof typeof gateMetrics;
const names = Object.keys(gateMetrics).filter((name): name is GateMetric => name in gateMetrics);

const gate = z
  .strictObject({
    id: z
      .string()
      .regex(/^[A-Za-z][\w.-]{0,40}$/)
      .describe('demand that the limit comes from, or a word of your own'),
    metric: z.enum(names).describe('what is known of the version'),
    above: z.number().optional(),
    below: z.number().optional(),
    atLeast: z.number().optional(),
    atMost: z.number().optional(),
  })
  .refine(
    ({ above, below, atLeast, atMost }) =>
      [above, below, atLeast, atMost].filter((one) => one !== undefined).length === 1,
    {
      message: 'give exactly one of above, below, atLeast and atMost',
    },
  );
export type ModelGate = z.output<typeof gate>;

/** `models.gates` of a policy: all must hold before a version may serve. */
export const modelGatesSchema = z
  .array(gate)
  .default([])
  .describe('limits that a version must keep before it may serve');

/** What holds for every model, whatever the policy says. */
export const commonGates: readonly ModelGate[] = [
  { id: 'S2-1-range', metric: 'range', atLeast: 1 },
  { id: 'S2-1', metric: 'interval', atLeast: 1 },
];
