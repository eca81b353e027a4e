import { assess } from '../capabilities/checks/analysis/index.ts';
import { HealthHistory, logReader, prometheusReader } from '../capabilities/checks/measure/index.ts';
import { colourHealth, labelKeys, type StackDeps } from '../capabilities/stack/index.ts';
import type { RolloutDeps } from '../capabilities/traffic/hold-stage.ts';
import type { RolloutStore } from '../capabilities/traffic/rollout-store.ts';
import { type MetricSource, metricNames, metricOf } from '../config/metrics.ts';
import type { Policy } from '../config/policy.ts';
import { parsePolicy } from '../config/policy-load.ts';
import type { Config } from '../config/schema.ts';
import type { Engine } from '../host/docker.ts';
import { Prometheus } from '../host/prometheus.ts';
import type { Clock } from '../lib/clock.ts';
import { ApplianceError } from '../lib/errors.ts';
import type { MetricReader, Subject } from '../lib/measurement.ts';
import type { SyntheticTraffic } from './synthetic-traffic.ts';

export interface RolloutAnalysisDeps {
  readonly config: Config;
  readonly engine: Engine;
  readonly clock: Clock;
  readonly stack: StackDeps;
  readonly store: RolloutStore;
  /** Measures by the access log of the edge. */
  readonly edge: MetricReader;
  readonly synthetic: SyntheticTraffic;
}

/** Eyes for every kind of metric, and what is written down of health. */
export interface Eyes {
  readonly read: MetricReader;
  readonly health: HealthHistory;
}

export function eyesOf({ config, engine, edge }: Pick<RolloutAnalysisDeps, 'config' | 'engine' | 'edge'>): Eyes {
  const health = new HealthHistory();
  const { monitoring } = config;
  const prometheus = monitoring && new Prometheus(`http://${monitoring.prometheus.listen}`);
  const readers: Readonly<Record<MetricSource, MetricReader>> = {
    edge,
    health: health.read,
    logs: logReader(logSources(engine, config.name)),
    prometheus: prometheusReader(prometheus, monitoring?.metrics ?? {}),
    agent: async (metric) => ({ kind: 'none', why: `${metric} says nothing about a release` }),
  };
  return { read: routed(readers), health };
}

/** What the steps of a rollout need: eyes for every kind of metric, and the judge. */
export function rolloutDeps({
  config,
  engine,
  clock,
  stack,
  store,
  edge,
  synthetic,
}: RolloutAnalysisDeps): RolloutDeps {
  const { read, health } = eyesOf({ config, engine, edge });
  return {
    store,
    load: (rules, candidate) => synthetic.begin(readable(rules), candidate),
    assess: async ({ rules, kind, weight, held, left, ...question }, signal) => {
      const policy = readable(rules);
      const alone = kind === 'bake' || weight === 100;
      const filled = synthetic.filled(policy, read);
      const { lacking, ...seen } = await assess({ policy, ...question, alone, filled }, read, signal);
      const { findings, toSend } = await synthetic.look(policy, { ...question, lacking, held, left }, edge, signal);
      return { ...seen, investigate: [...seen.investigate, ...findings], toSend };
    },
    healthy: async ({ release, tag, colour }, context) => {
      const { healthy, of, said } = await colourHealth(stack, { release, colour }, context);
      health.record(tag, clock.now(), of === 0 ? 0 : healthy / of);
      return {
        id: `healthy-${colour}`,
        verdict: of === 0 || healthy < of ? 'fail' : 'pass',
        observed: of === 0 ? 'it has no containers' : said,
        samples: of,
      };
    },
  };
}

/** The policy of a rollout, as it was when that began. @throws ApplianceError `state_corrupt` */
function readable(rules: string): Policy {
  const { value } = parsePolicy(rules);
  if (value !== null) return value;
  throw new ApplianceError('state_corrupt', 'the policy of this rollout cannot be read any more', {
    hint: 'decide by hand: appliance promote or appliance abort',
  });
}

/** Asks whoever measures a metric. */
function routed(readers: Readonly<Record<MetricSource, MetricReader>>): MetricReader {
  return async (metric, subject, window, signal) => {
    const name = metricNames.find((known) => known === metric);
    if (name === undefined) return { kind: 'none', why: `nobody measures ${metric}` };
    return readers[metricOf(name).source](metric, subject, window, signal);
  };
}

/** Containers whose logs speak of a release, and their lines. */
function logSources(engine: Engine, appliance: string): Parameters<typeof logReader>[0] {
  return {
    sources: async ({ tag, colour }: Subject, core: boolean) => {
      const all = await engine.containers([`appliance.name=${appliance}`]);
      const found = all.filter(({ labels }) =>
        labels[labelKeys.colour] === undefined
          ? core && labels[labelKeys.role] === 'core'
          : labels[labelKeys.colour] === colour && labels[labelKeys.release] === tag,
      );
      const details = await Promise.all(found.map(({ id }) => engine.inspect(id)));
      return details.filter((detail) => detail !== undefined);
    },
    lines: async function* (source, since, signal) {
      const rest = { stdout: '', stderr: '' };
      for await (const { stream, text } of engine.logs(source, { follow: false, since, signal })) {
        const parts = (rest[stream] + text).split('\n');
        rest[stream] = parts.pop() ?? '';
        yield* parts;
      }
    },
  };
}
