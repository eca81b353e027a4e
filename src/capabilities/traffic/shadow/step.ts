import { z } from 'zod';
import type { ShadowConfig } from '../../../config/shadow.ts';
import { colours } from '../../../lib/colour.ts';
import { ApplianceError, messageOf } from '../../../lib/errors.ts';
import type { ShadowReport } from '../../../lib/shadow.ts';
import { topologySchema } from '../../../lib/topology.ts';
import { formatDuration } from '../../../lib/units.ts';
import type { Finding } from '../../../lib/verdict.ts';
import { defineStep, type StepContext, type StepType } from '../../../operations/step.ts';
import type { TrafficParts } from '../deps.ts';
import type { RolloutDeps } from '../hold-stage.ts';
import { type Assessment, decide, judgedFindings } from '../rollout-decision.ts';
import { endShadow, ShadowSession } from './session.ts';
import { emptyReport, shadowFindings } from './tally.ts';

const side = z.object({ release: z.string(), tag: z.string(), colour: z.enum(colours) });
const argsSchema = z.object({
  position: z.number().int().min(0),
  candidate: side,
  baseline: side,
  /** Where the candidate listens, and which requests are its. */
  topology: topologySchema,
  /** Requests that are copied, 1 to 100. */
  share: z.number(),
  /** Milliseconds: how long, and between two looks. */
  duration: z.number().min(0),
  every: z.number().min(0),
});
export type ShadowTrafficArgs = z.output<typeof argsSchema>;

/** Where the comparison of a rollout is kept. */
export interface ShadowReports {
  of(operation: string): ShadowReport | undefined;
  keep(operation: string, report: ShadowReport): void;
}

export type ShadowDeps = Pick<RolloutDeps, 'store' | 'healthy'> & { readonly reports: ShadowReports };

/** As for a stage: looks in a row that make a colour unhealthy, and the most that counts between two looks, in periods. */
const tolerated = 3;
const longestGap = 3;

/**
 * Step type `shadow-traffic`: copies a share of the requests to a release that has none yet, and compares what it answers
 * with what the live one has answered. What differs is for people to see; only a colour that is not healthy goes back. Cut
 * short, it goes on with the time that is left, and with what it had compared.
 */
export function shadowTraffic(parts: TrafficParts, deps: ShadowDeps): StepType<ShadowTrafficArgs> {
  return defineStep({
    action: 'shadow-traffic',
    args: argsSchema,
    apply: async (args, context) => {
      const { shadow: rules } = parts.config;
      if (!rules)
        throw new ApplianceError('config_invalid', 'appliance.yaml has no section shadow any more', {
          hint: 'put it back, or deploy with another policy',
        });
      try {
        return await watch(parts, deps, rules, args, context);
      } finally {
        deps.store.settle(context.operation);
      }
    },
    undo: () => endShadow(parts),
  });
}

async function watch(
  parts: TrafficParts,
  { store, reports, healthy }: ShadowDeps,
  rules: ShadowConfig,
  args: ShadowTrafficArgs,
  context: StepContext,
): Promise<string> {
  const { operation, clock, signal } = context;
  const { position, candidate, baseline, share, duration, every, topology } = args;
  const stage = store.enter(operation, { position, kind: 'shadow', weight: 0, duration }, clock.now());
  if (stage.outcome === 'passed' || stage.outcome === 'promoted') return 'it was over before';
  const health = new Health(() => healthy(candidate, context), candidate.colour);
  const before = reports.of(operation) ?? emptyReport({ from: baseline.tag, to: candidate.tag, share });
  const session = new ShadowSession(parts, { topology, share, rules }, before);
  try {
    let held = stage.held;
    for (let last = clock.monotonic(); ; ) {
      const changed = store.changeOf(operation);
      const assessment = await health.look(shadowFindings(session.report, session.trouble), signal);
      reports.keep(operation, session.report);
      const rollout = store.of(operation);
      const now = clock.monotonic();
      if (rollout?.wish !== 'pause') held += Math.min(now - last, Math.max(1_000, every * longestGap));
      last = now;
      const { promoted } = store.stage(operation, position);
      const wish = rollout?.wish ?? 'run';
      const decision = decide({ kind: 'shadow', duration, patience: 0 }, { wish, promoted, held, assessment });
      const waiting = decision.do === 'hold' ? decision.waiting : '';
      store.look(operation, position, { held, waiting, findings: judgedFindings(assessment) });
      if (decision.do !== 'hold') store.leave(operation, position, decision.outcome, clock.now());
      if (decision.do === 'back')
        throw new ApplianceError(
          decision.code,
          `${candidate.tag} was taken back before its first request: ${decision.why}`,
          {
            left: `all traffic is on ${baseline.tag}`,
          },
        );
      if (decision.do === 'advance') return summary(session.report, held);
      context.progress(waiting);
      await clock.sleep(Math.max(1, every), AbortSignal.any([changed, signal])).catch(() => signal.throwIfAborted());
    }
  } finally {
    await session.end();
    reports.keep(operation, session.report);
  }
}

function summary(report: ShadowReport, held: number): string {
  const said = shadowFindings(report, '').map(({ observed }) => observed);
  return `${formatDuration(held)}: ${said.join('; ')}`;
}

/** Looks at the containers: several bad looks in a row are a reason to go back, one is not. */
class Health {
  readonly #ask: () => Promise<Finding>;
  readonly #colour: string;
  #bad = 0;

  constructor(ask: () => Promise<Finding>, colour: string) {
    this.#ask = ask;
    this.#colour = colour;
  }

  async look(investigate: readonly Finding[], signal: AbortSignal): Promise<Assessment> {
    let finding: Finding;
    try {
      finding = await this.#ask();
      this.#bad = finding.verdict === 'fail' ? this.#bad + 1 : 0;
    } catch (error) {
      signal.throwIfAborted();
      finding = { id: `healthy-${this.#colour}`, verdict: 'inconclusive', observed: messageOf(error) };
    }
    const sick = this.#bad >= tolerated;
    return { gates: sick ? [] : [finding], rollback: sick ? [finding] : [], investigate };
  }
}
