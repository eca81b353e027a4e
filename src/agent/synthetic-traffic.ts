import type { AssessmentQuestion } from '../capabilities/checks/analysis/assess.ts';
import type { HeldLoad, Side } from '../capabilities/traffic/hold-stage.ts';
import { requestsToSend } from '../capabilities/traffic/synthetic/fill.ts';
import { StageLoad } from '../capabilities/traffic/synthetic/load.ts';
import { prepareRequests } from '../capabilities/traffic/synthetic/prepare.ts';
import type { SyntheticSamples } from '../capabilities/traffic/synthetic/samples.ts';
import type { Policy } from '../config/policy.ts';
import type { Config } from '../config/schema.ts';
import type { Clock } from '../lib/clock.ts';
import type { Colour } from '../lib/colour.ts';
import { asApplianceError } from '../lib/errors.ts';
import type { MetricReader, Subject } from '../lib/measurement.ts';
import { count } from '../lib/text.ts';
import type { Topology } from '../lib/topology.ts';
import type { Finding } from '../lib/verdict.ts';

export interface SyntheticTrafficDeps {
  readonly config: Config;
  readonly clock: Clock;
  readonly samples: SyntheticSamples;
  /** Where a release listens on either colour. */
  readonly topologies: (release: string) => Promise<Readonly<Record<Colour, Topology>>>;
  /** The environment of a release, as it was frozen. */
  readonly environment: (release: string) => Promise<Readonly<Record<string, string>>>;
}

/** A look at a stage. Times are milliseconds, `since` and `now` since 1970. */
interface Look {
  readonly candidate: Subject;
  readonly since: number;
  readonly now: number;
  readonly lacking: number;
  readonly held: number;
  readonly left: number;
}

/** Declared requests of one rollout: sent where the policy allows it and appliance.yaml has any, else not at all. */
export class SyntheticTraffic {
  readonly #deps: SyntheticTrafficDeps;
  #load: StageLoad | undefined;
  /** Why nothing is sent although the policy allows it. */
  #problem = '';

  constructor(deps: SyntheticTrafficDeps) {
    this.#deps = deps;
  }

  /** A stage begins. Trouble with the declared requests does not end it: users count, as they do without. */
  async begin(policy: Policy, candidate: Side): Promise<HeldLoad | undefined> {
    const { config, clock, samples, topologies, environment } = this.#deps;
    const { synthetic, routes, edge } = config;
    this.#load = undefined;
    this.#problem = '';
    if (!policy.synthetic) return undefined;
    if (!synthetic) {
      this.#problem = 'appliance.yaml declares no requests (synthetic)';
      return undefined;
    }
    try {
      const load = new StageLoad({
        limits: synthetic,
        requests: prepareRequests({
          requests: synthetic.requests,
          topology: (await topologies(candidate.release))[candidate.colour],
          routes,
          host: edge.domains[0] ?? 'localhost',
          environment: await environment(candidate.release),
        }),
        most: policy.synthetic.most,
        tag: candidate.tag,
        clock,
        onSample: (sample) => samples.record(candidate, sample),
      });
      this.#load = load;
      return load;
    } catch (error) {
      this.#problem = asApplianceError(error).message;
      return undefined;
    }
  }

  /** What counts declared requests too; undefined where the policy lets users alone count. */
  filled({ synthetic: allowed }: Policy, measure: MetricReader): AssessmentQuestion['filled'] {
    const { config, samples } = this.#deps;
    if (!allowed || !this.#load) return undefined;
    const perSecond = this.#load.wanted > 0 ? (config.synthetic?.rate ?? 0) : 0;
    return { measure: samples.added(measure), perSecond };
  }

  /** How many are to be sent now, and what became of those that were. */
  async look(
    { synthetic: allowed }: Policy,
    { candidate, since, now, lacking, held, left }: Look,
    users: MetricReader,
    signal: AbortSignal,
  ): Promise<{ readonly findings: readonly Finding[]; readonly toSend: number }> {
    if (!allowed) return { findings: [], toSend: 0 };
    const id = 'synthetic';
    const load = this.#load;
    if (!load) return { findings: [{ id, verdict: 'inconclusive', observed: this.#problem }], toSend: 0 };
    const seen = await users('request-rate', candidate, { from: since, to: now }, signal);
    const perSecond = seen.kind === 'value' ? seen.last : 0;
    const toSend = requestsToSend({ lacking, perSecond, held, left });
    const { good, failed, why } = this.#deps.samples.within(candidate.colour, { from: since, to: now + 1_000 });
    const spent = load.sent >= allowed.most ? `; that is all that the policy allows for a stage (${allowed.most})` : '';
    const observed = `${count(good + failed, 'declared request')} of ${candidate.tag} answered${failed > 0 ? `, ${failed} not well: ${why}` : ''}${spent}`;
    return { findings: [{ id, verdict: 'pass', observed, samples: good + failed }], toSend };
  }
}
